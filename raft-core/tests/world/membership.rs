//! Who votes in a world, how that changes, and disks that are wiped.

use std::collections::BTreeSet;

use raft_core::{Configuration, Configured, Incarnation, Member, NodeId, Raft};

use super::queue::{Happening, MS};
use super::{Judges, World, Wrong};

impl World {
    /// A server in the life of its data directory that it is in now.
    fn member(&self, id: NodeId) -> Member {
        Member::bound(id, self.servers[&id].life)
    }

    /// Somebody who leads is asked to change who votes and who learns, to whatever it may be.
    pub(super) fn change(&mut self) {
        self.again(40 * MS, Happening::Change);
        let leaders: Vec<_> = self.ids.iter().filter(|id| self.servers[id].leads()).copied().collect();
        let Some(&leader) = self.rng.pick(&leaders) else { return };
        let mut left = self.ids.clone();
        let mut voters = Vec::new();
        // Who votes alone and has lost an entry cannot get it from anybody.
        let fewest = u64::from(self.conditions.rot);
        for _ in 0..=fewest + self.rng.below(self.conditions.servers - fewest) {
            let place = usize::try_from(self.rng.below(left.len() as u64)).unwrap();
            voters.push(self.member(left.swap_remove(place)));
        }
        left.retain(|_| self.rng.one_in(3));
        let learners: Vec<_> = left.into_iter().map(|id| self.member(id)).collect();
        let abandons = self.rng.one_in(8);
        self.ask_for_change(leader, |raft| {
            let from = raft.configuration().at;
            if abandons {
                raft.abandon_change().is_ok()
            } else {
                raft.change_membership(from, voters, learners).is_ok()
            }
        });
    }

    /// When all is healed everybody is to vote, in the life that it is in.
    pub(super) fn settle(&mut self) {
        self.again(10 * MS, Happening::Change);
        let everybody: Vec<_> = self.ids.iter().map(|&id| self.member(id)).collect();
        for leader in self.ids.clone() {
            let everybody = everybody.clone();
            self.ask_for_change(leader, |raft| {
                let Configured { at, configuration } = raft.configuration().clone();
                match configuration.next {
                    Some(next) if !next.joint && next.voters != everybody => raft.abandon_change().is_ok(),
                    Some(_) => false,
                    None => raft.change_membership(at, everybody, Vec::<Member>::new()).is_ok(),
                }
            });
        }
    }

    fn ask_for_change(&mut self, leader: NodeId, ask: impl FnOnce(&mut Raft) -> bool) {
        let Some(raft) = &mut self.server(leader).raft else { return };
        let length = raft.last_log();
        let begun = ask(raft);
        let appended = raft.last_log() != length;
        assert!(begun == appended || self.planted.is_some(), "what is refused leaves nothing in the log");
        if begun {
            self.report.changes += 1;
            self.soon(leader);
        }
    }

    /// A server that is down loses its disk, and begins a new life, unless a majority of those that may ever be
    /// needed would be gone. It may be told what the group began with, and recognises that this is not it.
    pub(super) fn wipe(&mut self, id: NodeId) {
        if !self.conditions.wipes || self.servers[&id].raft.is_some() || !self.may_be_wiped(id) {
            return;
        }
        self.report.wipes += 1;
        let joins = self.rng.one_in(2);
        let server = self.servers.get_mut(&id).unwrap();
        let life = Incarnation(server.life.0 + 100);
        *server = super::Server { life, joins, clock: server.clock, ..super::Server::default() };
        self.judges.wiped(id, life);
    }

    /// Whether there is a majority without this server of every electorate that any server may go by again.
    fn may_be_wiped(&self, id: NodeId) -> bool {
        let known = self.servers.values().flat_map(|server| {
            let in_memory = server.raft.as_ref().map(|raft| raft.configuration().clone());
            let on_disk = [&server.disk, &server.written].into_iter().flat_map(|disk| {
                let restored = disk.restored();
                let first = match restored.snapshot {
                    Some(snapshot) => snapshot.configured,
                    None => self.conditions.first().into(),
                };
                restored.configurations.into_iter().chain([first])
            });
            on_disk.chain(in_memory)
        });
        let known: BTreeSet<Configuration> = known.map(|configured| configured.configuration).collect();
        let is_left = |member: &Member| member.id != id && self.member(member.id) == *member;
        known.iter().all(|configuration| {
            let to_be = configuration.next.as_ref().map(|next| Configuration::of(next.voters.clone()));
            configuration.is_quorum(is_left) && to_be.is_none_or(|to_be| to_be.is_quorum(is_left))
        })
    }

    /// The server that may lose its disk is down already, or goes down for that.
    pub(super) fn crash_and_wipe(&mut self, id: NodeId) -> Result<(), Wrong> {
        if self.servers[&id].raft.is_some() {
            self.crash(id);
        }
        self.wipe(id);
        self.start(id)
    }
}

impl Judges {
    /// A server's disk was wiped, and it is in this life of its data directory now.
    fn wiped(&mut self, node: NodeId, life: Incarnation) {
        if let Some(figure3) = &mut self.figure3 {
            figure3.wiped(node, life);
        }
        if let Some(specification) = &mut self.specification {
            specification.wiped(node, life);
        }
    }
}
