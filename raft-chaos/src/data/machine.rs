//! The state machine of a data type: objects under keys, or whatever else does the same on every node.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
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
    fn state(&mut self) -> u64;

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
#[derive(Clone, Debug)]
pub struct Objects<O> {
    held: BTreeMap<String, Held<O>>,
    /// All keys and objects, hashed and added up in any order. Kept up with every command once somebody has asked.
    state: Option<u64>,
}

/// What is held under a key: its object, and the bytes that were carried along with its last change.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Held<O> {
    object: O,
    ballast: Bytes,
    /// The hash of these and the key, where one is kept.
    #[serde(skip)]
    hash: u64,
}

impl<O: Object> Held<O> {
    fn hash_under(&self, key: &str) -> u64 {
        mix(0, (key, &self.object, &self.ballast))
    }
}

impl<O> Default for Objects<O> {
    fn default() -> Self {
        Self { held: BTreeMap::new(), state: None }
    }
}

impl<O: Object> Machine for Objects<O> {
    fn apply(&mut self, command: Command) -> Reply {
        let Command { key, f, value, ballast, .. } = command;
        let place = self.held.entry(key);
        let mut object = match &place {
            Entry::Occupied(held) => held.get().object.clone(),
            Entry::Vacant(_) => O::default(),
        };
        let reply = object.apply(&f, &value);
        let is_default = object == O::default();
        let is_same = match &place {
            Entry::Occupied(held) => held.get().object == object,
            Entry::Vacant(_) => is_default,
        };
        if is_same {
            return reply;
        }
        let mut held = Held { object, ballast, hash: 0 };
        if self.state.is_some() && !is_default {
            held.hash = held.hash_under(place.key());
        }
        let new = held.hash;
        let old = match place {
            Entry::Occupied(place) if is_default => place.remove().hash,
            Entry::Occupied(mut place) => place.insert(held).hash,
            Entry::Vacant(place) => {
                place.insert(held);
                0
            }
        };
        self.state = self.state.map(|state| state.wrapping_sub(old).wrapping_add(new));
        reply
    }

    fn read(&self, query: &Command) -> Reply {
        let held = self.held.get(&query.key);
        let mut object = held.map_or_else(O::default, |held| held.object.clone());
        object.apply(&query.f, &query.value)
    }

    fn state(&mut self) -> u64 {
        *self.state.get_or_insert_with(|| {
            let hashes = self.held.iter_mut().map(|(key, held)| {
                held.hash = held.hash_under(key);
                held.hash
            });
            hashes.fold(0, u64::wrapping_add)
        })
    }

    fn snapshot(&self) -> Bytes {
        encode(&self.held)
    }

    fn restore(&mut self, snapshot: &[u8]) -> io::Result<()> {
        *self = Self { held: decode(snapshot).map_err(io::Error::other)?, state: None };
        Ok(())
    }
}
