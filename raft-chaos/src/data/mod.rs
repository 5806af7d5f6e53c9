//! Data types: what a cluster keeps, what clients ask of it, and who says what is right.
//!
//! | file | is |
//! | --- | --- |
//! | `command.rs` | what stands in the log, and what is answered |
//! | `machine.rs` | the state machine of a data type |
//! | `key_value.rs`, `list_append.rs`, `set.rs`, `counter.rs`, `bank.rs`, `queue.rs` | the types that plans name |
//!
//! One's own is a [`DataType`] like these, and [`run_as`](crate::sim::run_as) runs a plan with it.

mod bank;
mod command;
mod counter;
mod key_value;
mod list_append;
mod machine;
#[cfg(all(test, feature = "outside-judges"))]
pub(crate) mod mutations;
mod queue;
mod set;
#[cfg(test)]
mod tests;

use raft_core::Rng;

pub use bank::BankOf;
pub use command::{Answer, Command, decode, encode};
pub use counter::CounterOf;
pub use list_append::ListOf;
pub use machine::{Machine, Object, Objects};
pub use queue::QueueOf;
pub use set::SetOf;

use crate::history::{F, History, Reply, Value};
use crate::linearizable::Judge;
use crate::plan::{Kind, Operation, Workload};

/// What a cluster keeps under each key, what clients ask of it, and who says what is right.
pub trait DataType: Send + Sync {
    /// A state machine in its first state. Every node has one, and all must do the same.
    fn machine(&self) -> Box<dyn Machine>;

    /// What a client asks next of a key.
    fn draw(&self, client: &mut Draw<'_>) -> Ask;

    /// Whether an operation changes nothing, so that it may be answered beside the log.
    fn is_read(&self, f: &F) -> bool {
        *f == F::READ
    }

    /// What a client knows of a key after this answer: [`Draw::known`] until it asks another key.
    fn learned(&self, ask: &Ask, reply: &Reply) -> Value {
        let _ = (ask, reply);
        Value::Null
    }

    /// Who judges a history.
    fn judge(&self) -> Box<dyn Judge>;

    /// What a second judge, which shares nothing with the first, finds wrong with a history; a sentence each.
    fn anomalies(&self, history: &History) -> Vec<String> {
        let _ = history;
        Vec::new()
    }
}

/// An operation that is asked of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The operation.
    pub f: F,
    /// What it asks with; null of what is to be answered.
    pub value: Value,
}

/// From what a client draws its next operation.
pub struct Draw<'a> {
    /// The client's own; the only randomness there is.
    pub rng: &'a mut Rng,
    /// Its number, from 0.
    pub client: u64,
    /// How many clients there are.
    pub clients: u64,
    /// How many operations it has drawn, this one included.
    pub nth: u64,
    /// What it knows of the key; null if that is nothing.
    pub known: &'a Value,
}

impl Draw<'_> {
    /// A number that no other operation of the run has.
    pub fn fresh(&self) -> i64 {
        i64::try_from(self.nth * self.clients + self.client).unwrap_or(i64::MAX)
    }

    /// One of these, by weight; not all are 0.
    pub fn weighted<T: Copy>(&mut self, weights: &[(T, u64)]) -> Option<T> {
        let total = weights.iter().map(|(_, weight)| weight).sum();
        let mut drawn = self.rng.below(total);
        let chosen = weights.iter().find(|(_, weight)| {
            let here = drawn < *weight;
            drawn = drawn.saturating_sub(*weight);
            here
        });
        chosen.map(|(one, _)| *one)
    }

    /// The operation that a plan's mix gives.
    fn operation(&mut self, mix: &Mix) -> Operation {
        self.weighted(mix).unwrap_or(Operation::Read)
    }
}

/// The weights of the operations of a kind.
pub type Mix = Vec<(Operation, u64)>;

/// The type that a workload names.
pub fn of(workload: &Workload) -> Box<dyn DataType> {
    named(workload.kind, workload.mix.clone())
}

/// The judge of the histories of this kind.
pub fn judge(kind: Kind) -> Box<dyn Judge> {
    named(kind, Mix::new()).judge()
}

/// The type of this kind, with this mix. A test of the lab brings its own, and of this one asks nothing.
pub fn named(kind: Kind, mix: Mix) -> Box<dyn DataType> {
    match kind {
        Kind::Register | Kind::Kv | Kind::Lab => Box::new(key_value::KeyValues(mix)),
        Kind::ListAppend => Box::new(list_append::Lists(mix)),
        Kind::Set => Box::new(set::Sets(mix)),
        Kind::Counter => Box::new(counter::Counters(mix)),
        Kind::Bank => Box::new(bank::Banks(mix)),
        Kind::Queue => Box::new(queue::Queues(mix)),
    }
}

/// An operation without a value: a read, a delete, a dequeue.
fn bare(name: &'static str) -> Ask {
    Ask { f: F::new(name), value: Value::Null }
}

fn ask(name: &'static str, value: Value) -> Ask {
    Ask { f: F::new(name), value }
}
