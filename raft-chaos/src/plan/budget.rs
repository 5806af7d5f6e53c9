//! `[budget]`: what `[[chaos]]` may not exceed, so that the cluster can go on and its data is not lost. Events that a
//! plan scripts count as used, and are refused only where one of them by itself breaks a limit that the plan writes.

use std::collections::BTreeSet;
use std::time::Duration;

use raft_core::{NodeId, Rng};
use raft_storage::{DiskFault, ReadFault, SyncFault};

use super::draw::{Drawn, View};
use super::values::print_duration;
use super::walk::{Item, Section};
use super::{Action, Cluster, Shape, Split, Undo};

/// What chaos may not exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Voters that are down, or outside the largest set of servers that reach each other.
    pub down_or_cut: Quota,
    /// Voters that have lost something of their disks and not caught up since.
    pub disk_loss: Quota,
    /// How far a clock may be from the true time.
    pub max_clock_error: Duration,
    /// Which of these the plan writes, in this order: no event may break one of those by itself.
    pub written: [bool; 3],
}

/// The keys of the limits, in the order of [`Budget`].
const KEYS: [&str; 3] = ["down_or_cut", "disk_loss", "max_clock_error"];

/// How many of the voters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quota {
    /// Not one.
    None,
    /// As many as leave a majority.
    Minority,
    /// As many as there are.
    Any,
}

/// The words of a quota.
pub(super) const QUOTAS: [(&str, Quota); 3] =
    [("none", Quota::None), ("minority", Quota::Minority), ("any", Quota::Any)];

impl Quota {
    /// Its word in a plan.
    pub fn name(self) -> &'static str {
        QUOTAS.iter().find(|(_, quota)| *quota == self).map_or("", |(word, _)| *word)
    }

    /// So many of these voters.
    pub const fn of(self, voters: usize) -> usize {
        match self {
            Self::None => 0,
            Self::Minority => voters.div_ceil(2).saturating_sub(1),
            Self::Any => voters,
        }
    }
}

/// How the servers are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Every server.
    pub nodes: BTreeSet<NodeId>,
    /// Of whom majorities are needed: the voters, in joint consensus the old ones and the new ones.
    pub electorates: Vec<BTreeSet<NodeId>>,
    /// What has been taken from them so far.
    pub taken: Toll,
}

/// What is taken from servers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Toll {
    /// These do not run, or are not sure to go on running.
    pub down: BTreeSet<NodeId>,
    /// These directions are cut.
    pub cut: BTreeSet<(NodeId, NodeId)>,
    /// These have lost something of their disks.
    pub lost: BTreeSet<NodeId>,
    /// By how much a clock is off.
    pub clock_error: Duration,
}

impl Toll {
    fn and(&self, more: &Self) -> Self {
        Self {
            down: &self.down | &more.down,
            cut: &self.cut | &more.cut,
            lost: &self.lost | &more.lost,
            clock_error: self.clock_error + more.clock_error,
        }
    }
}

impl Health {
    /// Those outside the largest set of servers that are up and reach each other both ways, directly or through others
    /// of the set. Voters count first.
    fn outside(&self, toll: &Toll) -> BTreeSet<NodeId> {
        let mut rest: BTreeSet<_> = self.nodes.difference(&toll.down).copied().collect();
        let mut largest = ((0, 0), BTreeSet::new());
        while let Some(first) = rest.pop_first() {
            let (mut set, mut reached) = (BTreeSet::from([first]), vec![first]);
            while let Some(from) = reached.pop() {
                let linked =
                    |to: &NodeId| !toll.cut.contains(&(from, *to)) && !toll.cut.contains(&(*to, from));
                let near: BTreeSet<_> = rest.iter().copied().filter(linked).collect();
                rest.retain(|node| !near.contains(node));
                reached.extend(&near);
                set.extend(near);
            }
            let voters =
                self.electorates.iter().map(|voters| voters.intersection(&set).count()).sum::<usize>();
            let size = (voters, set.len());
            if size > largest.0 {
                largest = (size, set);
            }
        }
        self.nodes.difference(&largest.1).copied().collect()
    }
}

impl Budget {
    /// The key of the limit that this would exceed, if it takes anything more.
    pub fn exceeded(&self, health: &Health, toll: &Toll) -> Option<&'static str> {
        let (before, after) = (&health.taken, health.taken.and(toll));
        let breaks = |quota: Quota, before: &BTreeSet<NodeId>, after: &BTreeSet<NodeId>| {
            let more = |voters: &&BTreeSet<NodeId>| {
                let taken = after.intersection(voters);
                taken.clone().any(|node| !before.contains(node)) && taken.count() > quota.of(voters.len())
            };
            health.electorates.iter().any(|voters| more(&voters))
        };
        if breaks(self.down_or_cut, &health.outside(before), &health.outside(&after)) {
            Some("down_or_cut")
        } else if breaks(self.disk_loss, &before.lost, &after.lost) {
            Some("disk_loss")
        } else if !toll.clock_error.is_zero() && after.clock_error > self.max_clock_error {
            Some("max_clock_error")
        } else {
            None
        }
    }
}

impl Action {
    /// What this takes from those that it meets, where it lasts so long.
    pub fn toll(&self, aim: &Drawn, lasting: Duration) -> Toll {
        let nodes: BTreeSet<_> = aim.target.iter().copied().collect();
        match self {
            Self::Partition { .. } => Toll { cut: aim.cut.clone(), ..Toll::default() },
            Self::Link { fault, .. } if fault.carries_nothing() => {
                Toll { cut: aim.cut.clone(), ..Toll::default() }
            }
            Self::Clock { fault, .. } => Toll { clock_error: fault.error_after(lasting), ..Toll::default() },
            Self::Crash { damage: Some(_), .. } | Self::Stop { damage: Some(_), .. } | Self::Wipe { .. } => {
                Toll { down: nodes.clone(), lost: nodes, ..Toll::default() }
            }
            Self::Crash { damage: None, .. }
            | Self::Stop { damage: None, .. }
            | Self::Upgrade { .. }
            | Self::Pause { .. } => Toll { down: nodes, ..Toll::default() },
            Self::Disk { fault, .. } if may_end_a_server(fault) => Toll { down: nodes, ..Toll::default() },
            Self::Disk { .. }
            | Self::Link { .. }
            | Self::IsolateClient { .. }
            | Self::Heal
            | Self::Snapshot { .. }
            | Self::Membership { .. }
            | Self::Transfer { .. } => Toll::default(),
        }
    }

    /// The same, or a partition of each kind that it may be.
    fn choices(&self) -> Vec<Self> {
        let Self::Partition { split: Split::Any(shapes), undo } = self else { return vec![self.clone()] };
        let one = |shape: &Shape| Self::Partition { split: Split::Any(vec![shape.clone()]), undo: *undo };
        shapes.iter().map(one).collect()
    }
}

/// Whether a server may end over it: what it refuses or returns may be what that cannot do without.
fn may_end_a_server(fault: &DiskFault) -> bool {
    fault.sync == Some(SyncFault::Error) || fault.write.is_some() || fault.read == Some(ReadFault::Error)
}

pub(super) fn budget(mut table: Section<'_>) -> Budget {
    let written = KEYS.map(|key| table.has(key));
    let mut quota = |key| table.read(key, |item| item.word(&QUOTAS)).unwrap_or(Quota::Minority);
    let (down_or_cut, disk_loss) = (quota("down_or_cut"), quota("disk_loss"));
    let max_clock_error = table.read("max_clock_error", Item::duration).unwrap_or(Duration::from_secs(1));
    table.finish();
    Budget { down_or_cut, disk_loss, max_clock_error, written }
}

/// How many draws of a random choice are tried.
const DRAWS: u64 = 32;

impl Budget {
    fn writes(&self, key: &str) -> bool {
        KEYS.iter().zip(self.written).any(|(known, written)| written && *known == key)
    }

    /// The limit that an action breaks by itself, done to a cluster that is whole: the key, and what it allows.
    pub(super) fn broken_by(
        &self,
        action: &Action,
        cluster: &Cluster,
        duration: Duration,
    ) -> Option<(&'static str, String)> {
        let (view, health) = whole(cluster);
        let lasting = match action.undo() {
            Some(Undo::After((_, longest))) => longest.min(duration),
            Some(Undo::AtEnd | Undo::Never) | None => duration,
        };
        for choice in action.choices() {
            for seed in 0..DRAWS {
                let mut rng = Rng::new(seed);
                let Some(aim) = choice.aim(&view, &mut |n| rng.below(n)) else { continue };
                let exceeded = self.exceeded(&health, &choice.toll(&aim, lasting));
                if let Some(key) = exceeded.filter(|key| self.writes(key)) {
                    let allowed = match key {
                        "disk_loss" => self.disk_loss.name().to_owned(),
                        "max_clock_error" => print_duration(self.max_clock_error),
                        _ => self.down_or_cut.name().to_owned(),
                    };
                    return Some((key, allowed));
                }
            }
        }
        None
    }
}

/// A cluster in which nothing has happened. Any role of a voter is one that each voter may have.
fn whole(cluster: &Cluster) -> (View, Health) {
    let nodes = cluster.nodes();
    let voting = usize::try_from(cluster.voters).unwrap_or(nodes.len());
    let (voters, others) = nodes.split_at(voting);
    let learning = usize::try_from(cluster.learners).unwrap_or(0);
    let voters = voters.to_vec();
    let view = View {
        voters: voters.clone(),
        running: voters.clone(),
        learners: others[..learning].to_vec(),
        spares: others[learning..].to_vec(),
        leader: voters.first().copied(),
        longest_log: voters.first().copied(),
        trigger: voters.first().copied(),
        stale_leaders: voters.clone(),
        followers: voters.clone(),
        candidates: voters.clone(),
        nodes: nodes.clone(),
        acted_on: std::collections::BTreeMap::new(),
    };
    let electorates = vec![voters.into_iter().collect()];
    (view, Health { nodes: nodes.into_iter().collect(), electorates, taken: Toll::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(ids: &[u64]) -> BTreeSet<NodeId> {
        ids.iter().copied().map(NodeId::new).collect()
    }

    fn both(links: &[(u64, u64)]) -> BTreeSet<(NodeId, NodeId)> {
        let both = |(a, b): (u64, u64)| [(NodeId::new(a), NodeId::new(b)), (NodeId::new(b), NodeId::new(a))];
        links.iter().copied().flat_map(both).collect()
    }

    /// Each row: who of five voters is down, which links are cut, and who is down or cut.
    #[test]
    fn who_reaches_the_largest_set_through_others_is_not_cut() {
        for (down, cut, outside) in [
            (&[][..], &[][..], &[][..]),
            (&[2], &[], &[2]),
            (&[], &[(1, 2), (1, 3), (1, 4), (1, 5)], &[1]),
            (&[], &[(1, 2), (1, 3), (1, 4)], &[]),
            (&[5], &[(1, 2), (1, 3), (1, 4)], &[1, 5]),
            (&[], &[(1, 3), (1, 4), (1, 5), (2, 3), (2, 4), (2, 5)], &[1, 2]),
            (&[1, 2, 3, 4, 5], &[], &[1, 2, 3, 4, 5]),
        ] {
            let all = ids(&[1, 2, 3, 4, 5]);
            let toll = Toll { down: ids(down), cut: both(cut), ..Toll::default() };
            let health = Health { nodes: all.clone(), electorates: vec![all], taken: Toll::default() };
            assert_eq!(health.outside(&toll), ids(outside), "{down:?} {cut:?}");
        }
        let one_way = BTreeSet::from([(NodeId::new(1), NodeId::new(2))]);
        let health = Health { nodes: ids(&[1, 2]), electorates: vec![ids(&[1, 2])], taken: Toll::default() };
        let outside = health.outside(&Toll { cut: one_way, ..Toll::default() });
        assert_eq!(outside.len(), 1, "both ways or not at all");
    }

    /// Each row: who of voters 1 to 3 and learner 4 is down already, who would be, and the limit that forbids it.
    #[test]
    fn what_is_taken_already_counts_and_nothing_more_is_no_excess() {
        let budget = Budget {
            down_or_cut: Quota::Minority,
            disk_loss: Quota::None,
            max_clock_error: Duration::from_secs(1),
            written: [false; 3],
        };
        for (before, more, lost, exceeded) in [
            (&[][..], &[1][..], &[][..], None),
            (&[], &[1, 2], &[], Some("down_or_cut")),
            (&[3], &[1], &[], Some("down_or_cut")),
            (&[3], &[3], &[], None),
            (&[2, 3], &[3], &[], None),
            (&[2], &[4], &[], None),
            (&[], &[1], &[1], Some("disk_loss")),
            (&[], &[4], &[4], None),
        ] {
            let taken = Toll { down: ids(before), ..Toll::default() };
            let health = Health { nodes: ids(&[1, 2, 3, 4]), electorates: vec![ids(&[1, 2, 3])], taken };
            let toll = Toll { down: ids(more), lost: ids(lost), ..Toll::default() };
            assert_eq!(budget.exceeded(&health, &toll), exceeded, "{before:?} {more:?} {lost:?}");
        }
    }
}
