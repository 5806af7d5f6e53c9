//! What is committed (§5.3, §5.4), and how far a majority has come.

use crate::event::Event;
use crate::planted::planted;
use crate::progress::Progress;
use crate::quorum::reached_by_majority;
use crate::state::{Raft, Role};
use crate::types::LogIndex;

impl Raft {
    /// Leaders: if there exists an N such that a majority of matchIndex ≥ N, and log\[N\] is of the
    /// current term, N is committed (§5.3, §5.4). The leader counts itself up to what it has on disk.
    pub(crate) fn advance_commit_index(&mut self) {
        let Role::Leader { progress, .. } = &self.role else { return };
        if self.commit_index == self.log.last().index {
            return;
        }
        let durable = self.sound_durable();
        let n = self.reached_by_majority(progress, |peer| peer.match_index, durable);
        let of_this_term = self.log.id_at(n).is_some_and(|id| id.term == self.current_term);
        if of_this_term || planted!(self, CommitByCounting) {
            self.commit_to(n);
        }
    }

    /// The furthest that a majority of the voters has reached, of whom this leader is one, perhaps; in joint consensus
    /// a majority of the old ones and one of the new ones (§6).
    pub(crate) fn reached_by_majority<T: Copy + Default + Ord>(
        &self,
        progress: &[Progress],
        by: impl Fn(&Progress) -> T + Copy,
        by_leader: T,
    ) -> T {
        let (configuration, own) = (self.in_force(), self.own_votes());
        let reached = progress.iter().filter(|peer| peer.votes.old).map(by);
        let old =
            reached_by_majority(configuration.voters.len(), reached.chain(own.old.then_some(by_leader)));
        match &configuration.next {
            Some(next) if next.joint && !planted!(self, JointCountsOldOnly) => {
                let reached = progress.iter().filter(|peer| peer.votes.new).map(by);
                old.min(reached_by_majority(next.voters.len(), reached.chain(own.new.then_some(by_leader))))
            }
            Some(_) | None => old,
        }
    }

    /// What the log has up to this entry is committed. The commit index never goes back; only a server that starts, or becomes
    /// a snapshot of what its log does not have, sets it otherwise.
    pub(crate) fn commit_to(&mut self, index: LogIndex) {
        let from = self.commit_index;
        if index > from
            && let Some(to) = self.log.id_at(index)
        {
            self.commit_index = index;
            self.snapshots.committed(self.repairs.sound_to(LogIndex::ZERO, index, &self.log));
            self.let_more_wait();
            self.observe(|| Event::Committed { from, to });
            self.note_removal(from);
        }
    }

    /// Leaders: commands that are committed, and on the disk here, make room for others. What is committed without this
    /// disk is kept for it as long as it lags behind, and so still counts.
    pub(crate) fn let_more_wait(&mut self) {
        let settled = self.commit_index.min(self.disk.durable().last.index);
        if let Role::Leader { uncommitted, .. } = &mut self.role {
            uncommitted.committed(settled);
        }
    }
}
