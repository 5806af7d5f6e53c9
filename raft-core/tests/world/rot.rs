//! Disks that lose what they had: an entry somewhere in the log, or the last that was written.

use std::collections::BTreeSet;

use raft_core::{Batch, EntryId, Load, Loaded, LogIndex, NodeId, Stored};

use super::server::Server;
use super::{Judges, World};

impl World {
    /// An entry on a server's disk goes bad; nobody knows before it is read.
    pub(super) fn rot(&mut self, id: NodeId) {
        let ids: Vec<_> = self.servers[&id].disk.entries().iter().map(|entry| entry.id).collect();
        if let Some(&entry) = self.rng.pick(&ids)
            && self.may_lose(id, entry)
            && !self.servers[&id].is_repairing(entry)
        {
            let server = self.servers.get_mut(&id).unwrap();
            server.disk.damage(entry.index);
            server.written.damage(entry.index);
        }
    }

    /// A server that crashed comes back knowing that its log may have been longer, if something was torn; and now and
    /// then it was, by what it was told to be durable.
    pub(super) fn lose_tail(&mut self, id: NodeId, torn: bool) {
        if self.conditions.entries_go_for_good {
            return;
        }
        let loses = !self.conditions.durable_machines && self.rng.one_in(3);
        let server = &self.servers[&id];
        let Some(before) = server.before_last.clone().filter(|_| loses) else {
            if torn {
                self.suspect_tail(id);
            }
            return;
        };
        let goes = |id: &EntryId| is_sound(&server.disk, *id) && !is_sound(&before, *id);
        let gone: Vec<_> = server.disk.entries().iter().map(|entry| entry.id).filter(goes).collect();
        // A snapshot that was written last may be what stands for entries that others have lost.
        let compacted = server.disk.restored().log.base() != before.restored().log.base();
        if compacted || gone.iter().any(|&entry| !self.may_lose(id, entry)) {
            return;
        }
        let hard_state = Some(server.disk.restored().hard_state);
        self.report.tails_lost += usize::from(!gone.is_empty());
        let server = self.server(id);
        server.disk = before;
        server.disk.apply(Batch { hard_state, ..Batch::default() });
        server.before_last = None;
        self.suspect_tail(id);
        self.judges.tail_lost(id);
    }

    /// Its store finds that the log may have been longer.
    fn suspect_tail(&mut self, id: NodeId) {
        let server = self.server(id);
        server.disk.suspect_tail();
        server.written = server.disk.clone();
    }

    /// The servers that vote as far as this one's disk tells, whatever becomes of what it knows last.
    fn voters(&self, id: NodeId) -> BTreeSet<NodeId> {
        let restored = self.servers[&id].disk.restored();
        let first =
            restored.snapshot.map_or_else(|| self.conditions.first().into(), |snapshot| snapshot.configured);
        let known = restored.configurations.into_iter().chain([first]);
        let voters =
            known.map(|configured| configured.configuration.voters.iter().map(|voter| voter.id).collect());
        voters.reduce(|one: BTreeSet<_>, other: BTreeSet<_>| &one & &other).unwrap_or_default()
    }

    /// Whether another voter's disk has the entry, or a snapshot of it. One that is not committed may be lost altogether, where no
    /// other disk has it: it may be on its way to one, and get there or not.
    fn may_lose(&self, id: NodeId, entry: EntryId) -> bool {
        let others: Vec<_> =
            self.servers.iter().filter(|(other, _)| **other != id).map(|(_, server)| server).collect();
        let has = |server: &&Server| server.disk.entries().iter().any(|found| found.id == entry);
        let is_committed = entry.index <= LogIndex::new(self.report.committed);
        let for_good = self.conditions.entries_go_for_good && !is_committed && !others.iter().any(has);
        let mut voters = self.voters(id).into_iter().filter(|voter| *voter != id);
        voters.any(|voter| still_has(&self.servers[&voter], entry)) || for_good
    }
}

/// Whether a disk has an entry, or a snapshot of it.
fn still_has(server: &Server, entry: EntryId) -> bool {
    entry.index <= server.disk.restored().log.base().index || is_sound(&server.disk, entry)
}

/// Whether an entry can be read from a disk.
fn is_sound(disk: &Stored, entry: EntryId) -> bool {
    let load = Load::Entries { from: entry.index, to: entry.index, bytes_max: 0 };
    match disk.load(&load) {
        Loaded::Entries { entries, .. } => entries.iter().any(|found| found.id == entry),
        Loaded::Damaged { .. } | Loaded::Chunk { .. } => false,
    }
}

impl Judges {
    /// The disk of a server has lost the end of its log.
    fn tail_lost(&mut self, node: NodeId) {
        if let Some(figure3) = &mut self.figure3 {
            figure3.tail_lost(node);
        }
        if let Some(specification) = &mut self.specification {
            specification.tail_lost(node);
        }
    }
}
