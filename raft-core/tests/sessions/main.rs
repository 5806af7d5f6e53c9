//! Clients' sessions (thesis 6.3): the table against a slow and obvious one, its bounds and its bytes. The sentences of
//! the thesis are in `tests/paper`.

mod bytes;
#[cfg(feature = "tokio")]
mod client;
mod limits;
#[cfg(feature = "tokio")]
mod machine;
mod model;
