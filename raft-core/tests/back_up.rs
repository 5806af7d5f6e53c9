//! Fast back-up (§5.3), counted: how often a leader is refused before a follower's log joins on to its own.

use std::collections::BTreeSet;

use raft_core::{
    AppendEntriesReply, Batch, Config, Effects, Entry, EntryId, Envelope, HardState, Input, LogIndex,
    Message, NodeId, Payload, PlantedBug, Raft, RequestVoteReply, RoleName, Stored, Term, Time,
};

/// A server with a disk that takes no time.
struct Server {
    raft: Raft,
    disk: Stored,
}

impl Server {
    fn new(id: u64, log: &[u64], planted: Option<PlantedBug>) -> Self {
        let mut disk = Stored::default();
        let hard_state = Some(HardState { current_term: Term::new(4), voted_for: None });
        let entry =
            |(&term, index)| Entry::new(EntryId::new(Term::new(term), LogIndex::new(index)), Payload::Noop);
        let entries = log.iter().zip(1..).map(entry).collect();
        disk.apply(Batch { hard_state, entries, ..Batch::default() });
        let config = Config::new(NodeId::new(id), (1..=3).map(NodeId::new).collect());
        let config = Config { pre_vote: false, check_quorum: false, planted, ..config };
        Self { raft: Raft::new(config, disk.restored(), Time::ZERO).unwrap(), disk }
    }

    /// What it says, to n1 and n2 only, because of this.
    fn step(&mut self, now: Time, input: Input) -> Vec<Envelope> {
        self.raft.step(now, input);
        let mut said = Vec::new();
        loop {
            let Effects { write, send, load, .. } = self.raft.take_effects();
            said.extend(send.into_iter().filter(|envelope| envelope.to != NodeId::new(3)));
            if write.is_none() && load.is_empty() {
                return said;
            }
            if let Some(write) = write {
                self.disk.apply(write.batch);
                self.raft.step(Time::ZERO, Input::Persisted(write.token));
            }
            for load in load {
                self.raft.step(Time::ZERO, Input::Loaded(self.disk.load(&load)));
            }
        }
    }
}

/// n1 leads with one of the logs, elected by n3, and replicates it to n2, which has the other: how often it is
/// refused.
fn refusals(planted: Option<PlantedBug>, leader: &[u64], follower: &[u64]) -> usize {
    let (mut leader, mut follower) = (Server::new(1, leader, planted), Server::new(2, follower, planted));
    let asked = leader.step(leader.raft.deadline(), Input::Tick).remove(0);
    let vote = Message::RequestVoteReply(RequestVoteReply { vote_granted: true, suspect: false });
    let vote = Envelope { from: NodeId::new(3), to: NodeId::new(1), message: vote, ..asked };
    let mut to_follower = leader.step(Time::ZERO, Input::Receive(vote));
    assert_eq!(leader.raft.role(), RoleName::Leader);
    let mut refusals = 0;
    while follower.raft.last_log() != leader.raft.last_log() {
        assert_eq!(to_follower.len(), 1, "a probe waits for its answer");
        let answers = follower.step(Time::ZERO, Input::Receive(to_follower.remove(0)));
        for answer in answers {
            let refused =
                matches!(answer.message, Message::AppendEntriesReply(AppendEntriesReply::Rejected { .. }));
            refusals += usize::from(refused);
            to_follower = leader.step(Time::ZERO, Input::Receive(answer));
        }
    }
    refusals
}

/// All logs of up to five entries of up to four terms.
fn logs() -> Vec<Vec<u64>> {
    let mut logs = vec![Vec::new()];
    let mut longest = logs.clone();
    for _ in 0..5 {
        let longer = |log: &Vec<u64>| {
            let log = log.clone();
            (log.last().copied().unwrap_or(1)..=4).map(move |term| [&log[..], &[term]].concat())
        };
        longest = longest.iter().flat_map(longer).collect();
        logs.extend_from_slice(&longest);
    }
    logs
}

/// How many entries two logs share; none if no cluster has both, as they differ before an entry of the same id.
fn shared(one: &[u64], other: &[u64]) -> Option<usize> {
    let shared = one.iter().zip(other).take_while(|(one, other)| one == other).count();
    let meets_again = one.iter().zip(other).skip(shared).any(|(one, other)| one == other);
    (!meets_again).then_some(shared)
}

/// The pairs of a leader's and a follower's log in which it takes more refusals than it should: one for each
/// term in which the leader's log goes on after what they share, and at most one more than there are terms in
/// which the follower's does.
fn slow(planted: Option<PlantedBug>) -> (usize, Vec<[Vec<u64>; 2]>) {
    let (mut pairs, mut slow) = (0, Vec::new());
    for leader in logs() {
        for follower in logs() {
            let Some(shared) = shared(&leader, &follower) else { continue };
            let terms = |log: &[u64]| log[shared..].iter().collect::<BTreeSet<_>>().len();
            let differing = terms(&leader).min(terms(&follower) + 1);
            pairs += 1;
            if refusals(planted, &leader, &follower) > differing {
                slow.push([leader.clone(), follower]);
            }
        }
    }
    (pairs, slow)
}

/// §5.3: "With this optimization, one AppendEntries RPC will be required for each term with conflicting entries,
/// rather than one RPC per entry."
#[test]
fn one_round_trip_is_required_for_each_term_that_differs() {
    let (pairs, slow) = slow(None);
    assert_eq!((pairs, slow.first()), (10_324, None));
}

#[cfg(feature = "planted-bugs")]
#[test]
fn one_round_trip_for_each_entry_is_too_slow() {
    let (_, slow) = slow(Some(PlantedBug::BackUpByOne));
    assert!(slow.contains(&[vec![2, 2, 2], vec![1, 1, 1]]), "{} pairs", slow.len());
}
