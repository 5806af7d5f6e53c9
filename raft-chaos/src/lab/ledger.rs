//! What each server has: its log as it was given to its disk, and what its state machine was given.
//!
//! The lab counts commands. Here no-ops and configurations take log indexes as well, so every entry has besides its index
//! the number of commands up to it, itself included, which its name determines (Log Matching, §5.3). That is the index
//! that tests see.

use std::collections::BTreeMap;

use bytes::Bytes;
use raft_core::figure3::Figure3;
use raft_core::{Batch, Configuration, Entry, EntryId, Envelope, Event, LogIndex, Payload, Raft, Restored};

use super::network::node;
use super::record::Record;
use crate::coverage::{Cell, Coverage};

/// All servers' logs and what was applied of them.
pub(super) struct Ledger {
    record: Record,
    figure3: Figure3,
    /// How many commands there are up to each entry, and whether it is one.
    numbers: BTreeMap<EntryId, (u64, bool)>,
    /// Each command that was applied, by its number less one, and who had it first.
    agreed: Vec<(Bytes, usize)>,
    servers: Vec<Kept>,
    coverage: Coverage,
}

/// One server.
#[derive(Clone, Debug, Default)]
struct Kept {
    /// The entries on its disk, and how many bytes each takes.
    log: BTreeMap<LogIndex, (EntryId, usize)>,
    /// The entry before those.
    base: EntryId,
    hard_state_bytes: usize,
    /// The last whole snapshot, and the beginning of another one.
    snapshot_bytes: usize,
    coming_bytes: usize,
    snapshots_installed: u64,
    /// The number of the last command that its state machine has, in this life.
    applied: u64,
    /// What the snapshot claims that its state machine is to become.
    restoring: Option<EntryId>,
}

impl Ledger {
    pub(super) fn new(servers: usize, first: Configuration, record: Record) -> Self {
        Self {
            record,
            figure3: Figure3::new(first),
            numbers: BTreeMap::from([(EntryId::ZERO, (0, false))]),
            agreed: Vec::new(),
            servers: vec![Kept::default(); servers],
            coverage: Coverage::default(),
        }
    }

    /// A server takes a message in.
    pub(super) fn met(&mut self, raft: &Raft, envelope: &Envelope) {
        self.coverage.reach(Cell::of(raft, envelope));
    }

    /// Which messages met servers in which state.
    pub(super) const fn coverage(&self) -> Coverage {
        self.coverage
    }

    /// A server begins a life with this on its disk.
    pub(super) fn started(&mut self, server: usize, restored: &Restored) {
        self.servers[server].applied = 0;
        if let Err(broken) = self.figure3.started(node(server), restored) {
            self.record.found(broken.to_string());
        }
        let kept = &self.servers[server];
        let last = kept.log.last_key_value().map_or(kept.base, |(_, (id, _))| *id);
        if restored.log.last() != last {
            let found = restored.log.last();
            self.record
                .found(format!("server {server} was given {last} to keep last, and starts with {found}"));
        }
    }

    /// Something happened inside a server.
    pub(super) fn observe(&mut self, server: usize, event: &Event) {
        self.record.inside(server, event);
        if let Event::Restoring { snapshot } = event {
            self.servers[server].restoring = Some(snapshot.last_included);
        }
        if let Event::Installed { .. } = event {
            self.servers[server].snapshots_installed += 1;
        }
        if let Err(broken) = self.figure3.observe(node(server), event) {
            self.record.found(broken.to_string());
        }
    }

    /// A server gives this to its disk.
    pub(super) fn wrote(&mut self, server: usize, batch: &Batch) {
        let kept = &mut self.servers[server];
        if let Some(state) = batch.hard_state {
            kept.hard_state_bytes = encoded_bytes(&(state.current_term.get(), state.voted_for));
        }
        if let Some(from) = batch.truncate {
            kept.log.split_off(&from);
        }
        for part in &batch.parts {
            if part.chunk.offset == 0 {
                kept.coming_bytes = 0;
            }
            kept.coming_bytes += part.chunk.data.len();
            if part.chunk.done {
                kept.snapshot_bytes = std::mem::take(&mut kept.coming_bytes);
            }
        }
        if let Some(base) = batch.compact {
            kept.log = kept.log.split_off(&base.index.next());
            kept.base = base;
        }
        for entry in batch.entries.iter() {
            self.append(server, entry);
        }
    }

    fn append(&mut self, server: usize, entry: &Entry) {
        let kept = &mut self.servers[server];
        let last = kept.log.last_key_value().map_or(kept.base, |(_, (id, _))| *id);
        let Some(&(before, _)) = self.numbers.get(&last) else {
            return self.record.found(format!("server {server} has {last}, which nobody made"));
        };
        let is_command = matches!(entry.payload, Payload::Command(_));
        let number = before + u64::from(is_command);
        let known = *self.numbers.entry(entry.id).or_insert((number, is_command));
        if known != (number, is_command) {
            self.record.found(format!("server {server} has another past of {} than its maker", entry.id));
        }
        let EntryId { term, index } = entry.id;
        let payload = entry.payload.bytes().len();
        let bytes = encoded_bytes(&(term.get(), index.get(), payload, entry.checksum)) + payload;
        kept.log.insert(index, (entry.id, bytes));
    }

    /// A server's state machine was given a command.
    pub(super) fn applied(&mut self, server: usize, index: LogIndex, command: &Bytes) {
        let kept = &mut self.servers[server];
        let entry = kept.log.get(&index).and_then(|(id, _)| self.numbers.get(id));
        kept.applied += 1;
        let number = kept.applied;
        if entry != Some(&(number, true)) {
            self.record.found(format!(
                "server {server} applies the entry at {index} as command {number}; in its log it is {entry:?}"
            ));
        }
        self.agree(server, number, command);
        self.record.hashed((server, number));
    }

    /// All that were ever given a command of this number were given the same.
    fn agree(&mut self, server: usize, number: u64, command: &Bytes) {
        let known = usize::try_from(number - 1).ok().and_then(|place| self.agreed.get(place));
        match known {
            Some((agreed, _)) if agreed == command => {}
            Some((_, first)) => {
                self.record.found(format!(
                    "servers {first} and {server} applied different commands as number {number}"
                ));
            }
            None if number == self.agreed.len() as u64 + 1 => self.agreed.push((command.clone(), server)),
            None => self
                .record
                .found(format!("server {server} applies command {number} before the one before it")),
        }
    }

    /// A server's state machine became what a snapshot says: the state after command `number`. `history` are all
    /// commands up to there, where the snapshot has them.
    pub(super) fn restored(&mut self, server: usize, number: u64, history: Option<&[Bytes]>) {
        let claimed = self.servers[server].restoring.take();
        let claimed = claimed.and_then(|id| self.numbers.get(&id)).map(|(number, _)| *number);
        if claimed != Some(number) {
            self.record.found(format!(
                "server {server} was given a snapshot of {number} commands that claims to be of {claimed:?}"
            ));
        }
        self.servers[server].applied = number;
        for (place, command) in history.into_iter().flatten().enumerate() {
            self.agree(server, place as u64 + 1, command);
        }
        self.record.hashed((server, number, "restored"));
    }

    /// How many servers have applied command `number`, and what it is.
    pub(super) fn committed(&self, number: u64) -> (usize, Option<Bytes>) {
        let have = self.servers.iter().filter(|kept| kept.applied >= number).count();
        let place = number.checked_sub(1).and_then(|place| usize::try_from(place).ok());
        let command = place.and_then(|place| self.agreed.get(place)).map(|(command, _)| command.clone());
        (have, command.filter(|_| have > 0))
    }

    /// How many commands there are up to an entry.
    pub(super) fn number(&self, id: EntryId) -> Option<u64> {
        self.numbers.get(&id).map(|(number, _)| *number)
    }

    /// The bytes of a server's term, vote and log on its disk.
    pub(super) fn state_bytes(&self, server: usize) -> usize {
        let kept = &self.servers[server];
        kept.hard_state_bytes + kept.log.values().map(|(_, bytes)| bytes).sum::<usize>()
    }

    /// The bytes of the snapshot on a server's disk; 0 if there is none.
    pub(super) fn snapshot_bytes(&self, server: usize) -> usize {
        self.servers[server].snapshot_bytes
    }

    /// How many commands any server has applied, each counted once.
    pub(super) fn commands(&self) -> u64 {
        self.agreed.len() as u64
    }

    /// How many terms have had a leader.
    pub(super) fn leaders(&self) -> u64 {
        self.figure3.leaders().len() as u64
    }

    /// How many snapshots servers have installed that their leaders sent.
    pub(super) fn snapshots_installed(&self) -> u64 {
        self.servers.iter().map(|kept| kept.snapshots_installed).sum()
    }
}

/// How many bytes this takes as MessagePack, which is what servers keep on disks.
fn encoded_bytes(value: &impl serde::Serialize) -> usize {
    rmp_serde::to_vec(value).map_or(usize::MAX, |bytes| bytes.len())
}
