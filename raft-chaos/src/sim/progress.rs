//! Progress is owed while some majority is up, pairwise connected and unpaused, the same one throughout.
//!
//! Every smallest majority of the voters is followed by itself: since when it has been whole, and since
//! when none of it has led.

use std::time::Duration;

use raft_core::{NodeId, RoleName, Time};

use super::world::World;
use crate::plan::Liveness;

/// What is owed, and what was missed.
pub(super) struct Progress {
    majorities: Vec<Majority>,
    versions: Option<(u64, u64)>,
    leader_within: Duration,
    commit_within: Duration,
    /// The first miss of each kind.
    pub(super) no_leader: Option<String>,
    pub(super) no_commit: Option<String>,
}

struct Majority {
    nodes: Vec<NodeId>,
    /// Since when progress has been owed to it.
    whole: Option<Time>,
    /// Since when none of it has led.
    leaderless: Option<Time>,
}

impl Progress {
    pub(super) fn new(voters: &[NodeId], liveness: &Liveness) -> Self {
        let majority = |nodes| Majority { nodes, whole: None, leaderless: None };
        Self {
            majorities: choose(voters, voters.len() / 2 + 1).into_iter().map(majority).collect(),
            versions: None,
            leader_within: liveness.leader_within,
            commit_within: liveness.commit_within,
            no_leader: None,
            no_commit: None,
        }
    }

    /// Since when progress has been owed, if it is.
    pub(super) fn owed_since(&self) -> Option<Time> {
        self.majorities.iter().filter_map(|majority| majority.whole).min()
    }

    /// A moment later. `waiting_since` is since when there has always been an operation that waits.
    pub(super) fn advance(&mut self, now: Time, world: &World, waiting_since: Option<Time>) {
        let versions = world.versions();
        if self.versions != Some(versions) {
            self.versions = Some(versions);
            self.look(now, world);
        }
        if self.no_leader.is_none() {
            let missed = |majority: &&Majority| {
                let since = majority.whole.zip(majority.leaderless).map(|(a, b)| a.max(b));
                since.is_some_and(|since| now.since(since) > self.leader_within)
            };
            self.no_leader = self.majorities.iter().find(missed).map(|majority| {
                format!("{} were up and connected for {:?} without a leader", list(&majority.nodes), self.leader_within)
            });
        }
        if self.no_commit.is_none()
            && let (Some(owed), Some(waiting)) = (self.owed_since(), waiting_since)
        {
            let (index, committed) = world.committed();
            let since = owed.max(waiting).max(committed);
            if now.since(since) > self.commit_within {
                let within = self.commit_within;
                self.no_commit = Some(format!(
                    "nothing was committed after entry {index} for {within:?}, while a majority was up and connected and an operation waited"
                ));
            }
        }
    }

    fn look(&mut self, now: Time, world: &World) {
        let servers = world.servers();
        let fit = |id: &NodeId| servers.get(id).is_some_and(|server| server.running && server.paused == 0);
        let highest = servers.values().filter(|server| server.running).map(|server| server.term).max();
        for Majority { nodes, whole, leaderless } in &mut self.majorities {
            let linked = |a: &NodeId| nodes.iter().all(|b| a == b || world.are_linked(*a, *b));
            let is_whole = nodes.iter().all(fit) && nodes.iter().all(linked);
            *whole = is_whole.then(|| whole.unwrap_or(now));
            let leads = nodes.iter().filter_map(|id| servers.get(id)).any(|server| {
                server.running && server.role == RoleName::Leader && Some(server.term) == highest
            });
            *leaderless = (!leads).then(|| leaderless.unwrap_or(now));
        }
    }
}

/// Every way to choose `count` of `nodes`.
fn choose(nodes: &[NodeId], count: usize) -> Vec<Vec<NodeId>> {
    let Some((first, rest)) = nodes.split_first().filter(|_| count > 0) else {
        return if count == 0 { vec![Vec::new()] } else { Vec::new() };
    };
    let mut chosen = choose(rest, count - 1);
    chosen.iter_mut().for_each(|nodes| nodes.insert(0, *first));
    chosen.extend(choose(rest, count));
    chosen
}

fn list(nodes: &[NodeId]) -> String {
    nodes.iter().map(NodeId::to_string).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_smallest_majority_is_followed() {
        let nodes: Vec<_> = (1..=5).map(NodeId::new).collect();
        let majorities = choose(&nodes, 3);
        assert_eq!(majorities.len(), 10);
        assert!(majorities.iter().all(|nodes| nodes.len() == 3 && nodes.is_sorted()));
    }
}
