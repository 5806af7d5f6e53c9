//! What the state machines did: in which order operations took effect, and whether all agree on it.

use std::collections::BTreeMap;

use raft_core::{LogIndex, NodeId};

use crate::data::Answer;
use crate::linearizable::TookEffect;
use crate::mix::mix;

const STATE_HASH: &str = "state-hash";

/// Everything that was applied, at its index, as the first server to get there has it.
#[derive(Default)]
pub(super) struct Agreement {
    applied: BTreeMap<LogIndex, Applied>,
    /// Reads that were answered beside the log: the last command that the state had, and the operation.
    read: Vec<(LogIndex, u64)>,
    /// Where each operation was applied first.
    places: BTreeMap<u64, LogIndex>,
    /// What names all sessions after each entry, where clients have them, as the first server to get there has them.
    sessions: BTreeMap<LogIndex, (u64, NodeId)>,
}

struct Applied {
    operation: u64,
    /// A hash of the operation and its answer.
    step: u64,
    /// A hash of the state after it.
    state: u64,
    first: NodeId,
}

/// Two servers that do not agree, or one that does what it had done, and on what.
pub(super) struct Disagreement {
    /// What is broken by it.
    pub(super) property: &'static str,
    pub(super) nodes: Vec<NodeId>,
    pub(super) what: String,
}

impl Agreement {
    /// A server applied an operation; `state` is what it has now.
    pub(super) fn applied(
        &mut self,
        node: NodeId,
        operation: u64,
        answer: &Answer,
        state: u64,
    ) -> Result<(), Disagreement> {
        let step = mix(operation, answer);
        let here = Applied { operation, step, state, first: node };
        let known = self.applied.entry(answer.index).or_insert(here);
        if (known.step, known.state) != (step, state) {
            return Err(differ(known.first, node, answer.index));
        }
        let first = *self.places.entry(operation).or_insert(answer.index);
        if first == answer.index {
            return Ok(());
        }
        let what = format!("operation {operation} was applied at {first}, and again at {}", answer.index);
        Err(Disagreement { property: "exactly-once", nodes: vec![node], what })
    }

    /// A server has these sessions after the entry at `index`. Whether it is the first to get there.
    pub(super) fn in_sessions(
        &mut self,
        node: NodeId,
        index: LogIndex,
        table: u64,
    ) -> Result<bool, Disagreement> {
        let is_first = !self.sessions.contains_key(&index);
        let (known, first) = *self.sessions.entry(index).or_insert((table, node));
        if known == table {
            return Ok(is_first);
        }
        let what = format!("their sessions differ after entry {index}");
        Err(Disagreement { property: STATE_HASH, nodes: vec![first, node], what })
    }

    /// A server became what a snapshot says, in which the last operation is the one at `index`.
    pub(super) fn restored(&self, node: NodeId, index: LogIndex, state: u64) -> Result<(), Disagreement> {
        match self.applied.get(&index) {
            Some(known) if known.state != state => Err(differ(known.first, node, index)),
            None if index > LogIndex::ZERO => {
                let what = format!("has a snapshot up to an operation at {index}, which nobody has applied");
                Err(Disagreement { property: STATE_HASH, nodes: vec![node], what })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// A server answered a read from the state after the command at `index`.
    pub(super) fn answered(&mut self, operation: u64, index: LogIndex) {
        self.read.push((index, operation));
    }

    /// The operations that took effect: what is in the log, and reads behind the last command that they saw.
    pub(super) fn witness(&self) -> Vec<TookEffect> {
        let applied = self.applied.iter().map(|(&index, applied)| {
            let operation = applied.operation;
            TookEffect { index, beside: false, operation }
        });
        let read = self.read.iter().map(|&(index, operation)| TookEffect { index, beside: true, operation });
        applied.chain(read).collect()
    }
}

fn differ(first: NodeId, node: NodeId, index: LogIndex) -> Disagreement {
    Disagreement {
        property: STATE_HASH,
        nodes: vec![first, node],
        what: format!("their states differ after entry {index}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Reply, Value};

    fn answer(index: u64, value: &str) -> Answer {
        Answer { index: LogIndex::new(index), reply: Reply::value(Value::text(value)) }
    }

    /// Each row: what a second server does after a first one applied operation 7 at entry 3 and was in
    /// state 9, and whether that agrees.
    #[test]
    fn whoever_does_something_else_is_named() {
        let (one, two) = (NodeId::new(1), NodeId::new(2));
        for (operation, value, state, agrees) in
            [(7, "a", 9, true), (8, "a", 9, false), (7, "b", 9, false), (7, "a", 8, false)]
        {
            let mut agreement = Agreement::default();
            assert!(agreement.applied(one, 7, &answer(3, "a"), 9).is_ok());
            let second = agreement.applied(two, operation, &answer(3, value), state);
            assert_eq!(second.err().map(|differ| differ.nodes), (!agrees).then(|| vec![one, two]));
            let restored = agreement.restored(two, LogIndex::new(3), state);
            assert_eq!(restored.is_ok(), state == 9);
            assert!(agreement.restored(two, LogIndex::new(4), 9).is_err(), "nobody was there");
        }
    }

    /// Other servers apply it too, at the same place, and a server that starts again may.
    #[test]
    fn an_operation_that_is_applied_at_a_second_place_is_named() {
        let (one, two) = (NodeId::new(1), NodeId::new(2));
        let mut agreement = Agreement::default();
        for (node, place, once) in [(one, 3, true), (two, 3, true), (one, 3, true), (two, 4, false)] {
            let applied = agreement.applied(node, 7, &answer(place, "a"), 9);
            let property = applied.err().map(|disagreement| disagreement.property);
            assert_eq!(property, (!once).then_some("exactly-once"));
        }
    }

    #[test]
    fn whoever_has_other_sessions_is_named() {
        let (one, two) = (NodeId::new(1), NodeId::new(2));
        let mut agreement = Agreement::default();
        for (node, index, table, is_first) in
            [(one, 3, 9, Some(true)), (two, 3, 9, Some(false)), (two, 4, 8, Some(true)), (one, 4, 9, None)]
        {
            assert_eq!(agreement.in_sessions(node, LogIndex::new(index), table).ok(), is_first);
        }
    }
}
