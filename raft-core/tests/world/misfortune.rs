//! What goes wrong in a world, and how it is healed.

use raft_core::NodeId;

use super::queue::{Happening, MS};
use super::{World, Wrong};

/// The longest that a server is held fast.
const PAUSE: u64 = 150 * MS;

impl World {
    /// Now and then a server, often a leader, crashes, starts again, is held fast, or is cut off.
    pub(super) fn misfortune(&mut self) -> Result<(), Wrong> {
        let leads = |id: &&NodeId| self.servers[*id].leads();
        let leader = self.ids.iter().find(leads).copied().filter(|_| self.rng.one_in(2));
        let Some(id) = leader.or_else(|| self.rng.pick(&self.ids).copied()) else { return Ok(()) };
        if self.rng.one_in(self.conditions.crash_one_in) {
            let up = self.servers[&id].raft.is_some();
            if up { self.crash(id) } else { self.start(id)? }
        }
        if self.conditions.wipes && self.rng.one_in(200) {
            self.crash_and_wipe(id)?;
        }
        if self.conditions.rot && self.rng.one_in(20) {
            self.rot(id);
        }
        if self.rng.one_in(10) {
            self.drift(id);
        }
        if self.rng.one_in(100) {
            self.report.pauses += 1;
            let until = self.now + self.rng.below(PAUSE);
            self.server(id).paused_until = until;
            self.queue.put(until, Happening::Resumes(id));
        }
        if self.rng.one_in(80) {
            self.cut_off(id);
        }
        Ok(())
    }

    /// Now and then a clock goes at another rate. The worst that may be is a slow leader and fast followers.
    pub(super) fn drift(&mut self, id: NodeId) {
        let faster = self.conditions.lease_ppm.map_or(0, u64::from);
        let worst = if self.servers[&id].leads() { 0 } else { faster };
        let rate = if self.rng.one_in(4) { self.rng.below(faster + 1) } else { worst };
        let now = self.now;
        self.server(id).clock.drift(now, rate);
        self.arm(id, now);
    }

    /// Off altogether, in one direction only, or from one other server.
    fn cut_off(&mut self, id: NodeId) {
        self.cut.clear();
        let altogether = self.rng.one_in(2);
        for other in self.ids.clone().into_iter().filter(|&other| other != id) {
            if altogether || self.rng.one_in(2) {
                self.cut.insert((id, other));
            }
            if altogether || self.rng.one_in(2) {
                self.cut.insert((other, id));
            }
        }
    }

    /// The power goes: of the writes on their way none or the first few have reached the disk.
    pub(super) fn crash(&mut self, id: NodeId) {
        self.report.crashes += 1;
        self.readers.forget(id);
        let server = self.servers.get_mut(&id).unwrap();
        let survive = usize::try_from(self.rng.below(server.in_flight.len() as u64 + 1)).unwrap();
        self.report.lost_writes += server.in_flight.len() - survive;
        let torn = survive < server.in_flight.len();
        server.crash(survive, self.conditions.durable_machines);
        if self.conditions.rot {
            self.lose_tail(id, torn);
        }
    }

    /// A server that is held fast does not know it: it goes on as if nothing had been.
    pub(super) fn is_paused(&self, id: NodeId) -> bool {
        self.servers[&id].paused_until > self.now
    }

    pub(super) fn heal(&mut self) -> Result<(), Wrong> {
        self.cut.clear();
        self.conditions.heal();
        for (&id, server) in &mut self.servers {
            server.paused_until = 0;
            server.in_flight.iter_mut().for_each(|(due, _)| *due = self.now);
            self.queue.put(self.now, Happening::Durable(id));
        }
        for id in self.ids.clone() {
            if self.servers[&id].raft.is_none() {
                self.start(id)?;
            }
        }
        Ok(())
    }

    /// A server is asked to let another lead. What comes of it, events tell.
    pub(super) fn transfer(&mut self) {
        let from = self.rng.pick(&self.ids).and_then(|id| self.servers.get_mut(id));
        let raft = from.and_then(|server| server.raft.as_mut());
        if let Some((raft, &to)) = raft.zip(self.rng.pick(&self.ids)) {
            let _refused = raft.transfer_leadership(to);
        }
    }
}
