//! What must not be dropped. Each is shown twice: it compiles where the lint only warns, and does not where it denies,
//! so that it is the lint that it fails for.

/// ```
/// # use raft_core::*;
/// fn forget(raft: &mut Raft) {
///     raft.take_effects();
/// }
/// ```
///
/// ```compile_fail
/// #![deny(unused_must_use)]
/// # use raft_core::*;
/// fn forget(raft: &mut Raft) {
///     raft.take_effects();
/// }
/// ```
const EFFECTS: () = ();

/// ```
/// # use raft_core::*;
/// fn forget(write: impl FnOnce() -> Write) {
///     write();
/// }
/// ```
///
/// ```compile_fail
/// #![deny(unused_must_use)]
/// # use raft_core::*;
/// fn forget(write: impl FnOnce() -> Write) {
///     write();
/// }
/// ```
const WRITE: () = ();

/// ```
/// # use raft_core::*;
/// fn forget(token: impl FnOnce() -> WriteToken) {
///     token();
/// }
/// ```
///
/// ```compile_fail
/// #![deny(unused_must_use)]
/// # use raft_core::*;
/// fn forget(token: impl FnOnce() -> WriteToken) {
///     token();
/// }
/// ```
const TOKEN: () = ();

/// ```
/// # use raft_core::*;
/// fn forget(read: impl FnOnce() -> Read) {
///     read();
/// }
/// ```
///
/// ```compile_fail
/// #![deny(unused_must_use)]
/// # use raft_core::*;
/// fn forget(read: impl FnOnce() -> Read) {
///     read();
/// }
/// ```
const READ: () = ();

/// ```
/// # use raft_core::*;
/// fn forget(config: Config) {
///     Raft::new(config, Restored::default(), Time::ZERO);
/// }
/// ```
///
/// ```compile_fail
/// #![deny(unused_must_use)]
/// # use raft_core::*;
/// fn forget(config: Config) {
///     Raft::new(config, Restored::default(), Time::ZERO);
/// }
/// ```
const SERVER: () = ();

/// ```
/// # use raft_core::*;
/// fn forget(raft: &mut Raft) {
///     raft.propose("x".into());
/// }
/// ```
///
/// ```compile_fail
/// #![deny(unused_must_use)]
/// # use raft_core::*;
/// fn forget(raft: &mut Raft) {
///     raft.propose("x".into());
/// }
/// ```
const PROPOSAL: () = ();

/// ```
/// # use raft_core::*;
/// fn forget(raft: &mut Raft) {
///     raft.transfer_leadership(NodeId::new(2));
/// }
/// ```
///
/// ```compile_fail
/// #![deny(unused_must_use)]
/// # use raft_core::*;
/// fn forget(raft: &mut Raft) {
///     raft.transfer_leadership(NodeId::new(2));
/// }
/// ```
const TRANSFER: () = ();

/// ```
/// # use raft_core::*;
/// fn forget(handle: impl FnOnce() -> node::Handle) {
///     handle();
/// }
/// ```
///
/// ```compile_fail
/// #![deny(unused_must_use)]
/// # use raft_core::*;
/// fn forget(handle: impl FnOnce() -> node::Handle) {
///     handle();
/// }
/// ```
#[cfg(feature = "tokio")]
const HANDLE: () = ();

/// ```
/// # use raft_core::*;
/// async fn forget(handle: &node::Handle) {
///     handle.propose("x".into()).await;
/// }
/// ```
///
/// ```compile_fail
/// #![deny(unused_must_use)]
/// # use raft_core::*;
/// async fn forget(handle: &node::Handle) {
///     handle.propose("x".into()).await;
/// }
/// ```
#[cfg(feature = "tokio")]
const OUTCOME: () = ();
