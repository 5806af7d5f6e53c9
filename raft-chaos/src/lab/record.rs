//! What happened in a test, in one number and as a story, and what was found wrong besides the test's own assertions.

use std::hash::Hash;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use raft_core::{Event, Time};
use tokio::time::Instant;

use super::failure::Failure;
use super::lock;
use super::network::node;
use crate::sim::trace::{Happening, Scope, Trace};

/// A handle on the record of one test. Clones are handles on the same one.
#[derive(Clone)]
pub(super) struct Record {
    began: Instant,
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    trace: Trace,
    found: Vec<Failure>,
}

impl Record {
    /// Time counts from now on.
    pub(super) fn new(trace: Trace) -> Self {
        Self { began: Instant::now(), inner: Arc::new(Mutex::new(Inner { trace, found: Vec::new() })) }
    }

    /// When the test began, on tokio's clock.
    pub(super) const fn began(&self) -> Instant {
        self.began
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    fn push(&self, happening: &Happening) {
        lock(&self.inner).trace.push(Time::ZERO.after(self.elapsed()), happening);
    }

    /// Something happened that is in the hash only.
    pub(super) fn hashed(&self, what: impl Hash) {
        let now = self.elapsed();
        lock(&self.inner).trace.hashed((now, what));
    }

    /// Something happened inside a server.
    pub(super) fn inside(&self, server: usize, event: &Event) {
        self.push(&Happening::Node { node: node(server), event: event.clone() });
    }

    /// The tester did something.
    pub(super) fn did(&self, what: &str, with: impl ToString) {
        self.push(&Happening::Fault {
            fault: what.to_owned(),
            does: with.to_string(),
            scope: Scope::default(),
        });
    }

    /// Something is wrong, whatever the test asserts.
    pub(super) fn found(&self, what: impl Into<String>) {
        self.failed(Failure::Wrong(format!("{} (at {:?})", what.into(), self.elapsed())));
    }

    /// Something failed.
    pub(super) fn failed(&self, failure: Failure) {
        self.push(&Happening::Broken { what: failure.to_string() });
        lock(&self.inner).found.push(failure);
    }

    /// A server ended by itself.
    pub(super) fn ended(&self, server: usize, why: &str) {
        let what = format!("{} ended by itself: {why} (at {:?})", node(server), self.elapsed());
        self.failed(Failure::Ended(what));
    }

    /// Names all that has happened, in order.
    pub(super) fn hash(&self) -> u64 {
        lock(&self.inner).trace.hash()
    }

    /// All that failed, in order.
    pub(super) fn failures(&self) -> Vec<Failure> {
        lock(&self.inner).found.clone()
    }

    /// Writes down what has not been written.
    pub(super) fn flush(&self) -> io::Result<()> {
        lock(&self.inner).trace.flush()
    }
}
