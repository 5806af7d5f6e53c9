//! How far one follower is, as its leader knows (Figure 2, volatile state on leaders).

use std::collections::VecDeque;
use std::time::Duration;

use crate::configuration::Votes;
use crate::membership::CatchUp;
use crate::snapshot::SnapshotId;
use crate::types::{Incarnation, LogIndex, NodeId, Session, Time};

/// How often the patience with a piece of a snapshot doubles.
const DOUBLINGS_MAX: u32 = 5;

/// What a leader knows of one follower.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    pub(crate) follower: NodeId,
    /// The conversation: only replies of this session count.
    pub(crate) session: Session,
    /// The next entry to send. Always past `match_index`.
    pub(crate) next_index: LogIndex,
    /// The last entry that is known to agree and to be durable there.
    pub(crate) match_index: LogIndex,
    /// Whether a heartbeat has to go out even if there is nothing new to say.
    pub(crate) heartbeat_due: bool,
    /// The life of its data directory that it answered from; none before it has.
    pub(crate) incarnation: Option<Incarnation>,
    /// In which electorates it counts.
    pub(crate) votes: Votes,
    /// How far it is on its way to vote.
    pub(crate) catch_up: CatchUp,
    /// When it last answered, or when the leader's reign began.
    pub(crate) heard: Time,
    /// When it last agreed to anything, or when the leader's reign began.
    pub(crate) agreed: Time,
    /// The last round of heartbeats for reads that it has acknowledged (thesis 6.4).
    pub(crate) confirmed: u64,
    pub(crate) pace: Pace,
}

/// How much may be on its way to a follower.
#[derive(Clone, Debug)]
pub(crate) enum Pace {
    /// Where the logs agree is not known: one message, then its answer or a heartbeat.
    Probe { sent: bool },
    /// The follower takes what is sent: messages follow each other without waiting.
    Replicate { in_flight: InFlight },
    /// The follower lacks what was compacted: it is sent a snapshot, piece by piece (§7).
    Snapshot {
        snapshot: SnapshotId,
        /// Where the piece begins that the follower wants.
        offset: u64,
        piece: Piece,
        /// How often the piece went out without an answer.
        unanswered: u32,
        /// When the follower last took one.
        heard: Time,
    },
}

/// The messages with entries that are on their way, in order: the last index of each, and its size.
#[derive(Clone, Debug, Default)]
pub(crate) struct InFlight {
    messages: VecDeque<(LogIndex, usize)>,
    bytes: usize,
}

impl InFlight {
    fn sent(&mut self, last: LogIndex, bytes: usize) {
        self.messages.push_back((last, bytes));
        self.bytes += bytes;
    }

    fn accepted(&mut self, match_index: LogIndex) {
        while let Some(&(last, bytes)) = self.messages.front()
            && last <= match_index
        {
            self.messages.pop_front();
            self.bytes -= bytes;
        }
    }

    /// Bytes of entries in them.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The last index of each message.
    pub(crate) fn lasts(&self) -> impl ExactSizeIterator<Item = LogIndex> {
        self.messages.iter().map(|&(last, _)| last)
    }
}

/// What has become of the piece that a follower wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Piece {
    Wanted,
    Loading,
    Sent { at: Time },
}

impl Progress {
    /// A follower of whom a new leader knows nothing: nextIndex is one past the leader's last entry.
    pub(crate) const fn new(follower: NodeId, session: Session, next_index: LogIndex, now: Time) -> Self {
        Self {
            follower,
            session,
            next_index,
            match_index: LogIndex::ZERO,
            heartbeat_due: true,
            incarnation: None,
            votes: Votes { old: false, new: false },
            catch_up: CatchUp::new(),
            heard: now,
            agreed: now,
            confirmed: 0,
            pace: Pace::Probe { sent: false },
        }
    }

    /// Whether entries may be sent now, with a window of so many messages and bytes.
    pub(crate) fn has_room(&self, (messages, bytes): (usize, usize)) -> bool {
        match &self.pace {
            Pace::Probe { sent } => !sent || self.heartbeat_due,
            Pace::Replicate { in_flight } => in_flight.messages.len() < messages && in_flight.bytes < bytes,
            Pace::Snapshot { .. } => false,
        }
    }

    /// The entry that what is sent now joins on to. Whoever has had no answer to a piece of a snapshot may not know that it was
    /// installed: then a heartbeat joins on to that, and its answer tells.
    pub(crate) fn joins_on_to(&self) -> LogIndex {
        match &self.pace {
            Pace::Snapshot { snapshot, unanswered: 1.., .. } => snapshot.last_included.index,
            Pace::Snapshot { .. } | Pace::Probe { .. } | Pace::Replicate { .. } => self.next_index.prev(),
        }
    }

    /// A message went out, with so many bytes of entries up to `last` if it had any.
    pub(crate) fn sent(&mut self, last: Option<LogIndex>, bytes: usize) {
        self.heartbeat_due = false;
        match (&mut self.pace, last) {
            (Pace::Probe { sent }, _) => *sent = true,
            (Pace::Replicate { in_flight }, Some(last)) => {
                in_flight.sent(last, bytes);
                self.next_index = last.next();
            }
            (Pace::Replicate { .. }, None) | (Pace::Snapshot { .. }, _) => {}
        }
    }

    /// The follower agrees up to `match_index`; the leader's log begins after `base`. Whether that is more
    /// than was known.
    pub(crate) fn accepted(&mut self, match_index: LogIndex, base: LogIndex) -> bool {
        let is_more = match_index > self.match_index;
        self.agreed = self.heard;
        self.match_index = self.match_index.max(match_index);
        self.next_index = self.next_index.max(self.match_index.next());
        match &mut self.pace {
            // An answer to a heartbeat says nothing about the snapshot.
            Pace::Snapshot { .. } if match_index < base => {}
            Pace::Probe { .. } | Pace::Snapshot { .. } => {
                self.pace = Pace::Replicate { in_flight: InFlight::default() };
            }
            Pace::Replicate { in_flight } => in_flight.accepted(match_index),
        }
        is_more
    }

    /// Whether a refusal of what came after `refused` is news: one that was overtaken is not.
    pub(crate) fn is_news(&self, refused: LogIndex) -> bool {
        match self.pace {
            Pace::Probe { .. } => refused == self.next_index.prev(),
            Pace::Replicate { .. } => refused > self.match_index && refused < self.next_index,
            Pace::Snapshot { .. } => false,
        }
    }

    /// The follower refused; the two logs may agree up to `shared`, not further.
    pub(crate) fn refused(&mut self, refused: LogIndex, shared: LogIndex) {
        self.next_index = shared.next().min(refused).max(self.match_index.next());
        self.pace = Pace::Probe { sent: false };
    }

    /// Whether the follower has not got what it acknowledged, and does not know it, as with a disk that was put back to what it
    /// was. By what it says the two logs agree up to `shared` at most, and it has agreed to nothing for so long that this is no
    /// late answer.
    pub(crate) fn disowns(&self, shared: LogIndex, patience: Duration) -> bool {
        let takes_entries = !matches!(self.pace, Pace::Snapshot { .. });
        takes_entries && shared < self.match_index && self.heard.since(self.agreed) > patience
    }

    /// The follower has lost what it acknowledged, or may have: what was said so far counts for nothing.
    pub(crate) fn begin_anew(&mut self, session: Session, next_index: LogIndex) {
        (self.session, self.next_index, self.match_index) = (session, next_index, LogIndex::ZERO);
        self.catch_up = CatchUp::new();
        self.pace = Pace::Probe { sent: false };
    }

    /// Whether this snapshot begins to be sent now; it may be on its way already.
    pub(crate) fn start_snapshot(&mut self, id: SnapshotId, now: Time) -> bool {
        if matches!(&self.pace, Pace::Snapshot { snapshot, .. } if *snapshot == id) {
            return false;
        }
        self.pace =
            Pace::Snapshot { snapshot: id, offset: 0, piece: Piece::Wanted, unanswered: 0, heard: now };
        true
    }

    /// Where the piece begins that has to be read from disk now: the next one, or one that went out
    /// `patience` ago and was not answered. The patience doubles each time: on a slow link the piece may
    /// still be on its way.
    pub(crate) fn wants_chunk(&mut self, now: Time, patience: Duration) -> Option<u64> {
        let Pace::Snapshot { offset, piece, unanswered, .. } = &mut self.pace else { return None };
        let wanted = match *piece {
            Piece::Wanted => true,
            Piece::Loading => false,
            Piece::Sent { at } => now.since(at) >= patience * (1 << (*unanswered).min(DOUBLINGS_MAX)),
        };
        if wanted && *piece != Piece::Wanted {
            *unanswered += 1;
        }
        if wanted {
            *piece = Piece::Loading;
        }
        wanted.then_some(*offset)
    }

    /// The piece at `offset` was read; whether it goes to this follower.
    pub(crate) fn sends_chunk(&mut self, id: SnapshotId, at: u64, now: Time) -> bool {
        match &mut self.pace {
            Pace::Snapshot { snapshot, offset, piece, .. }
                if *snapshot == id && *offset == at && *piece == Piece::Loading =>
            {
                *piece = Piece::Sent { at: now };
                true
            }
            Pace::Snapshot { .. } | Pace::Probe { .. } | Pace::Replicate { .. } => false,
        }
    }

    /// The follower has all of the snapshot before `next`. What it said of the piece that is on its way
    /// already is no news.
    pub(crate) fn chunk_received(&mut self, id: SnapshotId, next: u64, now: Time) {
        if let Pace::Snapshot { snapshot, offset, piece, unanswered, heard } = &mut self.pace
            && *snapshot == id
            && *offset != next
        {
            (*offset, *piece, *unanswered, *heard) = (next, Piece::Wanted, 0, now);
        }
    }

    /// What was not answered may be now: a server that was away, or no member when it was asked, is there now, perhaps.
    pub(crate) const fn ask_again(&mut self) {
        if let Pace::Snapshot { unanswered, .. } = &mut self.pace {
            *unanswered = 0;
        }
    }

    /// When the follower last took a piece of a snapshot, if it is being sent one.
    pub(crate) const fn snapshot_heard(&self) -> Option<Time> {
        match self.pace {
            Pace::Snapshot { heard, .. } => Some(heard),
            Pace::Probe { .. } | Pace::Replicate { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(next: u64) -> Progress {
        Progress::new(NodeId::new(2), Session(1), LogIndex::new(next), Time::ZERO)
    }

    #[test]
    fn a_probe_waits_for_its_answer_or_a_heartbeat() {
        let mut progress = progress(5);
        assert!(progress.has_room((9, 9)));
        progress.sent(Some(LogIndex::new(7)), 5);
        assert!(!progress.has_room((9, 9)));
        assert_eq!(progress.next_index, LogIndex::new(5));
        progress.heartbeat_due = true;
        assert!(progress.has_room((9, 9)));
    }

    #[test]
    fn replication_stops_at_the_window() {
        let mut progress = progress(1);
        progress.accepted(LogIndex::ZERO, LogIndex::ZERO);
        progress.sent(Some(LogIndex::new(1)), 5);
        progress.sent(Some(LogIndex::new(2)), 5);
        assert!(!progress.has_room((2, 99)));
        progress.accepted(LogIndex::new(1), LogIndex::ZERO);
        assert!(progress.has_room((2, 99)));
        assert!(progress.has_room((2, 6)) && !progress.has_room((2, 5)));
    }

    #[test]
    fn a_piece_is_sent_again_later_and_later() {
        let id = SnapshotId::default();
        let second = Duration::from_secs(1);
        let mut progress = progress(1);
        assert!(progress.start_snapshot(id, Time::ZERO) && !progress.start_snapshot(id, Time::ZERO));
        let sent_at: Vec<_> = (0..40)
            .filter(|&at| {
                let now = Time::ZERO.after(second * at);
                progress.wants_chunk(now, second).is_some() && progress.sends_chunk(id, 0, now)
            })
            .collect();
        assert_eq!(sent_at, [0, 1, 3, 7, 15, 31]);
        progress.chunk_received(id, 9, Time::ZERO.after(second * 40));
        assert_eq!(progress.wants_chunk(Time::ZERO.after(second * 40), second), Some(9));
    }

    /// What is read or said of another snapshot, or read of another place in it, is of no account.
    #[test]
    fn a_piece_is_of_one_snapshot_and_one_place() {
        let (id, second) = (SnapshotId::default(), Duration::from_secs(1));
        let (now, other) = (Time::ZERO, SnapshotId { made_by: Incarnation(9), ..id });
        let mut progress = progress(1);
        progress.start_snapshot(id, now);
        assert_eq!(progress.wants_chunk(now, second), Some(0));
        assert!(!progress.sends_chunk(other, 0, now) && !progress.sends_chunk(id, 7, now));
        progress.chunk_received(other, 7, now);
        assert!(progress.sends_chunk(id, 0, now));
        progress.chunk_received(id, 7, now);
        assert_eq!(progress.wants_chunk(now, second), Some(7));
    }

    /// It is asked for once, and the patience with its answer begins when it was sent. A leader may be late.
    #[test]
    fn a_piece_that_is_being_read_is_not_wanted_again() {
        let (id, second) = (SnapshotId::default(), Duration::from_secs(1));
        let at = |tenths| Time::ZERO.after(second * tenths / 10);
        let mut progress = progress(1);
        progress.start_snapshot(id, at(0));
        assert_eq!(progress.wants_chunk(at(0), second), Some(0));
        assert_eq!([10, 20].map(|now| progress.wants_chunk(at(now), second)), [None, None]);
        assert!(progress.sends_chunk(id, 0, at(25)) && !progress.sends_chunk(id, 0, at(25)));
        assert_eq!([34, 36].map(|now| progress.wants_chunk(at(now), second)), [None, Some(0)]);
    }

    /// Each row: up to where a log may be the leader's by what a follower says that has acknowledged 6, how long after that, and
    /// whether it does not know what it has said.
    #[test]
    fn a_follower_that_refuses_for_long_what_it_acknowledged_has_lost_it() {
        let patience = Duration::from_millis(300);
        for (shared, after, disowns) in [(5, 301, true), (5, 300, false), (6, 301, false), (9, 999, false)] {
            let mut progress = progress(5);
            progress.heard = Time::ZERO.after(patience);
            progress.accepted(LogIndex::new(6), LogIndex::ZERO);
            progress.heard = progress.heard.after(Duration::from_millis(after));
            assert_eq!(progress.disowns(LogIndex::new(shared), patience), disowns, "{shared} {after}");
            progress.start_snapshot(SnapshotId::default(), Time::ZERO);
            assert!(!progress.disowns(LogIndex::new(shared), patience), "it is on its way to get all");
        }
    }

    /// Late refusals must move nothing (etcd's LogReplicationWithReorderedMessage).
    #[test]
    fn a_late_refusal_is_no_news() {
        let mut progress = progress(5);
        assert!(progress.is_news(LogIndex::new(4)) && !progress.is_news(LogIndex::new(3)));
        progress.accepted(LogIndex::new(6), LogIndex::ZERO);
        assert!(!progress.is_news(LogIndex::new(6)));
        assert!(!progress.is_news(LogIndex::new(7)), "nothing went out that comes after it");
        progress.sent(Some(LogIndex::new(9)), 5);
        assert!(progress.is_news(LogIndex::new(7)));
        progress.refused(LogIndex::new(7), LogIndex::new(2));
        assert_eq!(progress.next_index, LogIndex::new(7));
    }
}
