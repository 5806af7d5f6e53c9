//! Who waits for what: what the cluster owes its clients at a moment, and whether they can reach who owes it.

use std::collections::{BTreeMap, BTreeSet};

use raft_core::{NodeId, Time};

/// What clients want at a moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Wishes {
    /// Since when they have waited without an operation that was ok.
    pub(super) since: Option<Time>,
    /// Whether one of them has asked for something that is to be committed.
    pub(super) commit: bool,
    /// The servers that some of them do not leave, whoever leads.
    pub(super) confined: BTreeSet<NodeId>,
}

impl Wishes {
    /// Whether all of them get to this server, if they want to.
    pub(super) fn reach(&self, server: NodeId) -> bool {
        self.confined.iter().all(|only| *only == server)
    }
}

/// The clients that wait.
#[derive(Default)]
pub(super) struct Waiting {
    /// The clients whose operations have begun and not ended, and whether those go through the log.
    under_way: BTreeMap<u64, bool>,
    /// Since when somebody has wanted one that was not ok: a client that gave up wants the next one.
    since: Option<Time>,
    /// The servers that clients stay with.
    places: BTreeMap<u64, NodeId>,
}

impl Waiting {
    /// A client begins an operation, which goes through the log or not.
    pub(super) fn begins(&mut self, client: u64, through_the_log: bool, now: Time) {
        self.under_way.insert(client, through_the_log);
        self.since = self.since.or(Some(now));
    }

    /// An operation of a client ends.
    pub(super) fn ends(&mut self, client: u64, is_ok: bool, now: Time) {
        self.under_way.remove(&client);
        if is_ok {
            self.since = self.is_any().then_some(now);
        }
    }

    /// A client stays with this server now, or is free to go to any.
    pub(super) fn stays(&mut self, client: u64, server: Option<NodeId>) {
        match server {
            Some(server) => drop(self.places.insert(client, server)),
            None => drop(self.places.remove(&client)),
        }
    }

    /// Whether an operation is under way.
    pub(super) fn is_any(&self) -> bool {
        !self.under_way.is_empty()
    }

    /// What they want now.
    pub(super) fn wishes(&self) -> Wishes {
        Wishes {
            since: self.since,
            commit: self.under_way.values().any(|through_the_log| *through_the_log),
            confined: self.places.values().copied().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads that are answered beside the log say nothing of what waits for a commit.
    #[test]
    fn who_waits_for_a_commit_waits_whatever_others_are_answered() {
        let mut waiting = Waiting::default();
        let at = |at: u64| Time::from_nanos(at);
        let wants = |waiting: &Waiting| (waiting.wishes().since, waiting.wishes().commit);
        waiting.begins(1, true, at(1));
        waiting.begins(2, false, at(2));
        waiting.ends(2, true, at(3));
        assert_eq!(wants(&waiting), (Some(at(3)), true), "client 1 waits for its write");
        waiting.ends(1, false, at(4));
        assert_eq!((wants(&waiting), waiting.is_any()), ((Some(at(3)), false), false), "and gives up");
        waiting.begins(1, false, at(5));
        assert_eq!(wants(&waiting), (Some(at(3)), false), "it wants to read now");
        waiting.ends(1, true, at(6));
        waiting.begins(1, true, at(7));
        assert_eq!(wants(&waiting), (Some(at(7)), true));
        waiting.ends(1, true, at(8));
        assert_eq!(wants(&waiting), (None, false));
    }

    #[test]
    fn clients_that_stay_with_others_do_not_reach_a_server() {
        let mut waiting = Waiting::default();
        let reach = |waiting: &Waiting| [1, 2].map(|server| waiting.wishes().reach(NodeId::new(server)));
        assert_eq!(reach(&waiting), [true, true]);
        waiting.stays(7, Some(NodeId::new(1)));
        assert_eq!(reach(&waiting), [true, false]);
        waiting.stays(8, Some(NodeId::new(2)));
        assert_eq!(reach(&waiting), [false, false]);
        waiting.stays(7, None);
        assert_eq!(reach(&waiting), [false, true]);
    }
}
