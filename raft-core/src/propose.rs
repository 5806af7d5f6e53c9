//! What clients ask a leader to do (§5.3), and how much of it may wait to be committed.

use std::collections::VecDeque;

use bytes::Bytes;

#[cfg(doc)]
use crate::effects::Effects;
use crate::entry::{Payload, weight};
use crate::event::Event;
use crate::input::ProposeError;
use crate::state::{Health, Raft, Role};
use crate::transfer::Transfer;
use crate::types::{EntryId, LogIndex};

/// The commands of a leader's reign that are not committed yet, by their size in memory. No-ops do not count:
/// a reign begins with nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Uncommitted {
    runs: VecDeque<Run>,
    bytes: usize,
}

/// Commands of one size that follow each other.
#[derive(Clone, Copy, Debug)]
struct Run {
    first: LogIndex,
    last: LogIndex,
    bytes_each: usize,
}

impl Run {
    fn count(self) -> usize {
        usize::try_from(self.last.next().get() - self.first.get()).unwrap_or(usize::MAX)
    }
}

impl Uncommitted {
    /// Adds as many of `count` commands of one size, from index `first` on, as there is room for; returns how many.
    /// The first one of all may be of any size: else it never could.
    fn add(&mut self, first: LogIndex, count: usize, bytes_each: usize, bytes_max: usize) -> usize {
        let at_least = usize::from(self.runs.is_empty());
        let added = (bytes_max.saturating_sub(self.bytes) / bytes_each).max(at_least).min(count);
        if added > 0 {
            let last = LogIndex::new(first.get() + added as u64 - 1);
            self.bytes += added * bytes_each;
            match self.runs.back_mut() {
                Some(run) if run.bytes_each == bytes_each && run.last.next() == first => run.last = last,
                Some(_) | None => self.runs.push_back(Run { first, last, bytes_each }),
            }
        }
        added
    }

    /// All up to `index` is committed.
    pub(crate) fn committed(&mut self, index: LogIndex) {
        while let Some(run) = self.runs.front_mut()
            && run.first <= index
        {
            let gone = Run { last: run.last.min(index), ..*run };
            self.bytes -= gone.count() * gone.bytes_each;
            run.first = gone.last.next();
            if run.first > run.last {
                self.runs.pop_front();
            }
        }
    }
}

impl Raft {
    /// Appends a client's command to the leader's log (§5.3). It is committed when an entry with the id
    /// returned is handed out in [`Effects::apply`], and certainly lost when one with the same index
    /// and another term is. Until then nobody knows.
    ///
    /// # Errors
    ///
    /// This server does not lead, is about to lead no longer, or has too much that is not committed
    /// ([`Config::uncommitted_bytes_max`](crate::Config::uncommitted_bytes_max)); nothing was appended.
    pub fn propose(&mut self, command: Bytes) -> Result<EntryId, ProposeError> {
        let payload = Payload::Command(command);
        let (bytes, bytes_max) = (payload.weight(), self.config.uncommitted_bytes_max);
        let index = self.log.last().index.next();
        let uncommitted = self.takes_commands()?;
        if uncommitted.add(index, 1, bytes, bytes_max) == 0 {
            return Err(ProposeError::Overloaded);
        }
        Ok(self.append(payload))
    }

    /// Appends commands as [`Raft::propose`] does, one after the other, for less than it costs to append each by
    /// itself. Those that were appended are taken out of `commands`, and their ids returned, in order. Of those that are
    /// left the first has found no room ([`ProposeError::Overloaded`]); the others have not been tried.
    ///
    /// # Errors
    ///
    /// Those of [`Raft::propose`], for the first command; none was appended, and all are still there.
    pub fn propose_all(
        &mut self,
        commands: &mut Vec<Bytes>,
    ) -> Result<impl ExactSizeIterator<Item = EntryId> + use<>, ProposeError> {
        let bytes_max = self.config.uncommitted_bytes_max;
        let (term, last) = (self.current_term, self.log.last().index.get());
        let id = move |place: usize| EntryId::new(term, LogIndex::new(last + 1 + place as u64));
        let uncommitted = self.takes_commands()?;
        let mut count = 0;
        for run in commands.chunk_by(|one, next| one.len() == next.len()) {
            let bytes_each = run.first().map_or(1, |command| weight(command));
            let added = uncommitted.add(id(count).index, run.len(), bytes_each, bytes_max);
            count += added;
            if added < run.len() {
                break;
            }
        }
        if count == 0 && !commands.is_empty() {
            return Err(ProposeError::Overloaded);
        }
        let appended = self.log.append_commands(term, commands.drain(..count));
        if self.config.observe {
            self.events.extend(appended.iter().map(Event::appended));
        }
        Ok((0..count).map(id))
    }

    /// The account of what is not committed, if this server takes commands.
    fn takes_commands(&mut self) -> Result<&mut Uncommitted, ProposeError> {
        let leader = self.leader();
        match &mut self.role {
            Role::Leader { .. } if self.health != Health::Sound => {
                Err(ProposeError::NotLeader { leader: None })
            }
            Role::Leader { transfer: Some(Transfer { to, .. }), .. } => {
                Err(ProposeError::Transferring { to: *to })
            }
            Role::Leader { transfer: None, uncommitted, .. } => Ok(uncommitted),
            Role::Follower { .. } | Role::PreCandidate { .. } | Role::Candidate { .. } => {
                Err(ProposeError::NotLeader { leader })
            }
        }
    }

    pub(crate) fn append(&mut self, payload: Payload) -> EntryId {
        let (id, checksum) = self.log.append(self.current_term, payload);
        self.observe(|| Event::Appended { id, checksum });
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::state::Restored;
    use crate::types::{NodeId, Time};
    use crate::{Effects, Input};

    /// A server that leads by itself, with room for so many bytes beside what entries take.
    fn leader(entries: usize, bytes: usize) -> Raft {
        let id = NodeId::new(1);
        let mut config = Config::new(id, vec![id]);
        config.uncommitted_bytes_max = entries * weight(&[]) + bytes;
        config.observe = true;
        let mut raft = Raft::new(config, Restored::default(), Time::ZERO).unwrap();
        let due = raft.deadline();
        raft.step(due, Input::Tick);
        while let Effects { write: Some(write), .. } = raft.take_effects() {
            raft.step(due, Input::Persisted(write.token));
        }
        raft.step(due, Input::Applied);
        raft
    }

    fn commands(sizes: &[usize]) -> Vec<Bytes> {
        sizes.iter().map(|&size| vec![7; size].into()).collect()
    }

    /// Each row: the sizes of commands that come at once, and how many of them there is room for.
    #[test]
    fn commands_at_once_are_appended_as_one_by_one() {
        for (sizes, room) in [
            (&[][..], 0),
            (&[1], 1),
            (&[9, 9, 9], 3),
            (&[9, 9, 9, 9], 3),
            (&[9, 1, 9, 1], 4),
            (&[1, 1, 30, 1], 3),
            (&[1, 1, 99, 1], 2),
            (&[999, 1], 1),
        ] {
            let (mut one_by_one, mut at_once) = (leader(4, 29), leader(4, 29));
            let proposed = commands(sizes).into_iter().map_while(|command| one_by_one.propose(command).ok());
            let mut left = commands(sizes);
            let ids: Vec<_> = at_once.propose_all(&mut left).unwrap().collect();
            assert_eq!(ids, proposed.collect::<Vec<_>>(), "{sizes:?}");
            assert_eq!((ids.len(), &left), (room, &commands(&sizes[room..])), "{sizes:?}");
            assert_eq!(at_once.take_effects().events, one_by_one.take_effects().events, "{sizes:?}");
            assert_eq!(at_once.fingerprint(), one_by_one.fingerprint(), "{sizes:?}");
        }
    }

    #[test]
    fn commands_that_are_refused_are_left() {
        let mut raft = leader(2, 9);
        let mut twice = commands(&[4, 4]);
        assert_eq!(raft.propose_all(&mut twice).unwrap().len(), 2);
        let mut more = commands(&[4, 1]);
        assert_eq!(raft.propose_all(&mut more).err(), Some(ProposeError::Overloaded));
        let due = raft.now.after(std::time::Duration::from_secs(9));
        raft.step(due, Input::WriteFailed);
        assert_eq!(raft.propose_all(&mut more).err(), Some(ProposeError::NotLeader { leader: None }));
        assert_eq!(more, commands(&[4, 1]));
    }

    /// Each row: the sizes of two commands each at indexes 1 and 2, 3 and 4; up to where they are committed; what is
    /// left.
    #[test]
    fn what_is_committed_makes_room() {
        for (sizes, committed, left) in [
            ([5, 5], 0, 20),
            ([5, 5], 1, 15),
            ([5, 5], 3, 5),
            ([5, 7], 1, 19),
            ([5, 7], 2, 14),
            ([5, 7], 3, 7),
            ([5, 7], 9, 0),
        ] {
            let mut uncommitted = Uncommitted::default();
            for (place, size) in (0u64..).zip(sizes) {
                assert_eq!(uncommitted.add(LogIndex::new(2 * place + 1), 2, size, 99), 2);
            }
            uncommitted.committed(LogIndex::new(committed));
            assert_eq!(uncommitted.bytes, left, "{sizes:?} {committed}");
            assert_eq!(uncommitted.runs.is_empty(), left == 0, "{sizes:?} {committed}");
        }
    }

    #[test]
    fn a_run_ends_where_an_index_is_left_out() {
        let mut uncommitted = Uncommitted::default();
        for index in [1, 3] {
            assert_eq!(uncommitted.add(LogIndex::new(index), 1, 5, 99), 1);
        }
        uncommitted.committed(LogIndex::new(2));
        assert_eq!(uncommitted.bytes, 5);
    }
}
