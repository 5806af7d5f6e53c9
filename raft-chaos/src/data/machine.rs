//! The state machine of a data type: objects under keys, or whatever else does the same on every node.

use std::collections::BTreeMap;
use std::hash::Hash;
use std::io;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::command::{Command, decode, encode};
use crate::history::{F, Reply, Value};
use crate::mix::mix;

/// A state machine under test. The same commands in the same order lead to the same state and the same answers: no clock, no
/// randomness, no order that hangs on addresses.
pub trait Machine: Send {
    /// Does what a committed command says.
    fn apply(&mut self, command: Command) -> Reply;

    /// Answers what changes nothing, from the state as it is.
    fn read(&self, query: &Command) -> Reply;

    /// A number that names the state: equal states have equal ones, on every node and after a restore too.
    fn state(&self) -> u64;

    /// All of it, as bytes.
    fn snapshot(&self) -> Bytes;

    /// Becomes what a snapshot says.
    ///
    /// # Errors
    ///
    /// The bytes are no snapshot of such a machine.
    fn restore(&mut self, snapshot: &[u8]) -> io::Result<()>;
}

/// What lies under one key. The default is what an untouched key has.
pub trait Object: Clone + Default + PartialEq + Hash + Serialize + DeserializeOwned + Send {
    /// Does an operation. One that it does not know changes nothing.
    fn apply(&mut self, f: &F, value: &Value) -> Reply;
}

/// Objects under keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objects<O> {
    held: BTreeMap<String, Held<O>>,
    /// All keys and objects, hashed and added up in any order.
    state: u64,
}

/// What is held under a key: its object, and the bytes that were carried along with its last change.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Held<O> {
    object: O,
    ballast: Bytes,
}

impl<O> Default for Objects<O> {
    fn default() -> Self {
        Self { held: BTreeMap::new(), state: 0 }
    }
}

impl<O: Object> Machine for Objects<O> {
    fn apply(&mut self, command: Command) -> Reply {
        let Command { key, f, value, ballast, .. } = command;
        let before = self.held.get(&key);
        let mut object = before.map_or_else(O::default, |held| held.object.clone());
        let reply = object.apply(&f, &value);
        if before.map_or_else(|| object == O::default(), |held| held.object == object) {
            return reply;
        }
        let old = before.map_or(0, |held| mix(0, (&key, held)));
        let held = Some(Held { object, ballast }).filter(|held| held.object != O::default());
        let new = held.as_ref().map_or(0, |held| mix(0, (&key, held)));
        self.state = self.state.wrapping_sub(old).wrapping_add(new);
        match held {
            Some(held) => drop(self.held.insert(key, held)),
            None => drop(self.held.remove(&key)),
        }
        reply
    }

    fn read(&self, query: &Command) -> Reply {
        let held = self.held.get(&query.key);
        let mut object = held.map_or_else(O::default, |held| held.object.clone());
        object.apply(&query.f, &query.value)
    }

    /// Kept up with every command, and computed anew when a snapshot is restored.
    fn state(&self) -> u64 {
        self.state
    }

    fn snapshot(&self) -> Bytes {
        encode(&self.held)
    }

    fn restore(&mut self, snapshot: &[u8]) -> io::Result<()> {
        let held: BTreeMap<String, Held<O>> = decode(snapshot).map_err(io::Error::other)?;
        let state = held.iter().map(|(key, held)| mix(0, (key, held))).fold(0, u64::wrapping_add);
        *self = Self { held, state };
        Ok(())
    }
}
