//! Who leads, in which term, and how much of its log.

use std::collections::BTreeMap;

use raft_core::{LogIndex, NodeId, RoleName, Term};

use super::super::servers::Server;
use super::{Inner, World};
use crate::plan::{Condition, Moment};

impl World {
    /// The leader of each term that had one.
    pub(in super::super) fn leaders(&self) -> BTreeMap<Term, NodeId> {
        self.lock().figure3.leaders().clone()
    }

    /// The highest term that any server was ever in.
    pub(in super::super) fn highest_term(&self) -> Term {
        self.lock().nodes.values().map(|server| server.highest_term).max().unwrap_or_default()
    }

    /// The leader of the highest term of any server that runs, if that term has one.
    pub(in super::super) fn leader_of_highest_term(&self) -> Option<Server> {
        let inner = self.lock();
        let running = || inner.nodes.values().filter(|server| server.running);
        let highest = running().map(|server| server.term).max();
        running().find(|server| server.role == RoleName::Leader && Some(server.term) == highest).cloned()
    }

    /// The run is over and somebody may be expected to lead. Clients were told of what is at `acknowledged`, and of nothing
    /// after it: the leader has all of that.
    pub(in super::super) fn needs_acknowledged(&self, acknowledged: LogIndex) {
        let inner = &mut *self.lock();
        let leaders =
            inner.nodes.iter().filter(|(_, server)| server.running && server.role == RoleName::Leader);
        let Some((&id, leader)) = leaders.max_by_key(|(_, server)| server.term) else { return };
        if leader.log.last.index < acknowledged {
            let (term, last) = (leader.term, leader.log.last);
            let what = format!(
                "a client was told of what took effect at {acknowledged}, and the log of the leader of {term} ends with {last}"
            );
            inner.violate("acked-present", vec![id], what);
        }
    }

    /// Whether all of this holds of the log of a server.
    pub(in super::super) fn holds(&self, node: NodeId, conditions: &[Condition]) -> bool {
        let leaders_last =
            self.leader_of_highest_term().map_or(LogIndex::ZERO, |leader| leader.log.last.index);
        let server = self.server(node);
        let holds = |condition: &Condition| {
            let count = |server: &Server| server.count(condition.quantity, leaders_last);
            server.as_ref().is_some_and(|server| condition.count.holds(count(server)))
        };
        conditions.iter().all(holds)
    }
}

impl Inner {
    pub(super) fn role(&mut self, id: NodeId, term: Term, role: RoleName) {
        self.version += 1;
        let now = self.now;
        let Some(server) = self.nodes.get_mut(&id) else { return };
        let led = server.role == RoleName::Leader;
        if role == RoleName::Leader {
            server.leads_since = now;
        }
        server.is_in(term, role);
        match self.reigns {
            Some((_, reigning)) if role != RoleName::Leader && led && reigning == id => {
                self.reigns = None;
                self.moments.come(id, Moment::LeaderDeposed, 0);
            }
            Some((before, deposed)) if role == RoleName::Leader && term > before => {
                self.reigns = Some((term, id));
                if deposed != id {
                    self.moments.come_by(id, deposed, Moment::LeaderDeposed, 0);
                }
            }
            None if role == RoleName::Leader => self.reigns = Some((term, id)),
            Some(_) | None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use raft_core::{Event, Incarnation, Restored, Time};

    use super::super::super::trace::{Telling, Trace};
    use super::*;
    use crate::plan::Link;

    /// A server that was alone and is wiped is in none of its terms any more.
    #[test]
    fn no_term_that_was_is_forgotten() {
        let id = NodeId::new(1);
        let still = Link { delay: Duration::ZERO, jitter: Duration::ZERO, tail: None };
        let world = World::new(&[id], still, 0, Trace::new(None, None, Telling::default(), Time::ZERO));
        let (from_term, from) = (Term::default(), RoleName::Follower);
        let (term, to) = (Term::new(3), RoleName::Candidate);
        world.observe(id, &Event::Role { from_term, from, term, to, leader: None });
        world.gone(id, "is killed");
        world.wiped(id);
        world.started(id, Incarnation(7), &Restored::default());
        assert_eq!(world.server(id).map(|server| server.term), Some(Term::default()));
        assert_eq!(world.highest_term(), term);
    }
}
