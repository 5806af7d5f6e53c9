//! How many messages with entries are on their way from leaders to followers at a time: whoever sends on without an answer
//! fills the memory of both.

use std::collections::{BTreeMap, VecDeque};

use raft_core::{
    AppendEntries, AppendEntriesReply, Envelope, InstallSnapshotReply, LogIndex, Message, Session, Term,
};

use super::network::Direction;

/// What is on its way, of each leader to each follower.
#[derive(Default)]
pub(super) struct Windows {
    on_way: BTreeMap<Direction, OnWay>,
    most: u64,
}

/// Messages each of which joins on to the one before: nobody waited for an answer between them.
struct OnWay {
    conversation: (Term, Session),
    /// The last entry of each, but for those that are known to have come in.
    lasts: VecDeque<LogIndex>,
    /// The last entry of the last one.
    last: LogIndex,
}

impl Windows {
    /// The most that were on their way from one server to another at a time.
    pub(super) const fn most(&self) -> u64 {
        self.most
    }

    /// A message is sent.
    pub(super) fn sends(&mut self, envelope: &Envelope) {
        let Message::AppendEntries(AppendEntries { prev_log, entries, .. }) = &envelope.message else {
            return;
        };
        let Some(last) = entries.last().map(|entry| entry.id.index) else { return };
        let conversation = (envelope.term, envelope.session);
        let begun = || OnWay { conversation, lasts: VecDeque::new(), last: prev_log.index };
        let on_way = self.on_way.entry((envelope.from, envelope.to)).or_insert_with(begun);
        if on_way.conversation != conversation || on_way.last != prev_log.index {
            *on_way = begun();
        }
        on_way.last = last;
        on_way.lasts.push_back(last);
        self.most = self.most.max(on_way.lasts.len() as u64);
    }

    /// A message has come in.
    pub(super) fn receives(&mut self, envelope: &Envelope) {
        let message = &envelope.message;
        let match_index = if let Message::AppendEntriesReply(AppendEntriesReply::Accepted { match_index }) =
            message
        {
            *match_index
        } else if let Message::InstallSnapshotReply(InstallSnapshotReply::Installed { snapshot }) = message {
            snapshot.last_included.index
        } else {
            return;
        };
        let Some(on_way) = self.on_way.get_mut(&(envelope.to, envelope.from)) else { return };
        let (_, session) = on_way.conversation;
        while session == envelope.session && on_way.lasts.front().is_some_and(|last| *last <= match_index) {
            on_way.lasts.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use raft_core::{ClusterId, Entry, EntryId, GroupId, Incarnation, NodeId, Payload};

    use super::*;

    fn envelope(from: u64, to: u64, session: u64, message: Message) -> Envelope {
        Envelope {
            cluster: ClusterId(1),
            group: GroupId::default(),
            from: NodeId::new(from),
            incarnation: Incarnation::default(),
            to: NodeId::new(to),
            term: Term::new(1),
            session: Session(session),
            message,
        }
    }

    /// Server 1 sends `count` entries after `prev` to server 2.
    fn sends(windows: &mut Windows, session: u64, prev: u64, count: u64) {
        let id = |index| EntryId::new(Term::new(1), LogIndex::new(index));
        let entries = (1..=count).map(|nth| Entry::new(id(prev + nth), Payload::Noop)).collect();
        let append = AppendEntries { prev_log: id(prev), entries, leader_commit: LogIndex::ZERO };
        windows.sends(&envelope(1, 2, session, Message::AppendEntries(append)));
    }

    fn accepts(windows: &mut Windows, session: u64, match_index: u64) {
        let reply = AppendEntriesReply::Accepted { match_index: LogIndex::new(match_index) };
        windows.receives(&envelope(2, 1, session, Message::AppendEntriesReply(reply)));
    }

    #[test]
    fn what_is_sent_without_waiting_and_not_accepted_is_on_its_way() {
        let mut windows = Windows::default();
        sends(&mut windows, 7, 0, 2);
        sends(&mut windows, 7, 2, 0);
        sends(&mut windows, 7, 2, 1);
        assert_eq!(windows.most(), 2, "a heartbeat has nothing on its way");
        accepts(&mut windows, 7, 2);
        accepts(&mut windows, 8, 9);
        sends(&mut windows, 7, 3, 1);
        assert_eq!(windows.most(), 2, "the first one has come in");
        sends(&mut windows, 7, 4, 1);
        assert_eq!(windows.most(), 3);
        // A probe goes out again and again, and so does what comes after a refusal.
        for _ in 0..9 {
            sends(&mut windows, 7, 3, 1);
        }
        sends(&mut windows, 9, 4, 1);
        assert_eq!(windows.most(), 3);
    }
}
