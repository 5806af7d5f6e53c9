//! The state machine under test: a map from keys to values, and what clients ask of it.

use std::collections::BTreeMap;

use bytes::Bytes;
use raft_core::LogIndex;
use serde::{Deserialize, Serialize};

use crate::mix::mix;

/// What a client asks for, as it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Which operation of the history this is: the index of its `invoke`.
    pub operation: u64,
    /// The key.
    pub key: String,
    /// What is done to it.
    pub action: Action,
    /// Bytes that are carried along, so that values weigh what the plan says and a history stays legible.
    pub ballast: Bytes,
}

/// What is done to one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// What is the value?
    Read,
    /// This is the value.
    Write(String),
    /// If the value is the first, none for absent, then make it the second.
    Cas(Option<String>, String),
    /// There is no value.
    Delete,
    /// Put this behind the value.
    Append(String),
}

/// What the state machine answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Answer {
    /// Where in the log the command was; of a query, the last command that the state had.
    pub index: LogIndex,
    /// What a read read; none for absent.
    pub value: Option<String>,
    /// Whether a compare-and-set found what it expected.
    pub swapped: Option<bool>,
}

/// The map.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Map {
    values: BTreeMap<String, Held>,
    applied: LogIndex,
    /// All keys and values, hashed and added up in any order.
    state: u64,
}

/// What is held under a key: its value, and the bytes that were carried along with it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Held {
    value: String,
    ballast: Bytes,
}

impl Map {
    /// Applies a command that is committed at `index`.
    pub fn apply(&mut self, index: LogIndex, command: Command) -> Answer {
        let Command { key, action, ballast, .. } = command;
        let mut answer = Answer { index, value: None, swapped: None };
        self.applied = index;
        let value = self.values.get(&key).map(|held| &held.value);
        match action {
            Action::Read => answer.value = value.cloned(),
            Action::Write(value) => self.set(key, Some(Held { value, ballast })),
            Action::Cas(expected, new) => {
                let swapped = value == expected.as_ref();
                answer.swapped = Some(swapped);
                if swapped {
                    self.set(key, Some(Held { value: new, ballast }));
                }
            }
            Action::Delete => self.set(key, None),
            Action::Append(more) => {
                let value = value.map_or(String::new(), String::clone) + &more;
                self.set(key, Some(Held { value, ballast }));
            }
        }
        answer
    }

    /// What a key holds now. Changes nothing.
    pub fn read(&self, key: &str) -> Answer {
        let value = self.values.get(key).map(|held| held.value.clone());
        Answer { index: self.applied, value, swapped: None }
    }

    /// The last command that was applied.
    pub const fn applied(&self) -> LogIndex {
        self.applied
    }

    /// A number that names what all keys hold. Kept up with every command, and computed anew when a
    /// snapshot is restored.
    pub const fn state(&self) -> u64 {
        self.state
    }

    /// All of it, as bytes.
    pub fn snapshot(&self) -> Bytes {
        encode(&(self.applied, &self.values))
    }

    /// The map that a snapshot was made of.
    ///
    /// # Errors
    ///
    /// The bytes are no snapshot of a map.
    pub fn restore(snapshot: &[u8]) -> Result<Self, rmp_serde::decode::Error> {
        let (applied, values): (_, BTreeMap<String, Held>) = decode(snapshot)?;
        let state = values.iter().map(|(key, held)| hash(key, held)).fold(0, u64::wrapping_add);
        Ok(Self { values, applied, state })
    }

    fn set(&mut self, key: String, held: Option<Held>) {
        let new = held.as_ref().map_or(0, |held| hash(&key, held));
        let old = self.values.get(&key).map_or(0, |held| hash(&key, held));
        self.state = self.state.wrapping_sub(old).wrapping_add(new);
        match held {
            Some(held) => drop(self.values.insert(key, held)),
            None => drop(self.values.remove(&key)),
        }
    }
}

fn hash(key: &str, held: &Held) -> u64 {
    mix(0, (key, held))
}

/// As bytes.
///
/// # Panics
///
/// Never: these types have no part that MessagePack refuses, and memory is all that is written to.
pub fn encode(value: &impl Serialize) -> Bytes {
    rmp_serde::to_vec(value).expect("a command or an answer is plain data").into()
}

/// From bytes.
///
/// # Errors
///
/// They are not what [`encode`] wrote.
pub fn decode<T: for<'a> Deserialize<'a>>(bytes: &[u8]) -> Result<T, rmp_serde::decode::Error> {
    rmp_serde::from_slice(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each row: what is asked of one key, what is answered, and the value then.
    #[test]
    fn each_operation_does_what_it_says() {
        let text = |text: &str| text.to_owned();
        let mut map = Map::default();
        for (at, (action, value, swapped, then)) in (1..).zip([
            (Action::Read, None, None, None),
            (Action::Append(text("a")), None, None, Some("a")),
            (Action::Append(text("b")), None, None, Some("ab")),
            (Action::Cas(None, text("c")), None, Some(false), Some("ab")),
            (Action::Cas(Some(text("ab")), text("c")), None, Some(true), Some("c")),
            (Action::Read, Some("c"), None, Some("c")),
            (Action::Delete, None, None, None),
            (Action::Cas(None, text("d")), None, Some(true), Some("d")),
            (Action::Write(text("e")), None, None, Some("e")),
        ]) {
            let command = Command { operation: 0, key: text("x"), action, ballast: Bytes::new() };
            assert_eq!(decode::<Command>(&encode(&command)).unwrap(), command);
            let index = LogIndex::new(at);
            let answer = map.apply(index, command);
            assert_eq!(answer, Answer { index, value: value.map(text), swapped });
            assert_eq!(map.read("x"), Answer { index, value: then.map(text), swapped: None });
            assert_eq!(Map::restore(&map.snapshot()).unwrap(), map, "its state is counted anew");
        }
    }

    #[test]
    fn the_state_names_what_all_keys_hold() {
        let write = |map: &mut Map, key: &str, value: &str| {
            let action = Action::Write(value.to_owned());
            let command = Command { operation: 0, key: key.to_owned(), action, ballast: Bytes::new() };
            map.apply(LogIndex::new(1), command);
            map.state()
        };
        let (mut one, mut two) = (Map::default(), Map::default());
        write(&mut one, "x", "1");
        write(&mut two, "y", "2");
        assert_ne!(one.state(), two.state());
        assert_eq!(write(&mut one, "y", "2"), write(&mut two, "x", "1"), "in any order");
        assert_ne!(write(&mut one, "y", "1"), two.state());
        assert!(Map::restore(b"no map").is_err());
    }
}
