//! Which links a split cuts when it fires.

use std::collections::BTreeSet;

use raft_core::NodeId;

use super::draw::{Drawn, View, some_of};
use super::{Shape, Split, Target};

impl Split {
    /// The links that this cuts now; none if it cuts nothing, or, where a word says whom it meets, if it parts nobody
    /// who takes part from another who does. Servers that the plan names by their ids, or as spares, may be about to take
    /// part.
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
                let shape = shapes.get(usize::try_from(below(count)).ok()?)?;
                shape.draw(view, below).filter(|drawn| shape.names_outsiders() || parts(drawn))
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
    /// Whether it names servers who may take no part yet.
    fn names_outsiders(&self) -> bool {
        let Self::OneWay(from, to) = self else { return false };
        [from, to].into_iter().any(|target| matches!(target, Target::Ids(_) | Target::Spare))
    }

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

#[cfg(test)]
mod tests {
    use raft_core::Rng;

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
        let spares = (2..=5).map(NodeId::new).collect();
        let alone = View { voters: vec![NodeId::new(1)], running: vec![NodeId::new(1)], spares, ..view(5) };
        let learning = View { learners: vec![NodeId::new(3)], ..alone.clone() };
        let one_way = |to| Split::Any(vec![Shape::OneWay(Target::Leader, to)]);
        for (split, cuts_alone, cuts_learning) in [
            (Split::Isolate(Target::Leader), false, true),
            // One voter makes no ring.
            (Split::Any(vec![Shape::Ring]), false, false),
            (one_way(Target::All), false, true),
            (one_way(Target::Spare), true, true),
            (one_way(Target::Ids(vec![NodeId::new(4)])), true, true),
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
}
