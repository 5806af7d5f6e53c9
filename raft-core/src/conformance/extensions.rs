//! Snapshots (§7), leadership transfer (thesis 3.10), and what a leader may tell those who read (thesis 6.4).

use super::{Action, Judged, Step};
use crate::event::RoleName;
use crate::snapshot::SnapshotId;
use crate::types::{EntryId, LogIndex, NodeId};

impl Step<'_> {
    pub(super) fn take_snapshot(&mut self, snapshot: SnapshotId) -> Judged {
        self.action = Action::TakeSnapshot;
        self.needs_committed(snapshot.last_included)?;
        self.server.snapshots.insert(snapshot);
        Ok(())
    }

    /// The log begins later, which changes nothing in the specification.
    pub(super) fn compact(&mut self, base: EntryId) -> Judged {
        self.action = Action::TakeSnapshot;
        self.needs_committed(base)?;
        self.server.damaged.retain(|id| id.index > base.index);
        self.history.compacted = self.history.compacted.max(base.index);
        Ok(())
    }

    /// A snapshot stands for nothing but what is committed.
    fn needs_committed(&self, last_included: EntryId) -> Judged {
        self.needs_entry(last_included)?;
        let committed = self.server.commit_index;
        let what = || format!("lets a snapshot stand for {last_included}, and has committed {committed}");
        self.needs(last_included.index <= committed, what)
    }

    pub(super) fn send_snapshot(&mut self, follower: NodeId, snapshot: SnapshotId, offset: u64) -> Judged {
        self.action = Action::SendSnapshot;
        self.needs_leader()?;
        self.needs_committed(snapshot.last_included)?;
        self.said.pieces.insert((self.server.current_term, follower, snapshot, offset));
        Ok(())
    }

    pub(super) fn receive_snapshot(&mut self, leader: NodeId, snapshot: SnapshotId, offset: u64) -> Judged {
        self.action = Action::HandleInstallSnapshotRequest;
        self.needs_follower_of(leader)?;
        let sent = self.said.pieces.contains(&(self.server.current_term, self.node, snapshot, offset));
        self.needs(sent, || format!("takes a piece at {offset} that {leader} has not sent"))
    }

    /// Figure 13, rule 6: what the log has needs not be received.
    pub(super) fn keep_log(&mut self, leader: NodeId, snapshot: SnapshotId) -> Judged {
        self.action = Action::HandleInstallSnapshotRequest;
        self.needs_entry(snapshot.last_included)?;
        self.agree(leader, snapshot.last_included.index)
    }

    /// The same, where some of it was lost: the snapshot stands for that.
    pub(super) fn fill(&mut self, leader: NodeId, snapshot: SnapshotId) -> Judged {
        self.action = Action::HandleInstallSnapshotRequest;
        self.needs_committed(snapshot.last_included)?;
        let lost = self.sound(snapshot.last_included.index) < snapshot.last_included.index;
        self.needs(lost, || format!("takes a snapshot of {}, and has lost nothing", snapshot.last_included))?;
        self.server.damaged.retain(|id| id.index > snapshot.last_included.index);
        self.server.snapshots.insert(snapshot);
        self.agree(leader, snapshot.last_included.index)
    }

    /// Figure 13, rules 7 and 8: the snapshot stands for the whole log. Up to the commit index the disk has the
    /// same either way.
    pub(super) fn install(&mut self, snapshot: SnapshotId, from: LogIndex) -> Judged {
        self.action = Action::HandleInstallSnapshotRequest;
        let (last, committed) = (snapshot.last_included, self.server.commit_index);
        let rises = from == committed && last.index > from;
        self.needs(rises, || format!("installs {last} after {from}, and has committed {committed}"))?;
        let has = self.history.contains(self.server.log, last);
        self.needs(!has, || format!("drops its log for {last}, which it has"))?;
        let reign = self.history.reign(self.server.current_term);
        let sent = reign
            .is_some_and(|reign| last.index <= reign.commit_index && self.history.contains(reign.log, last));
        self.needs(sent, || format!("installs {last}, which its leader has not committed"))?;
        // Some of what it has accepted may be durable, and said; of the old log no event tells any more how much.
        self.said.acknowledge(self.server.current_term, self.who(), self.server.accepted);
        self.server.log = last;
        self.server.commit_index = last.index;
        self.server.durable_index = self.server.durable_index.min(from);
        self.server.accepted = last.index;
        self.server.snapshots.insert(snapshot);
        self.history.compacted = self.history.compacted.max(last.index);
        self.server.damaged.retain(|id| id.index > last.index);
        Ok(())
    }

    /// Who else may lead by then, and has committed more, no event tells: reads themselves must be looked at.
    pub(super) fn confirm_reads(&mut self, read_index: LogIndex) -> Judged {
        self.action = Action::ReadIndex;
        self.needs_leader()?;
        let committed = self.server.commit_index;
        let what = || format!("lets reads see {read_index}, and has committed {committed}");
        self.needs(read_index <= committed, what)?;
        let term = self.history.at(self.server.log, read_index).map(|id| id.term);
        let current = self.server.current_term;
        self.needs(term == Some(current), || {
            format!("lets reads see {read_index}, which is not of {current}")
        })
    }

    pub(super) fn start_transfer(&mut self, to: NodeId) -> Judged {
        self.action = Action::TransferLeadership;
        self.needs_leader()?;
        let is_other = to != self.node && self.is_voter(|voter| voter.id == to);
        self.needs(is_other, || format!("hands over leadership to {to}, which is no other voter"))?;
        let transfer = self.server.transfer;
        self.needs(transfer.is_none(), || format!("hands over leadership to {to} before it is done"))?;
        self.server.transfer = Some(to);
        Ok(())
    }

    /// TimeoutNow, to a server that has the whole log.
    pub(super) fn tell_to_time_out(&mut self, to: NodeId) -> Judged {
        self.action = Action::TimeoutNow;
        self.needs_leader()?;
        let transfer = self.server.transfer == Some(to);
        self.needs(transfer, || format!("tells {to} to start an election, and hands over nothing"))?;
        let log = self.server.log;
        let has = |who| self.server.match_index.get(&who).copied();
        let has = self.all_lives(to).filter_map(has).max().unwrap_or_default();
        self.needs(has == log.index, || {
            format!("tells {to} to start an election, which has {has} of {log}")
        })?;
        self.said.timeouts.insert((self.server.current_term, to));
        Ok(())
    }

    pub(super) fn end_transfer(&mut self, to: NodeId, leads: bool) -> Judged {
        self.action = Action::TransferLeadership;
        let transfer = self.server.transfer.take();
        self.needs(transfer == Some(to), || {
            format!("no longer hands over leadership to {to}, which it did not begin")
        })?;
        let state = self.server.state;
        let so = leads == self.is_a(RoleName::Leader);
        self.needs(so, || format!("is a {state}, and says otherwise of what it handed over"))
    }
}
