//! Progress is owed while some majority is up, unpaused, pairwise connected by links without faults, its disks sound, its
//! clocks about right and all it lost caught up with, the same one throughout.
//!
//! Every smallest set with a majority of the voters, of old ones and new ones in joint consensus, is followed by
//! itself: since when it has been whole. A leader counts while it leads the highest term of such a set with all of which it
//! is linked; its own disk may be slow.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use raft_core::{NodeId, RoleName, Time};

use super::membership::Membership;
use super::network::Network;
use super::servers::Server;
use super::waiting::Wishes;
use super::world::World;
use crate::plan::Liveness;

/// What is owed, and what was missed.
pub(super) struct Progress {
    /// Each set, and since when progress has been owed to it.
    majorities: BTreeMap<Vec<NodeId>, Option<Time>>,
    /// Since when no whole majority has been led.
    leaderless: Option<Time>,
    /// Who leads whole majorities, and lets clients in.
    open: BTreeSet<NodeId>,
    /// Since when neither the plan nor their own way has kept clients from whoever leads: nobody commits what it is not asked for.
    reachable: Option<Time>,
    /// Since when a commit has been owed, and how long clients have waited for one since then, all in all.
    stalled: (Option<Time>, Duration),
    /// The moment before.
    before: Time,
    version: Option<u64>,
    leader_within: Duration,
    commit_within: Duration,
    /// The first miss of each kind.
    pub(super) no_leader: Option<Miss>,
    pub(super) no_commit: Option<Miss>,
}

/// What was missed, and when that was seen.
pub(super) struct Miss {
    pub(super) at: Time,
    pub(super) what: String,
}

impl Progress {
    pub(super) const fn new(liveness: &Liveness) -> Self {
        Self {
            majorities: BTreeMap::new(),
            leaderless: None,
            open: BTreeSet::new(),
            reachable: Some(Time::ZERO),
            stalled: (None, Duration::ZERO),
            before: Time::ZERO,
            version: None,
            leader_within: liveness.leader_within,
            commit_within: liveness.commit_within,
            no_leader: None,
            no_commit: None,
        }
    }

    /// Since when progress has been owed, if it is.
    pub(super) fn owed_since(&self) -> Option<Time> {
        self.majorities.values().copied().flatten().min()
    }

    /// The same of commits, which clients that cannot reach a leader do not get.
    pub(super) fn commits_owed_since(&self) -> Option<Time> {
        Some(self.owed_since()?.max(self.reachable?))
    }

    /// Whether a whole majority has a leader.
    pub(super) const fn is_led(&self) -> bool {
        self.version.is_some() && self.leaderless.is_none()
    }

    /// A moment later, at which clients want this.
    pub(super) fn advance(&mut self, now: Time, world: &World, wishes: &Wishes) {
        let version = world.version();
        if self.version != Some(version) {
            self.version = Some(version);
            self.look(now, world);
        }
        let is_reachable = !self.is_led() || self.open.iter().any(|leader| wishes.reach(*leader));
        self.reachable = is_reachable.then(|| self.reachable.unwrap_or(now));
        if self.no_leader.is_none()
            && let (Some(owed), Some(leaderless)) = (self.owed_since(), self.leaderless)
            && now.since(owed.max(leaderless)) > self.leader_within
        {
            let within = self.leader_within;
            let nodes = self.whole_majority();
            let what = format!("{nodes} were up and connected for {within:?} without a leader");
            self.no_leader = Some(Miss { at: now, what });
        }
        let (index, committed) = world.committed();
        if self.waited(now, committed, wishes) > self.commit_within && self.no_commit.is_none() {
            let within = self.commit_within;
            let nodes = self.whole_majority();
            let what = format!(
                "{nodes} were up and connected, and committed nothing after entry {index} for {within:?} while an operation waited"
            );
            self.no_commit = Some(Miss { at: now, what });
        }
        self.before = now;
    }

    /// How long clients have waited for the next commit, after the last one at `committed`, while it has been owed. Either nobody
    /// was answered anything for so long; or somebody had asked for something that is to be committed for so long, all in all, whatever
    /// others were answered beside the log.
    fn waited(&mut self, now: Time, committed: Time, wishes: &Wishes) -> Duration {
        let owed = self.commits_owed_since().map(|owed| owed.max(committed));
        let Some(since) = owed else {
            self.stalled = (None, Duration::ZERO);
            return Duration::ZERO;
        };
        if self.stalled.0 != owed {
            self.stalled = (owed, Duration::ZERO);
        } else if wishes.commit {
            self.stalled.1 += now.since(self.before);
        }
        let all = wishes.since.map_or(Duration::ZERO, |waiting| now.since(since.max(waiting)));
        all.max(self.stalled.1)
    }

    /// The servers to whom progress has been owed longest.
    fn whole_majority(&self) -> String {
        let whole = self.majorities.iter().filter(|(_, whole)| whole.is_some());
        let nodes = whole.min_by_key(|(_, whole)| **whole).map(|(nodes, _)| nodes);
        nodes.into_iter().flatten().map(NodeId::to_string).collect::<Vec<_>>().join(" ")
    }

    fn look(&mut self, now: Time, world: &World) {
        let servers = world.servers();
        let electorates = world.membership(Membership::electorates);
        let everybody = everybody(&electorates);
        let fit = |id: &NodeId, all: bool| servers.get(id).is_some_and(|server| is_fit(server, all));
        let mut led = false;
        self.open.clear();
        let before = std::mem::take(&mut self.majorities);
        for nodes in majorities(&electorates).into_iter().chain(everybody.clone()) {
            let whole = before.get(&nodes).copied().flatten();
            self.majorities.insert(nodes, whole);
        }
        let cut = world.network(Network::cut_directions);
        let faulty = world.network(Network::faulty_directions);
        for (nodes, whole) in &mut self.majorities {
            let linked = |a: &NodeId| nodes.iter().all(|b| !faulty.contains(&(*a, *b)));
            let all = everybody.as_ref() == Some(nodes);
            let is_whole = nodes.iter().all(|id| fit(id, all)) && nodes.iter().all(linked);
            *whole = is_whole.then(|| whole.unwrap_or(now));
            let highest = nodes.iter().filter_map(|id| servers.get(id)).map(|server| server.term).max();
            let leads = |(id, server): (&NodeId, &Server)| {
                let near = |other: &NodeId| !cut.contains(&(*id, *other)) && !cut.contains(&(*other, *id));
                let is_there = server.running && server.paused == 0 && nodes.iter().all(near);
                is_there && server.role == RoleName::Leader && Some(server.term) >= highest
            };
            let leaders = servers.iter().filter(|server| is_whole && leads(*server));
            for (id, server) in leaders {
                led = true;
                if server.shut == 0 {
                    self.open.insert(*id);
                }
            }
        }
        self.leaderless = (!led).then(|| self.leaderless.unwrap_or(now));
    }
}

/// Whether a server can do its part, in a set of all voters or of some. Where every voter is there, one of them has what
/// the end of a log that is in doubt may lack.
fn is_fit(server: &Server, all: bool) -> bool {
    let lacks = &server.lacks;
    let has_all = if all { lacks.is_end_at_most() } else { lacks.is_none() };
    server.running && server.paused == 0 && server.disk_faults == 0 && !server.clock_is_off && has_all
}

/// Every smallest set that has a majority of each electorate, of which there are two at most; of each is given its size, and
/// who of it counts.
fn majorities(electorates: &[(usize, Vec<NodeId>)]) -> Vec<Vec<NodeId>> {
    let need = |(size, _): &(usize, Vec<NodeId>)| size / 2 + 1;
    let (one, other) = match electorates {
        [] => return vec![Vec::new()],
        [one] => return choose(&one.1, need(one)),
        [one, other, ..] => (one, other),
    };
    let (both, only_one): (Vec<_>, Vec<_>) = one.1.iter().copied().partition(|voter| other.1.contains(voter));
    let only_other: Vec<_> = other.1.iter().copied().filter(|voter| !one.1.contains(voter)).collect();
    let mut sets = Vec::new();
    // Whoever is in both counts for both.
    for shared in 0..=both.len().min(need(one).max(need(other))) {
        let rest = [(&only_one, need(one)), (&only_other, need(other))];
        let [ones, others] = rest.map(|(voters, need)| choose(voters, need.saturating_sub(shared)));
        for shared in choose(&both, shared) {
            let with = |one: &Vec<NodeId>, other: &Vec<NodeId>| {
                BTreeSet::from_iter(shared.iter().chain(one).chain(other).copied()).into_iter().collect()
            };
            sets.extend(ones.iter().flat_map(|one| others.iter().map(move |other| with(one, other))));
        }
    }
    sets
}

/// All voters, if each is in a life that counts.
fn everybody(electorates: &[(usize, Vec<NodeId>)]) -> Option<Vec<NodeId>> {
    let complete = electorates.iter().all(|(size, voters)| *size == voters.len());
    let all = electorates.iter().flat_map(|(_, voters)| voters).copied();
    complete.then(|| all.collect::<BTreeSet<_>>().into_iter().collect())
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

#[cfg(test)]
mod tests {
    use raft_core::{Configuration, EntryId, Event, LogIndex, Member, Term};

    use super::super::servers::Lack;
    use super::super::trace::{Telling, Trace};
    use super::*;
    use crate::plan::Link;

    const fn second(second: u64) -> Time {
        Time::from_nanos(second * 1_000_000_000)
    }

    /// Three servers that run, of which `leader` leads.
    fn led_by(leader: u64) -> World {
        let nodes = [1, 2, 3].map(NodeId::new);
        let still = Link { delay: Duration::ZERO, jitter: Duration::ZERO, tail: None };
        let trace = Trace::new(None, None, Telling::default(), Time::ZERO);
        let world = World::new(&nodes, still, 0, trace);
        world.begin(Configuration::of(nodes.map(Member::from)), BTreeMap::new(), false);
        nodes.iter().for_each(|&node| world.booted(node));
        let (from_term, from) = (Term::default(), RoleName::Candidate);
        let (term, to) = (Term::new(1), RoleName::Leader);
        let id = NodeId::new(leader);
        world.observe(id, &Event::Role { from_term, from, term, to, leader: Some(id) });
        world
    }

    /// Whether a commit is missed by the end of 20 seconds, in each of which clients want what it says, and one comes where it
    /// says so.
    fn misses(world: &World, wishes: impl Fn(u64) -> Wishes, commits: impl Fn(u64) -> bool) -> bool {
        let mut progress = Progress::new(&Liveness {
            leader_within: Duration::from_secs(3),
            commit_within: Duration::from_secs(5),
            ok_ratio_after_heal: None,
        });
        for at in 1..=20 {
            world.set_now(second(at));
            if commits(at) {
                let (from, to) = (LogIndex::ZERO, EntryId::new(Term::new(1), LogIndex::new(at)));
                world.observe(NodeId::new(1), &Event::Committed { from, to });
            }
            progress.advance(second(at), world, &wishes(at));
        }
        assert!(progress.no_leader.is_none());
        progress.no_commit.is_some()
    }

    /// Reads that are answered beside the log hide nothing.
    #[test]
    fn commits_are_owed_to_those_who_wait_for_one() {
        let world = || led_by(1);
        let wishes =
            |commit: bool, at: u64| Wishes { since: Some(second(at - 1)), commit, ..Wishes::default() };
        assert!(misses(&world(), |at| wishes(true, at), |_| false));
        assert!(!misses(&world(), |at| wishes(true, at), |at| at.is_multiple_of(5)));
        assert!(!misses(&world(), |at| wishes(false, at), |_| false), "nobody wants one");
        assert!(
            misses(&world(), |at| wishes(at.is_multiple_of(2), at), |_| false),
            "10 seconds of 20 somebody does"
        );
        assert!(!misses(&world(), |at| wishes(at < 5 || at == 20, at), |_| false), "and here not for long");
        let of_reads = Wishes { since: Some(second(1)), ..Wishes::default() };
        assert!(misses(&world(), |_| of_reads.clone(), |_| false), "nor is anybody answered otherwise");
    }

    /// Each row: who leads, whom clients do not leave, and whether a commit is missed that they wait for.
    #[test]
    fn commits_are_owed_to_those_who_can_reach_a_leader() {
        for (leader, confined, missed) in
            [(1, &[][..], true), (1, &[1], true), (1, &[2], false), (1, &[1, 2], false), (2, &[2], true)]
        {
            let confined = confined.iter().copied().map(NodeId::new).collect();
            let wishes = Wishes { since: Some(second(1)), commit: true, confined };
            let world = led_by(leader);
            assert_eq!(
                misses(&world, |_| wishes.clone(), |_| false),
                missed,
                "{leader} {:?}",
                wishes.confined
            );
            world.shut(NodeId::new(leader), true);
            assert!(!misses(&world, |_| wishes.clone(), |_| false), "clients are kept from it");
        }
    }

    /// Each row: what a server lacks, how many faults its disk has, and whether it counts in a set of some voters, and in
    /// one of all. One whose clock is off counts in none.
    #[test]
    fn a_server_counts_whose_disk_is_sound_and_that_has_caught_up() {
        let index = LogIndex::new;
        let lack = |until, entries: &[u64], suspect| Lack {
            until,
            entries: entries.iter().copied().map(index).collect(),
            suspect,
        };
        for (lacks, disk_faults, some, all) in [
            (lack(None, &[], false), 0, true, true),
            (lack(None, &[], false), 1, false, false),
            (lack(Some(index(7)), &[], false), 0, false, false),
            (lack(None, &[7], false), 0, false, false),
            (lack(None, &[], true), 0, false, true),
            (lack(None, &[], true), 1, false, false),
            (lack(Some(index(7)), &[], true), 0, false, false),
        ] {
            let what = format!("{lacks:?} {disk_faults}");
            let server = Server { running: true, lacks, disk_faults, ..Server::new() };
            assert_eq!([false, true].map(|all| is_fit(&server, all)), [some, all], "{what}");
            let off = Server { clock_is_off: true, ..server };
            assert_eq!([false, true].map(|all| is_fit(&off, all)), [false, false], "{what}");
        }
        let nodes = |ids: &[u64]| ids.iter().copied().map(NodeId::new).collect::<Vec<_>>();
        let both = [(2, nodes(&[1, 2])), (2, nodes(&[2, 3]))];
        assert_eq!(everybody(&both), Some(nodes(&[1, 2, 3])));
        assert_eq!(everybody(&[(3, nodes(&[1, 2]))]), None, "one of them was wiped");
    }

    /// Each row: what a server lacks whose disk was damaged when 7 entries were committed, and that has lost 5 and 9 of them
    /// and perhaps the end, after another thing has happened: whether that is the end of its log at most, and nothing.
    /// To have applied all of that is not enough: it gives no vote that counts before it has all of its log, and trusts it.
    #[test]
    fn a_server_has_caught_up_when_it_says_so_itself_and_has_applied_what_there_was() {
        let (id, index) = (|index| EntryId::new(Term::new(1), LogIndex::new(index)), LogIndex::new);
        let mut lacks = Lack { until: Some(index(7)), entries: [index(5)].into(), suspect: true };
        for (event, end_at_most, none) in [
            (Event::Damaged { id: id(9) }, false, false),
            (Event::Applying { to: index(7) }, false, false),
            (Event::Repaired { id: id(5) }, false, false),
            (Event::Truncated { from: index(9), last: id(8) }, true, false),
            (Event::TailTrusted, true, true),
            (Event::Damaged { id: id(3) }, false, false),
            (Event::Compacted { base: id(3) }, true, true),
        ] {
            lacks.observe(&event);
            assert_eq!((lacks.is_end_at_most(), lacks.is_none()), (end_at_most, none), "{event:?}");
        }
    }

    #[test]
    fn every_smallest_majority_is_followed() {
        let nodes: Vec<_> = (1..=5).map(NodeId::new).collect();
        let majorities = choose(&nodes, 3);
        assert_eq!(majorities.len(), 10);
        assert!(majorities.iter().all(|nodes| nodes.len() == 3 && nodes.is_sorted()));
    }

    /// Each row: two electorates, and the smallest sets with a majority of each; where most vote in both there are few.
    #[test]
    fn every_smallest_set_with_both_majorities_is_followed_and_no_other() {
        let nodes = |ids: &[u64]| ids.iter().copied().map(NodeId::new).collect::<Vec<_>>();
        let sets = |one: &[u64], other: &[u64]| {
            let mut sets = majorities(&[(one.len(), nodes(one)), (other.len(), nodes(other))]);
            sets.sort();
            sets
        };
        assert_eq!(majorities(&[]), [nodes(&[])]);
        assert_eq!(sets(&[1], &[2]), [nodes(&[1, 2])]);
        let expected = [&[1, 2][..], &[1, 3, 4], &[2, 3, 4]];
        assert_eq!(sets(&[1, 2, 3], &[1, 2, 4]), expected.map(nodes));
        assert_eq!(
            sets(&[1, 2, 3], &[1, 2, 3, 4]),
            [nodes(&[1, 2, 3]), nodes(&[1, 2, 4]), nodes(&[1, 3, 4]), nodes(&[2, 3, 4])]
        );
        let (old, new): (Vec<_>, Vec<_>) = ((1..=15).collect(), (2..=16).collect());
        assert_eq!(sets(&old, &new).len(), 3003 + 3432);
    }
}
