//! What the disk is known to hold, and the messages that wait for it (Figure 2: "updated on stable
//! storage before responding to RPCs").

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};

use crate::effects::{Owner, WriteToken};
use crate::fingerprint::renamed;
use crate::message::{AppendEntriesReply, Envelope, InstallSnapshotReply, Message, RequestVoteReply};
use crate::state::HardState;
use crate::types::{EntryId, LogIndex, NodeId, Term, Time};

/// The disk as the core knows it. Writes are numbered from 1 in the order in which they are given, and
/// are confirmed in that order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    owner: Owner,
    given: u64,
    confirmed: u64,
    in_flight: VecDeque<InFlight>,
    durable: Durable,
    /// The hard state of the last write given.
    hard_state_given: HardState,
    /// The last write that carried it, or repaired something: nothing is said before that is confirmed.
    awaited_by_all: u64,
    /// The write that made the last snapshot whole.
    snapshot_write: u64,
    /// The last write that put entries in the places of damaged ones, and the first entry of all those that are not
    /// confirmed.
    repair: (u64, LogIndex),
    /// Messages that may leave once a write is confirmed, with its number; numbers never go down.
    held: VecDeque<(u64, Envelope)>,
}

/// What no crash can take away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Durable {
    pub(crate) hard_state: HardState,
    pub(crate) last: EntryId,
}

/// What a write has that others wait for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Holds {
    /// The last piece of a snapshot.
    pub(crate) whole_snapshot: bool,
    /// The first of the entries that it repairs.
    pub(crate) repaired: Option<LogIndex>,
}

/// A write that is not confirmed yet, and what its confirmation says: an *entry*, not an index. Where
/// the log was truncated since, it is the last entry before that.
#[derive(Clone, Copy, Debug)]
struct InFlight {
    sequence: u64,
    given_at: Time,
    confirms: Durable,
}

impl Disk {
    pub(crate) fn new(owner: Owner, hard_state: HardState, last: EntryId) -> Self {
        let durable = Durable { hard_state, last };
        Self { owner, durable, hard_state_given: hard_state, ..Self::default() }
    }

    pub(crate) const fn durable(&self) -> Durable {
        self.durable
    }

    /// The hard state, if the disk has not been given it yet.
    pub(crate) fn ungiven(&self, hard_state: HardState) -> Option<HardState> {
        (hard_state != self.hard_state_given).then_some(hard_state)
    }

    /// When the oldest of the writes was given that are not confirmed.
    pub(crate) fn oldest_given(&self) -> Option<Time> {
        self.in_flight.front().map(|write| write.given_at)
    }

    /// A write is given: with it, hard state and log end are these.
    pub(crate) fn give(
        &mut self,
        now: Time,
        hard_state: HardState,
        last: EntryId,
        holds: Holds,
    ) -> WriteToken {
        self.given += 1;
        let Holds { whole_snapshot, repaired } = holds;
        if let Some(first) = repaired {
            let before = if self.has_written(self.repair.0) { first } else { self.repair.1 };
            self.repair = (self.given, first.min(before));
            self.awaited_by_all = self.given;
        }
        if whole_snapshot {
            self.snapshot_write = self.given;
        }
        if hard_state != self.hard_state_given {
            self.hard_state_given = hard_state;
            self.awaited_by_all = self.given;
        }
        let confirms = Durable { hard_state, last };
        self.in_flight.push_back(InFlight { sequence: self.given, given_at: now, confirms });
        WriteToken { owner: self.owner, sequence: self.given }
    }

    /// The log was truncated in memory: nothing past `last` can be confirmed by what was given so far.
    pub(crate) fn truncate(&mut self, last: EntryId) {
        let known = self.in_flight.iter_mut().map(|write| &mut write.confirms).chain([&mut self.durable]);
        for durable in known {
            if durable.last.index > last.index {
                durable.last = last;
            }
        }
    }

    /// How much of this is on disk, as far as it depends on what was repaired.
    pub(crate) fn repaired_to(&self, index: LogIndex) -> LogIndex {
        let (write, first) = self.repair;
        if self.has_written(write) { index } else { index.min(first.prev()) }
    }

    /// A write is durable. False if it is not the next one of this server.
    pub(crate) fn confirm(&mut self, token: &WriteToken) -> bool {
        match self.in_flight.pop_front() {
            Some(write) if write.sequence == token.sequence && self.owner == token.owner => {
                self.confirmed = write.sequence;
                self.durable = write.confirms;
                true
            }
            Some(_) | None => false,
        }
    }

    /// The write that has to be confirmed before a message may leave: none for a term that is only
    /// proposed; else its term must be durable, a vote is so with its term, what was repaired must be, and what an
    /// acknowledgement says of the log must be durable too.
    pub(crate) fn write_needed(&self, message: &Message) -> u64 {
        if message.is_proposal() {
            return 0;
        }
        let entries = match message {
            Message::AppendEntriesReply(AppendEntriesReply::Accepted { match_index }) => {
                self.write_of(*match_index)
            }
            // A piece that was taken in has been given to the disk by now.
            Message::InstallSnapshotReply(_) => self.given,
            // A snapshot that a crash can take away may be made anew, with other bytes under the same name.
            Message::InstallSnapshot(_) => self.snapshot_write,
            Message::PreVote(_)
            | Message::PreVoteReply(_)
            | Message::RequestVote(_)
            | Message::RequestVoteReply(_)
            | Message::TimeoutNow
            | Message::AppendEntries(_)
            | Message::AppendEntriesReply(
                AppendEntriesReply::Rejected { .. } | AppendEntriesReply::Lost { .. },
            )
            | Message::Confirm(_)
            | Message::ConfirmReply(_)
            | Message::ReadIndex
            | Message::ReadIndexReply(_)
            | Message::NotMember(_)
            | Message::FetchEntries(_)
            | Message::FetchEntriesReply(_) => 0,
        };
        entries.max(self.awaited_by_all)
    }

    /// Whether this write is confirmed.
    pub(crate) const fn has_written(&self, write: u64) -> bool {
        write <= self.confirmed
    }

    /// Whether the last piece of the last whole snapshot is durable.
    pub(crate) const fn has_whole_snapshot(&self) -> bool {
        self.has_written(self.snapshot_write)
    }

    /// Sends a message, or holds it back until the write `needed` is confirmed.
    pub(crate) fn send_or_hold(&mut self, needed: u64, envelope: Envelope, send: &mut Vec<Envelope>) {
        if self.has_written(needed) {
            send.push(envelope);
            return;
        }
        // While the disk is slow a leader goes on asking, and one answer of each kind is enough: what an earlier
        // one said more, the next heartbeat brings again. A vote is asked for once, and stays given.
        if self.held.back().is_some_and(|(write, _)| *write >= needed) {
            let kind = envelope.message.kind();
            self.held.retain(|(write, held)| {
                let is_other = held.to != envelope.to || held.message.kind() != kind;
                *write != needed || is_other || (gives_vote(held) && held.session != envelope.session)
            });
            let place = self.held.partition_point(|(write, _)| *write <= needed);
            self.held.insert(place, (needed, envelope));
        } else {
            self.held.push_back((needed, envelope));
        }
    }

    /// A new term began: what was held back of earlier ones answers nobody any more.
    pub(crate) fn drop_held_before(&mut self, term: Term) {
        self.held.retain(|(_, envelope)| envelope.term >= term);
    }

    /// The entry at `from` is lost: what was to be said of it and what follows is not so any more.
    pub(crate) fn drop_acknowledgements(&mut self, from: LogIndex) {
        self.held.retain(|(_, envelope)| !acknowledges(envelope, from));
    }

    /// Sends the messages that need not wait any more.
    pub(crate) fn release(&mut self, send: &mut Vec<Envelope>) {
        while let Some((write, _)) = self.held.front()
            && *write <= self.confirmed
            && let Some((_, envelope)) = self.held.pop_front()
        {
            send.push(envelope);
        }
    }

    /// How many messages wait.
    pub(crate) fn held(&self) -> usize {
        self.held.len()
    }

    /// How many writes are not confirmed.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Feeds what a fingerprint needs: contents, not the numbers of writes.
    pub(crate) fn hash_state(&self, name: &dyn Fn(NodeId) -> NodeId, hasher: &mut impl Hasher) {
        let named = |known: Durable| Durable { hard_state: renamed(known.hard_state, name), ..known };
        (named(self.durable), renamed(self.hard_state_given, name)).hash(hasher);
        self.in_flight.iter().for_each(|write| named(write.confirms).hash(hasher));
        for (write, envelope) in &self.held {
            let behind = write.saturating_sub(self.confirmed);
            (behind, name(envelope.to), envelope.term, &envelope.message).hash(hasher);
        }
    }

    /// The write whose confirmation makes the entry at `index` durable; 0 if it is.
    fn write_of(&self, index: LogIndex) -> u64 {
        if index <= self.durable.last.index {
            return 0;
        }
        let covers = |write: &&InFlight| write.confirms.last.index >= index;
        self.in_flight.iter().find(covers).map_or(self.given, |write| write.sequence)
    }
}

/// Whether a vote is given with it.
fn gives_vote(envelope: &Envelope) -> bool {
    matches!(envelope.message, Message::RequestVoteReply(RequestVoteReply { vote_granted: true, .. }))
}

/// Whether a follower says that it has the entry at `from`.
pub(crate) fn acknowledges(envelope: &Envelope, from: LogIndex) -> bool {
    let last = if let Message::AppendEntriesReply(AppendEntriesReply::Accepted { match_index }) =
        &envelope.message
    {
        *match_index
    } else if let Message::InstallSnapshotReply(InstallSnapshotReply::Installed { snapshot }) =
        &envelope.message
    {
        snapshot.last_included.index
    } else {
        return false;
    };
    last >= from
}

#[cfg(test)]
mod tests;
