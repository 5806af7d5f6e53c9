//! Whom an event meets when it fires: words for servers become ids, a split becomes cut links.
//!
//! Choices are drawn through a function that the caller seeds: `below(n)` is a number below `n`, each
//! equally likely. The same view and the same draws give the same servers.

use std::collections::{BTreeMap, BTreeSet};

use raft_core::{NodeId, Rng};

use super::{Action, Change, Shape, Split, Target, Undo};
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

impl Split {
    /// The links that this cuts now; none if it cuts nothing, or, where a word says whom it meets, if it parts nobody
    /// who takes part from another who does. Servers that the plan names by their ids may be about to take part.
    pub fn draw(&self, view: &View, below: &mut dyn FnMut(u64) -> u64) -> Option<Drawn> {
        let parts = |drawn: &Drawn| drawn.cut.iter().any(|(a, b)| view.takes_part(*a) && view.takes_part(*b));
        match self {
            Self::Isolate(Target::Ids(ids)) => isolate(view, ids.clone()),
            Self::Isolate(target) => isolate(view, target.resolve(view, below)?).filter(parts),
            Self::Groups(groups) => drawn(Vec::new(), between(view, |id| group_of(groups, id))),
            Self::Cut(links) => {
                drawn(Vec::new(), links.iter().flat_map(|(a, b)| [(*a, *b), (*b, *a)]).collect())
            }
            Self::Any(shapes) => {
                let count = u64::try_from(shapes.len()).ok().filter(|count| *count > 0)?;
                shapes.get(usize::try_from(below(count)).ok()?)?.draw(view, below).filter(parts)
            }
        }
    }
}

impl View {
    /// Whether messages go to or from this server: it votes, it runs and learns, or it leads or believes so. One that
    /// does not run may vote again before a cut heals; a learner that does not is counted again once it runs.
    fn takes_part(&self, node: NodeId) -> bool {
        [&self.voters, &self.learners, &self.stale_leaders].into_iter().any(|list| list.contains(&node))
            || self.leader == Some(node)
    }
}

impl Shape {
    fn draw(&self, view: &View, below: &mut dyn FnMut(u64) -> u64) -> Option<Drawn> {
        match self {
            Self::Majority => isolate(view, Target::Minority.resolve(view, below)?),
            Self::MinorityThird => isolate(view, Target::MinorityThird.resolve(view, below)?),
            Self::Halves => isolate(view, half(view, &view.voters, below)?),
            // Whoever does not vote hears everybody.
            Self::Ring => drawn(Vec::new(), ring(&some_of(&view.voters, view.voters.len(), below)?)),
            Self::Bridge => {
                let bridge = *some_of(&view.running, 1, below)?.first()?;
                let others: Vec<_> = view.voters.iter().copied().filter(|id| *id != bridge).collect();
                let half = half(view, &others, below)?;
                let mut cut = between(view, |id| usize::from(half.contains(&id)));
                cut.retain(|(from, to)| *from != bridge && *to != bridge);
                drawn(vec![bridge], cut)
            }
            Self::OneWay(from, to) => {
                let (from, to) = (from.resolve(view, below)?, to.resolve(view, below)?);
                let to = to.into_iter().filter(|id| !from.contains(id));
                let cut = to.flat_map(|to| from.iter().map(move |from| (*from, to))).collect();
                drawn(from.clone(), cut)
            }
        }
    }
}

fn drawn(target: Vec<NodeId>, cut: BTreeSet<(NodeId, NodeId)>) -> Option<Drawn> {
    (!cut.is_empty()).then_some(Drawn { target, cut })
}

fn isolate(view: &View, ids: Vec<NodeId>) -> Option<Drawn> {
    let cut = between(view, |id| usize::from(ids.contains(&id)));
    drawn(ids, cut)
}

/// The smaller half of these voters, and whoever of those that do not vote is dealt to it.
fn half(view: &View, voters: &[NodeId], below: &mut dyn FnMut(u64) -> u64) -> Option<Vec<NodeId>> {
    let mut half = some_of(voters, voters.len() / 2, below)?;
    half.extend(view.nodes.iter().filter(|id| !view.voters.contains(id) && below(2) == 1));
    Some(half)
}

/// All links, both ways, between servers of different sides.
fn between(view: &View, side: impl Fn(NodeId) -> usize) -> BTreeSet<(NodeId, NodeId)> {
    let pairs = view.nodes.iter().flat_map(|from| view.nodes.iter().map(move |to| (*from, *to)));
    pairs.filter(|(from, to)| side(*from) != side(*to)).collect()
}

fn group_of(groups: &[Vec<NodeId>], id: NodeId) -> usize {
    groups.iter().position(|group| group.contains(&id)).unwrap_or(groups.len())
}

/// Each hears the majority of which it is the middle, in a circle. With an odd majority that is the same
/// in both directions.
fn ring(circle: &[NodeId]) -> BTreeSet<(NodeId, NodeId)> {
    let (count, majority) = (circle.len(), circle.len() / 2 + 1);
    let mut cut = BTreeSet::new();
    for (position, to) in circle.iter().enumerate() {
        let first = position + count - majority / 2;
        for unheard in first + majority..first + count {
            cut.insert((circle[unheard % count], *to));
        }
    }
    cut
}

/// So many of `ids` at random, in the order drawn; none if there are not so many, or none is asked for.
fn some_of(ids: &[NodeId], count: usize, below: &mut dyn FnMut(u64) -> u64) -> Option<Vec<NodeId>> {
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

    fn view(voters: u64) -> View {
        let nodes: Vec<_> = (1..=voters).map(NodeId::new).collect();
        View {
            running: nodes.clone(),
            voters: nodes.clone(),
            nodes,
            leader: Some(NodeId::new(1)),
            ..View::default()
        }
    }

    fn heard_by(drawn: &Drawn, view: &View, to: NodeId) -> BTreeSet<NodeId> {
        view.nodes.iter().copied().filter(|from| !drawn.cut.contains(&(*from, to))).collect()
    }

    /// Whatever is drawn, every server of a ring hears a majority, and no two hear the same.
    #[test]
    fn in_a_ring_each_hears_a_majority_of_its_own() {
        for voters in 3..=9 {
            for salt in 0..20 {
                let view = view(voters);
                let mut below = |n| salt % n;
                let drawn = Split::Any(vec![Shape::Ring]).draw(&view, &mut below).expect("a ring");
                let heard: BTreeSet<_> = view.nodes.iter().map(|id| heard_by(&drawn, &view, *id)).collect();
                assert_eq!(heard.len(), view.nodes.len());
                assert!(heard.iter().all(|heard| heard.len() == view.nodes.len() / 2 + 1));
            }
        }
    }

    /// With four voters and four that do not vote, halves and bridges part the voters evenly, and whoever votes in a ring
    /// hears a majority of them.
    #[test]
    fn voters_are_parted_evenly_and_others_are_dealt() {
        let mut view = view(8);
        view.voters.truncate(4);
        view.running = vec![NodeId::new(2)];
        let mut rng = Rng::new(1);
        let mut sides = BTreeSet::new();
        for _ in 0..40 {
            let mut draw =
                |shape| Split::Any(vec![shape]).draw(&view, &mut |n| rng.below(n)).expect("a split");
            let halves = draw(Shape::Halves);
            let votes = |id: &&NodeId| view.voters.contains(id);
            assert_eq!(halves.target.iter().filter(votes).count(), 2, "{:?}", halves.target);
            sides.insert(halves.target.len());
            let bridge = draw(Shape::Bridge);
            assert_eq!(bridge.target, [NodeId::new(2)], "it runs");
            assert_eq!(heard_by(&bridge, &view, NodeId::new(2)).len(), 8);
            let ring = draw(Shape::Ring);
            for voter in &view.voters {
                assert_eq!(heard_by(&ring, &view, *voter).iter().filter(votes).count(), 3);
            }
            assert_eq!(heard_by(&ring, &view, NodeId::new(7)).len(), 8, "it does not vote");
        }
        assert!(sides.len() > 2, "they are dealt at random");
    }

    /// Each row: a split of five servers, whom it singles out, and how many directions it cuts.
    #[test]
    fn a_split_cuts_just_the_links_between_its_sides() {
        let ids = |ids: &[u64]| ids.iter().copied().map(NodeId::new).collect::<Vec<_>>();
        let one_way = Shape::OneWay(Target::Leader, Target::Majority);
        for (split, target, cut) in [
            (Split::Isolate(Target::Leader), ids(&[1]), 8),
            (Split::Groups(vec![ids(&[1, 2]), ids(&[3])]), ids(&[]), 16),
            (Split::Cut(vec![(NodeId::new(1), NodeId::new(3))]), ids(&[]), 2),
            (Split::Any(vec![Shape::Majority]), ids(&[1, 2]), 12),
            (Split::Any(vec![Shape::MinorityThird]), ids(&[1]), 8),
            (Split::Any(vec![Shape::Halves]), ids(&[1, 2]), 12),
            (Split::Any(vec![Shape::Bridge]), ids(&[1]), 8),
            (Split::Any(vec![one_way]), ids(&[1]), 2),
        ] {
            let drawn = split.draw(&view(5), &mut |_| 0).expect("something is cut");
            assert_eq!((drawn.target, drawn.cut.len()), (target, cut), "{split:?}");
        }
    }

    /// One voter is left of five servers. Each row: a split, and whether it cuts anything while all others are spares, and
    /// while one of them learns.
    #[test]
    fn a_drawn_cut_parts_two_who_take_part() {
        let alone = View { voters: vec![NodeId::new(1)], running: vec![NodeId::new(1)], ..view(5) };
        let learning = View { learners: vec![NodeId::new(3)], ..alone.clone() };
        let one_way = Shape::OneWay(Target::Leader, Target::All);
        for (split, cuts_alone, cuts_learning) in [
            (Split::Isolate(Target::Leader), false, true),
            // One voter makes no ring.
            (Split::Any(vec![Shape::Ring]), false, false),
            (Split::Any(vec![one_way]), false, true),
            (Split::Isolate(Target::Ids(vec![NodeId::new(4)])), true, true),
            (Split::Cut(vec![(NodeId::new(3), NodeId::new(4))]), true, true),
            (Split::Groups(vec![vec![NodeId::new(2)]]), true, true),
        ] {
            let cuts = |view: &View| split.draw(view, &mut |_| 0).is_some();
            assert_eq!((cuts(&alone), cuts(&learning)), (cuts_alone, cuts_learning), "{split:?}");
        }
        // A leader that is being removed still talks to the only voter.
        let removed = View { leader: Some(NodeId::new(2)), ..alone };
        assert!(Split::Isolate(Target::Leader).draw(&removed, &mut |_| 0).is_some());
    }

    #[test]
    fn who_is_not_there_is_not_found() {
        let mut view = view(3);
        view.running.truncate(1);
        view.leader = None;
        for target in [Target::Leader, Target::StaleLeader, Target::Majority, Target::EventNode] {
            assert_eq!(target.resolve(&view, &mut |_| 0), None, "{target}");
        }
        assert_eq!(Split::Isolate(Target::All).draw(&view, &mut |_| 0), None);
    }
}
