//! The state machine under test: a map from keys to values, and what clients ask of it.

use std::collections::BTreeMap;

use bytes::Bytes;
use raft_core::LogIndex;
use serde::{Deserialize, Serialize};

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
    /// Where in the log the command was.
    pub index: LogIndex,
    /// What a read read; none for absent.
    pub value: Option<String>,
    /// Whether a compare-and-set found what it expected.
    pub swapped: Option<bool>,
}

/// The map.
#[derive(Clone, Debug, Default)]
pub struct Map {
    values: BTreeMap<String, String>,
}

impl Map {
    /// Applies a command that is committed at `index`.
    pub fn apply(&mut self, index: LogIndex, command: Command) -> Answer {
        let Command { key, action, .. } = command;
        let mut answer = Answer { index, value: None, swapped: None };
        match action {
            Action::Read => answer.value = self.values.get(&key).cloned(),
            Action::Write(value) => drop(self.values.insert(key, value)),
            Action::Cas(expected, value) => {
                let swapped = self.values.get(&key) == expected.as_ref();
                answer.swapped = Some(swapped);
                if swapped {
                    self.values.insert(key, value);
                }
            }
            Action::Delete => drop(self.values.remove(&key)),
            Action::Append(value) => self.values.entry(key).or_default().push_str(&value),
        }
        answer
    }
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
            assert_eq!(map.values.get("x").map(String::as_str), then);
        }
    }
}
