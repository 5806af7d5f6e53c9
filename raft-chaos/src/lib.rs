//! Fault plans for Raft, and the judge of what they do.
//!
//! The data's way is plan, run, history, verdict, report; every stage can be repeated from the files of the
//! one before it. Here are the [`plan`] that says what to do, the [`history`] of what clients saw, and the
//! search for an order that explains it, [`linearizable`].

pub mod history;
pub mod linearizable;
pub mod plan;
