//! Whom an event meets when it fires: words for servers become ids.
//!
//! Choices are drawn through a function that the caller seeds: `below(n)` is a number below `n`, each
//! equally likely. The same view and the same draws give the same servers.

use std::collections::{BTreeMap, BTreeSet};

use raft_core::{NodeId, Rng};

use super::{Action, Change, Split, Target, Undo};
use crate::mix::mix;

/// What the `nth` firing, from 1, of what has this name draws with this seed: first what [`Action::drawn`] takes, then
/// whom it meets. One firing takes nothing from another.
pub fn draws(seed: u64, name: &str, nth: u64) -> Rng {
    Rng::new(mix(seed, (name, nth)))
}

/// The cluster as it is when an event fires. All lists are in the order of ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Every server.
    pub nodes: Vec<NodeId>,
    /// Those that vote.
    pub voters: Vec<NodeId>,
    /// Those that run and vote.
    pub running: Vec<NodeId>,
    /// Those that run and learn, or are to vote and do not yet.
    pub learners: Vec<NodeId>,
    /// Those that run and take no part.
    pub spares: Vec<NodeId>,
    /// The leader of the highest term that has one.
    pub leader: Option<NodeId>,
    /// Of those that run and vote, the one whose log is the most up to date.
    pub longest_log: Option<NodeId>,
    /// Those that believe themselves leader in a lower term.
    pub stale_leaders: Vec<NodeId>,
    /// Followers that run.
    pub followers: Vec<NodeId>,
    /// Candidates that run.
    pub candidates: Vec<NodeId>,
    /// Where the event's own trigger happened.
    pub trigger: Option<NodeId>,
    /// What earlier events acted on, by their names.
    pub acted_on: BTreeMap<String, Vec<NodeId>>,
}

/// What an action meets, as it was drawn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drawn {
    /// The servers; of a partition those that it singles out: the isolated, the smaller side, the bridge, the senders,
    /// none where all are alike.
    pub target: Vec<NodeId>,
    /// The directions that a partition cuts, from and to; never empty there.
    pub cut: BTreeSet<(NodeId, NodeId)>,
}

impl Action {
    /// The same with what is drawn whatever the cluster is like: how long it lasts, and which of several splits or
    /// changes it is.
    pub fn drawn(&self, rng: &mut Rng) -> Self {
        let mut drawn = self.clone();
        match &mut drawn {
            Self::Partition { split, undo } => {
                undo.draw(rng);
                if let Split::Any(shapes) = split {
                    keep_one(shapes, rng);
                }
            }
            Self::Link { fault, undo, .. } => {
                undo.draw(rng);
                let delay = rng.duration(fault.delay);
                fault.delay = (delay, delay);
            }
            Self::Crash { undo, .. }
            | Self::Clock { undo, .. }
            | Self::IsolateClient { undo, .. }
            | Self::Stop { undo, .. }
            | Self::Disk { undo, .. }
            | Self::Pause { undo, .. } => undo.draw(rng),
            Self::Wipe { restart_after, .. } => {
                let length = rng.duration(*restart_after);
                *restart_after = (length, length);
            }
            Self::Membership { change: Change::Any(steps), .. } => keep_one(steps, rng),
            Self::Membership { change: Change::Voters { .. }, .. }
            | Self::Heal
            | Self::Snapshot { .. }
            | Self::Upgrade { .. }
            | Self::Transfer { .. } => {}
        }
        drawn
    }

    /// What this meets now; none if it means nobody. What a server is asked for, and what ends faults, meets nothing.
    pub fn aim(&self, view: &View, below: &mut dyn FnMut(u64) -> u64) -> Option<Drawn> {
        match self {
            Self::Partition { split, .. } => split.draw(view, below),
            Self::Link { target, .. } => target.draw(view, below),
            Self::Crash { target, .. }
            | Self::Stop { target, .. }
            | Self::Disk { target, .. }
            | Self::Snapshot { target }
            | Self::Upgrade { target, .. }
            | Self::Wipe { target, .. }
            | Self::Clock { target, .. }
            | Self::IsolateClient { target, .. }
            | Self::Pause { target, .. } => {
                let target = target.resolve(view, below)?;
                Some(Drawn { target, ..Drawn::default() })
            }
            Self::Heal | Self::Membership { .. } | Self::Transfer { .. } => Some(Drawn::default()),
        }
    }
}

impl Undo {
    fn draw(&mut self, rng: &mut Rng) {
        if let Self::After(range) = self {
            let length = rng.duration(*range);
            *range = (length, length);
        }
    }
}

fn keep_one<T: Clone>(list: &mut Vec<T>, rng: &mut Rng) {
    if let Some(one) = rng.pick(list).cloned() {
        *list = vec![one];
    }
}

impl Target {
    /// The servers that this means now; none if it means nobody, or if fewer run than it asks for.
    pub fn resolve(&self, view: &View, below: &mut dyn FnMut(u64) -> u64) -> Option<Vec<NodeId>> {
        let voters = view.voters.len();
        let found = match self {
            Self::Ids(ids) => ids.clone(),
            Self::Leader => view.leader.into_iter().collect(),
            Self::LongestLog => view.longest_log.into_iter().collect(),
            Self::StaleLeader => some_of(&view.stale_leaders, 1, below)?,
            Self::Follower => some_of(&view.followers, 1, below)?,
            Self::Candidate => some_of(&view.candidates, 1, below)?,
            Self::Learner => some_of(&view.learners, 1, below)?,
            Self::Spare => some_of(&view.spares, 1, below)?,
            Self::One => some_of(&view.running, 1, below)?,
            Self::Minority => some_of(&view.running, voters.div_ceil(2).saturating_sub(1), below)?,
            Self::Majority => some_of(&view.running, voters / 2 + 1, below)?,
            Self::MinorityThird => some_of(&view.running, (voters / 3).max(1), below)?,
            Self::All => view.nodes.clone(),
            Self::EventNode => view.trigger.into_iter().collect(),
            Self::EventTarget(name) => view.acted_on.get(name).cloned().unwrap_or_default(),
        };
        (!found.is_empty()).then_some(found)
    }
}

impl Target {
    /// Whether this server is one that the words mean now.
    pub fn fits(&self, view: &View, node: NodeId) -> bool {
        match self {
            Self::Ids(ids) => ids.contains(&node),
            Self::Leader => view.leader == Some(node),
            Self::LongestLog => view.longest_log == Some(node),
            Self::StaleLeader => view.stale_leaders.contains(&node),
            Self::Follower => view.followers.contains(&node),
            Self::Candidate => view.candidates.contains(&node),
            Self::Learner => view.learners.contains(&node),
            Self::Spare => view.spares.contains(&node),
            Self::One | Self::Minority | Self::Majority | Self::MinorityThird => view.running.contains(&node),
            Self::All => view.nodes.contains(&node),
            Self::EventNode => view.trigger == Some(node),
            Self::EventTarget(name) => view.acted_on.get(name).is_some_and(|nodes| nodes.contains(&node)),
        }
    }
}

/// So many of `ids` at random, in the order drawn; none if there are not so many, or none is asked for.
pub(super) fn some_of(
    ids: &[NodeId],
    count: usize,
    below: &mut dyn FnMut(u64) -> u64,
) -> Option<Vec<NodeId>> {
    if count == 0 || count > ids.len() {
        return None;
    }
    let mut rest = ids.to_vec();
    let mut chosen = Vec::with_capacity(count);
    for _ in 0..count {
        let left = u64::try_from(rest.len()).ok()?;
        chosen.push(rest.remove(usize::try_from(below(left)).ok()?));
    }
    Some(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_there_is_not_found() {
        let voters: Vec<_> = [1, 2, 3].map(NodeId::new).into();
        let view = View { running: vec![voters[0]], nodes: voters.clone(), voters, ..View::default() };
        for target in [Target::Leader, Target::StaleLeader, Target::Majority, Target::EventNode] {
            assert_eq!(target.resolve(&view, &mut |_| 0), None, "{target}");
        }
        assert_eq!(Split::Isolate(Target::All).draw(&view, &mut |_| 0), None);
    }
}
