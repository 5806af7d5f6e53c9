//! Figure 13, "InstallSnapshot RPC": both sides.

use crate::configuration::Configured;
use crate::effects::Violation;
use crate::event::Event;
use crate::message::{InstallSnapshot, InstallSnapshotReply, Message};
use crate::planted::planted;
use crate::rules::NUMBER_MAX;
use crate::snapshot::{Chunk, Load, Snapshot, SnapshotId};
use crate::snapshotting::Taken;
use crate::state::{Raft, Role, Sender};
use crate::types::{NodeId, Session, Term};

impl Raft {
    /// Leaders (§7): whoever needs what was compacted is sent the snapshot, one piece at a time.
    pub(crate) fn send_snapshots(&mut self) {
        let Role::Leader { progress, .. } = &mut self.role else { return };
        let Some(whole) = self.snapshots.whole() else { return };
        let (snapshot, base) = (whole.id, self.log.base().index);
        let mut started = Vec::new();
        for peer in progress {
            // The one place where it is decided whether a follower gets entries or a snapshot.
            let lacks_compacted = peer.next_index.prev() < base && !planted!(self, PrevBelowSnapshot);
            if lacks_compacted && peer.start_snapshot(snapshot, self.now) {
                started.push(peer.follower);
            }
            // A piece that was lost, or its answer, is sent again.
            let patience = self.config.election_timeout.1;
            if let Some(offset) = peer.wants_chunk(self.now, patience) {
                self.loads.ask(Load::Chunk { snapshot, offset });
            }
        }
        for follower in started {
            self.observe(|| Event::SnapshotStarted { follower, snapshot });
        }
    }

    /// A piece came from disk, or is not there any more, and goes to whoever waits for it.
    pub(crate) fn send_chunk(&mut self, id: SnapshotId, offset: u64, chunk: Option<&Chunk>) {
        let Role::Leader { progress, .. } = &mut self.role else { return };
        let mut sent = Vec::new();
        for peer in progress.iter_mut() {
            if peer.sends_chunk(id, offset, self.now) {
                sent.push((peer.follower, peer.session));
            }
        }
        let snapshot = self.snapshots.whole().filter(|whole| whole.id == id).cloned();
        let (Some(snapshot), Some(chunk)) = (snapshot, chunk) else { return };
        for (follower, session) in sent {
            let args = InstallSnapshot { snapshot: snapshot.clone(), chunk: chunk.clone() };
            self.send(follower, session, Message::InstallSnapshot(Box::new(args)));
            self.observe(|| Event::ChunkSent { follower, snapshot: id, offset });
        }
    }

    /// Receiver implementation. None if the server has to stop.
    pub(crate) fn handle_install_snapshot(
        &mut self,
        leader: NodeId,
        term: Term,
        session: Session,
        args: InstallSnapshot,
    ) -> Option<InstallSnapshotReply> {
        let InstallSnapshot { snapshot, chunk } = args;
        let id = snapshot.id;
        // 1. A leader of the past is told so (§5.1).
        if term < self.current_term {
            return Some(InstallSnapshotReply::Received { snapshot: id, offset: 0 });
        }
        let timer = self.timer;
        self.follow(leader)?;
        if planted!(self, TimerNotResetBySnapshot) {
            self.timer = timer;
        }

        // What a snapshot stands for is committed, and so it is the same on whoever has committed it (Figure 3, State
        // Machine Safety).
        let index = id.last_included.index;
        if index <= self.commit_index && self.log.id_at(index).is_some_and(|here| here != id.last_included) {
            self.violate(Violation::CommittedEntryContradicted { leader, index });
            return None;
        }

        // 6. Where the log has the last included entry, it and what follows are kept: all up to it is
        //    committed, and the state machine gets there by itself, unless the disk has lost some of it.
        let has = index <= self.commit_index || self.log.contains(id.last_included);
        if has && !self.has_lost_up_to(index) {
            self.commit_to(index);
            self.observe(|| Event::SnapshotNotNeeded { leader, snapshot: id });
            return Some(InstallSnapshotReply::Installed { snapshot: id });
        }

        // 2. to 4. The pieces are written in their order, and each is answered.
        let (offset, end) = (chunk.offset, chunk.end());
        match self.snapshots.receive(&snapshot, chunk, session) {
            Taken::Wanted(offset) => Some(InstallSnapshotReply::Received { snapshot: id, offset }),
            Taken::Stale => None,
            Taken::Next => {
                self.observe(|| Event::ChunkReceived { leader, snapshot: id, offset });
                Some(InstallSnapshotReply::Received { snapshot: id, offset: end })
            }
            Taken::Last => {
                self.observe(|| Event::ChunkReceived { leader, snapshot: id, offset });
                if has {
                    self.fill(leader, &snapshot);
                } else {
                    self.install(&snapshot);
                }
                Some(InstallSnapshotReply::Installed { snapshot: id })
            }
        }
    }

    /// 5., 7. and 8. The snapshot is whole: the log goes, and the state machine becomes what it says once
    /// that is durable.
    fn install(&mut self, snapshot: &Snapshot) {
        self.disk.truncate(self.log.base());
        self.log.reset(snapshot.id.last_included);
        let from = self.commit_index;
        self.commit_index = snapshot.index();
        self.snapshots.restore = true;
        self.counts.snapshots_installed += 1;
        self.observe(|| Event::Installed { snapshot: snapshot.id, from });
        if self.configurations.reset(snapshot.configured.clone()) {
            self.configured();
        }
    }

    /// The same where the log has the last included entry: what follows it stays, and what is before, some of which the
    /// disk has lost, goes.
    fn fill(&mut self, leader: NodeId, snapshot: &Snapshot) {
        self.commit_to(snapshot.index());
        self.snapshots.restore |= self.last_applied < snapshot.index();
        self.counts.snapshots_installed += 1;
        self.observe(|| Event::SnapshotFills { leader, snapshot: snapshot.id });
        self.compact_to(snapshot.id.last_included);
    }

    /// The leader's side.
    pub(crate) fn handle_install_snapshot_reply(
        &mut self,
        from: Sender,
        session: Session,
        reply: &InstallSnapshotReply,
    ) {
        let follower = from.id;
        let now = self.now;
        let (base, last) = (self.log.base().index, self.log.last().index);
        let sticks = planted!(self, StuckAfterSnapshot);
        let Some(peer) = self.hear(from, session) else { return };
        match *reply {
            InstallSnapshotReply::Received { snapshot, offset } => peer.chunk_received(snapshot, offset, now),
            InstallSnapshotReply::Installed { snapshot } if snapshot.last_included.index > last => {
                let match_index = snapshot.last_included.index;
                self.violate(Violation::MatchBeyondLog { follower, match_index });
            }
            InstallSnapshotReply::Installed { snapshot }
                if sticks && snapshot.last_included.index == last => {}
            InstallSnapshotReply::Installed { snapshot } => {
                let match_index = snapshot.last_included.index;
                if peer.accepted(match_index, base) {
                    self.observe(|| Event::MatchCounted { follower, match_index });
                }
            }
        }
    }
}

/// Whether the piece could come from any leader of `term`.
pub(crate) fn is_well_formed(term: Term, args: &InstallSnapshot) -> bool {
    let last_included = args.snapshot.id.last_included;
    let Configured { at, configuration } = &args.snapshot.configured;
    last_included.term <= term
        && at.index <= last_included.index
        && at.term <= last_included.term
        && configuration.check().is_ok()
        && (1..=NUMBER_MAX).contains(&last_included.index.get())
        && args.chunk.offset <= NUMBER_MAX
        && (args.chunk.done || !args.chunk.data.is_empty())
        && args.chunk.is_intact()
}
