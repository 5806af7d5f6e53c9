//! The tests of parts 4B and 4C: a key-value store with versions, its clients, and whether what they saw can be explained.

mod append;
mod clerk;
mod generic;
mod model;
mod scripts;
mod store;

pub(super) use append::{text, unreliable_one_key};
pub(super) use generic::{Generic, generic};
pub(super) use scripts::{one_partition, snapshot_rpc, snapshot_size, speed};
pub(super) use store::{STATE_BYTES, store};
