//! The reads that wait at one server. What confirms them is in `read_index.rs`.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::mem;

use crate::config::Config;
use crate::effects::{Read, ReadOutcome};
use crate::types::{EntryId, LogIndex, NodeId, ReadId, Session, Time};

/// Reads on their way: waiting, confirmed, answered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reads {
    /// Those that are not confirmed, in the order in which they came in.
    waiting: Vec<Waiting>,
    /// The last round that was begun in this life. No number is used twice in it.
    pub(crate) round: u64,
    pub(crate) under_way: Option<UnderWay>,
    /// Those that wait for the state machine to get to their read index.
    confirmed: BTreeMap<LogIndex, Vec<ReadId>>,
    /// What the world has not been told yet.
    answered: Vec<Read>,
}

/// A read, and the round that confirms it: the first one that was begun after it came in.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    asker: Asker,
    round: u64,
}

/// Who wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// A client of this server.
    Here(ReadId),
    /// A follower, for any number of reads.
    Follower(NodeId, Session),
}

/// The round that was begun last and has not ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum UnderWay {
    /// A leader asks its followers, since then. What was committed when it began to.
    Confirming { read_index: EntryId, since: Time },
    /// A follower asks its leader, since then, and has sent the question last then.
    Asking { session: Session, since: Time, sent: Time },
}

impl Reads {
    /// Whether any read is not confirmed.
    pub(crate) const fn are_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether none waits and none is asked for.
    pub(crate) const fn are_idle(&self) -> bool {
        self.waiting.is_empty() && self.under_way.is_none()
    }

    /// How many have not been answered.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len() + self.confirmed.values().map(Vec::len).sum::<usize>() + self.answered.len()
    }

    /// A read came in. A follower asks one question at a time, and the last one counts.
    pub(crate) fn wait(&mut self, asker: Asker) {
        if let Asker::Follower(follower, _) = asker {
            if self.waiting.iter().any(|read| read.asker == asker) {
                return;
            }
            self.waiting.retain(|read| !matches!(read.asker, Asker::Follower(other, _) if other == follower));
        }
        self.waiting.push(Waiting { asker, round: self.round + 1 });
    }

    /// The next round begins.
    pub(crate) const fn begin_round(&mut self, under_way: UnderWay) {
        self.round += 1;
        self.under_way = Some(under_way);
    }

    /// The round under way is over: whom it was begun for.
    pub(crate) fn end_round(&mut self) -> Vec<Asker> {
        self.under_way = None;
        let (ended, left): (Vec<_>, _) =
            mem::take(&mut self.waiting).into_iter().partition(|read| read.round <= self.round);
        self.waiting = left;
        ended.into_iter().map(|read| read.asker).collect()
    }

    /// Whoever waits, in whatever round.
    pub(crate) fn take_waiting(&mut self) -> Vec<Asker> {
        mem::take(&mut self.waiting).into_iter().map(|read| read.asker).collect()
    }

    pub(crate) fn confirm(&mut self, id: ReadId, read_index: LogIndex) {
        self.confirmed.entry(read_index).or_default().push(id);
    }

    pub(crate) fn refuse(&mut self, id: ReadId, leader: Option<NodeId>) {
        self.answered.push(Read { id, outcome: ReadOutcome::NotLeader { leader } });
    }

    /// Those that are confirmed and wait for more than what is committed here.
    pub(crate) fn take_beyond(&mut self, commit_index: LogIndex) -> Vec<ReadId> {
        self.confirmed.split_off(&commit_index.next()).into_values().flatten().collect()
    }

    /// What became of reads since the last time; the state machine has been given all up to `last_applied`.
    pub(crate) fn take_answered(&mut self, last_applied: LogIndex) -> Vec<Read> {
        if self.confirmed.is_empty() {
            return mem::take(&mut self.answered);
        }
        while let Some(first) = self.confirmed.first_entry()
            && *first.key() <= last_applied
        {
            let (read_index, ids) = first.remove_entry();
            let outcome = ReadOutcome::Ready { read_index };
            self.answered.extend(ids.into_iter().map(|id| Read { id, outcome }));
        }
        mem::take(&mut self.answered)
    }

    /// When a follower asks again, or gives up.
    pub(crate) fn deadline(&self, config: &Config) -> Option<Time> {
        match self.under_way {
            Some(UnderWay::Asking { since, sent, .. }) => {
                Some(since.after(config.election_timeout.1).min(sent.after(config.heartbeat)))
            }
            Some(UnderWay::Confirming { .. }) | None => None,
        }
    }

    /// Feeds what a fingerprint needs: nothing where there are no reads.
    pub(crate) fn hash_state(&self, name: &dyn Fn(NodeId) -> NodeId, hasher: &mut impl Hasher) {
        for read in &self.waiting {
            match read.asker {
                Asker::Here(id) => (true, id).hash(hasher),
                Asker::Follower(follower, _) => (false, name(follower)).hash(hasher),
            }
            (read.round <= self.round).hash(hasher);
        }
        if let Some(UnderWay::Confirming { read_index, .. }) = self.under_way {
            read_index.hash(hasher);
        }
        self.confirmed.iter().for_each(|confirmed| confirmed.hash(hasher));
        for Read { id, outcome } in &self.answered {
            let outcome = match *outcome {
                ReadOutcome::Ready { .. } => *outcome,
                ReadOutcome::NotLeader { leader } => ReadOutcome::NotLeader { leader: leader.map(name) },
            };
            (id, outcome).hash(hasher);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fingerprint::{Fnv1a, all_differ, names};
    use crate::types::Term;

    fn after(events: impl FnOnce(&mut Reads)) -> Reads {
        let mut reads = Reads::default();
        events(&mut reads);
        reads
    }

    const fn here(read: u64) -> Asker {
        Asker::Here(ReadId(read))
    }

    const fn confirming(index: u64) -> UnderWay {
        let read_index = EntryId::new(Term::new(1), LogIndex::new(index));
        UnderWay::Confirming { read_index, since: Time::ZERO }
    }

    #[test]
    fn a_fingerprint_tells_who_waits_for_what() {
        let begun = |read_index, before: bool| {
            after(|reads| {
                if before {
                    reads.wait(here(1));
                }
                reads.begin_round(confirming(read_index));
                if !before {
                    reads.wait(here(1));
                }
            })
        };
        let states = [
            Reads::default(),
            after(|reads| reads.wait(here(1))),
            after(|reads| reads.wait(here(2))),
            after(|reads| reads.wait(Asker::Follower(NodeId::new(2), Session(1)))),
            after(|reads| reads.wait(Asker::Follower(NodeId::new(3), Session(1)))),
            begun(3, true),
            begun(3, false),
            begun(4, true),
            after(|reads| reads.confirm(ReadId(1), LogIndex::new(3))),
            after(|reads| reads.confirm(ReadId(2), LogIndex::new(3))),
            after(|reads| reads.confirm(ReadId(1), LogIndex::new(4))),
            after(|reads| reads.refuse(ReadId(1), None)),
            after(|reads| reads.refuse(ReadId(2), None)),
            after(|reads| reads.refuse(ReadId(1), Some(NodeId::new(2)))),
            after(|reads| reads.refuse(ReadId(1), Some(NodeId::new(3)))),
        ];
        let feed = |state: &Reads, name: &dyn Fn(NodeId) -> NodeId, hasher: &mut Fnv1a| {
            state.hash_state(name, hasher);
        };
        let all = names(&states, false, feed);
        let renamed = names(&states, true, feed);
        assert_eq!((all[3], all[13]), (renamed[4], renamed[14]));
        assert!(all_differ(all));
    }
}
