//! What happened in a run in the order in which it did, as all servers have written it down, told to a world that judges
//! it.

use std::collections::BTreeMap;

use raft_core::{Configuration, Incarnation, NodeId, Time};

use super::STILL;
use super::life::tell;
use crate::node::{Happening, Line};
use crate::sim::{Telling, Trace, World};

/// All that happened.
pub(super) struct Chronicle {
    /// The moment of the machine's clock in which the run began.
    origin_ns: u64,
    /// When, where, and what.
    all: Vec<(u64, NodeId, Told)>,
}

/// What is told of a server.
enum Told {
    /// It has written this down.
    Wrote(Happening),
    /// This was done to its disk.
    Done(ToDisk),
}

/// What was done to the disk of a server that was down.
#[derive(Clone, Copy, Debug)]
pub(super) enum ToDisk {
    /// It is empty.
    Wiped,
    /// A bit of the log is another one.
    Flipped,
}

impl Chronicle {
    pub(super) const fn new(origin_ns: u64) -> Self {
        Self { origin_ns, all: Vec::new() }
    }

    /// This was done to the disk of a server.
    pub(super) fn done(&mut self, at_ns: u64, id: NodeId, done: ToDisk) {
        self.all.push((at_ns, id, Told::Done(done)));
    }

    /// A server has written this down.
    pub(super) fn hear(&mut self, id: NodeId, book: Vec<Line>) {
        self.all.extend(book.into_iter().map(|line| (line.time_ns, id, Told::Wrote(line.happening))));
    }

    /// A world of a group that began with this, which has heard all of it.
    pub(super) fn told(mut self, first: Configuration, lives: BTreeMap<NodeId, Incarnation>) -> World {
        let ids: Vec<_> = lives.keys().copied().collect();
        let world = World::new(&ids, STILL, 0, Trace::new(None, None, Telling::default(), Time::ZERO));
        world.begin(first, lives, true);
        // Lines of one book stay in their order.
        self.all.sort_by_key(|(at_ns, ..)| *at_ns);
        for (at_ns, id, told) in self.all {
            world.set_now(Time::from_nanos(at_ns.saturating_sub(self.origin_ns)));
            match told {
                Told::Wrote(happening) => tell(&world, id, happening),
                Told::Done(ToDisk::Wiped) => world.wiped(id),
                Told::Done(ToDisk::Flipped) => world.flipped(id),
            }
        }
        world
    }
}

#[cfg(test)]
mod tests {
    use raft_core::{EntryId, Event, LogIndex, Member, RoleName, Term};

    use super::*;
    use crate::history::{Reply, Value};
    use crate::node::NodeEvent;

    fn n(id: u64) -> NodeId {
        NodeId::new(id)
    }

    fn started(id: u64) -> Happening {
        let (incarnation, term, last) = (Incarnation(id), Term::default(), EntryId::ZERO);
        Happening::Node(NodeEvent::Started { incarnation, term, last, found: Box::default() })
    }

    fn role(from: (u64, RoleName), to: (u64, RoleName), leader: Option<NodeId>) -> Happening {
        let ((from_term, from), (term, to)) = (from, to);
        let (from_term, term) = (Term::new(from_term), Term::new(term));
        Happening::Raft(Event::Role { from_term, from, term, to, leader })
    }

    fn applied(index: u64, operation: u64, value: &str) -> Happening {
        let (index, reply) = (LogIndex::new(index), Reply::value(Value::text(value)));
        Happening::Node(NodeEvent::Applied { index, operation, reply, state: operation })
    }

    /// What is broken in a run of which these are the lines, each with its time and its server.
    fn broken(lines: &[(u64, u64, Happening)]) -> Vec<&'static str> {
        let lives: BTreeMap<_, _> = (1..=3).map(|id| (n(id), Incarnation(id))).collect();
        let first = Configuration::of(lives.iter().map(|(&id, &life)| Member::bound(id, life)));
        let mut chronicle = Chronicle::new(1_000);
        for id in 1..=3 {
            let of_one = lines.iter().filter(|(_, node, _)| *node == id);
            let line = |(time_ns, node, happening): &(u64, u64, Happening)| Line {
                time_ns: *time_ns,
                node: n(*node),
                happening: happening.clone(),
            };
            let book = of_one.map(line);
            chronicle.hear(n(id), book.collect());
        }
        chronicle.told(first, lives).violations().iter().map(|violation| violation.property).collect()
    }

    /// Two servers that lead in one term, and two state machines that do not do the same, are found across books.
    #[test]
    fn what_no_book_shows_by_itself_is_judged() {
        use RoleName::{Candidate, Follower, Leader};
        let start = || (1..=3).map(|id| (1_000 + id, id, started(id))).collect::<Vec<_>>();
        assert_eq!(broken(&start()), [""; 0]);
        let mut leaders = start();
        for (at, id) in [(2_000, 2), (3_000, 1)] {
            leaders.push((at, id, role((0, Follower), (1, Candidate), None)));
            leaders.push((at + 1, id, role((1, Candidate), (1, Leader), Some(n(id)))));
        }
        assert!(broken(&leaders).contains(&"election-safety"), "{:?}", broken(&leaders));
        let mut machines = start();
        machines.extend([(2_000, 1, applied(3, 7, "a")), (2_001, 2, applied(3, 7, "a"))]);
        assert_eq!(broken(&machines), [""; 0]);
        machines.push((2_002, 3, applied(3, 7, "b")));
        assert_eq!(broken(&machines), ["state-hash"]);
    }

    /// What is in order by the machine's clock is right, whichever book is read first: n1 becomes a snapshot of what n3 has
    /// applied before.
    #[test]
    fn books_are_told_by_the_clock() {
        let restored = Happening::Node(NodeEvent::Restored { index: LogIndex::new(3), state: 7 });
        let lines = |snapshot_at| {
            let start = (1..=3).map(|id| (1_000 + id, id, started(id)));
            let both = [(snapshot_at, 1, restored.clone()), (2_000, 3, applied(3, 7, "a"))];
            start.chain(both).collect::<Vec<_>>()
        };
        assert_eq!(broken(&lines(2_001)), [""; 0]);
        assert_eq!(broken(&lines(1_999)), ["state-hash"], "nobody had applied it yet");
    }
}
