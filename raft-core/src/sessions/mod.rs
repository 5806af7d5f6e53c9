//! Clients' sessions: each command is applied exactly once, however often it is sent (thesis 6.3).
//!
//! Without them a command that is sent again, because nobody answered, is applied again. With them a client registers,
//! numbers its commands and sends one again under the number that it had; the servers keep the results of what they
//! applied, and answer from those.
//!
//! | file | is |
//! | --- | --- |
//! | `request.rs` | what clients send, as it stands in the log: [`Request`] |
//! | `answer.rs` | what they are answered: [`Answer`] |
//! | `table.rs` | all sessions, as a value: [`Table`] |
//! | `image.rs` | the bytes of a table in a snapshot |
//! | `numbers.rs` | a client's end, as a value: [`Numbers`] |
//! | `machine.rs` | a state machine with sessions: `Sessions` (feature `tokio`) |
//! | `client.rs` | a client's end that asks and asks again: `ClientSession` (feature `tokio`) |
//!
//! # What holds
//!
//! - **A command is applied at most once.** A number that was applied is answered from its kept result; one whose result
//!   was given away, because the client said that it has it, is [`Answer::SequenceForgotten`]. Neither is applied.
//! - **A session that has expired comes never back.** Its id is the index of the entry that registered it, which no other
//!   entry has. What is asked in it is answered [`Answer::SessionExpired`], and is not applied: not even in a
//!   session of the same client, which would risk that it was applied before.
//! - **All servers expire the same session at the same entry.** The log alone decides, see below.
//! - **The table is bounded**, by [`Limits`]: in sessions, in results of a session, and in bytes of results.
//! - **It is in the snapshot**, with a checksum, so that who restores one knows what was applied.
//! - Where the log is cut back on purpose, to recover from the loss of a majority, an index may be given twice: clients
//!   register anew after that.
//! - A client may have several commands under way, and they may be applied in any order; whoever wants an order waits
//!   for the answer to the first.
//! - A number that its client gave up (it named a higher lowest one) is never applied after that.
//!
//! # When a session expires
//!
//! The thesis names two ways to agree on it: a bound on the number of sessions with the least recently used one to go, or
//! a time that the leader writes into each entry. This is the first: a session is *used* by each of its entries, and
//! the one that was not for longest goes when there are more sessions, or more bytes of results, than the limits
//! allow. Why not time:
//!
//! - No clock decides then. A leader's clock that leaps ahead would expire every session of the cluster at once; two
//!   leaders' clocks that differ would age sessions by the difference; and an agreed time never goes back, so that one
//!   wrong entry would stay.
//! - A client that does nothing for a week while nobody else needs its place keeps its session, and writes nothing to the
//!   log for it. By time every client has to write all the time.
//! - What is to be bounded is memory, and this bounds it at once and not a while later.
//!
//! What it costs: so many clients that register, or answers so large, can push out one that is alive. It is told so and
//! nothing is applied twice, and [`Request::KeepAlive`] uses a session without a command. The least recently used
//! session is safe while fewer others than [`Limits::sessions`] are used in between.
//!
//! # The limits are part of the state
//!
//! Were they configured, two servers with different ones would expire different sessions, and from there on be different
//! machines. So every table begins with [`Limits::INITIAL`], [`Request::Limit`] changes them, as an entry of the log, and
//! they are in the snapshot.

mod answer;
#[cfg(feature = "tokio")]
mod client;
mod image;
#[cfg(feature = "tokio")]
mod machine;
mod numbers;
mod request;
mod table;
mod wire;

pub use answer::Answer;
#[cfg(feature = "tokio")]
pub use client::{ClientSession, CommandError, Proposed, Proposer, RegisterError, Retries};
pub use image::ImageError;
#[cfg(feature = "tokio")]
pub use machine::{DurableMachine, Sessions};
pub use numbers::Numbers;
pub use request::{Request, SessionId};
pub use table::{Admitted, Limits, Place, Table};
