//! A fingerprint names the protocol state and nothing else.

use std::time::Duration;

use raft_core::{Config, Envelope, Input, NodeId, Raft, Restored, RoleName, Time};

/// Lets one server win an election with the vote of another, with timeouts and sessions of this seed.
fn leader(seed: u64) -> Raft {
    elected(seed, 1, 2)
}

fn elected(seed: u64, candidate: u64, voter: u64) -> Raft {
    let voters: Vec<NodeId> = (1..=3).map(NodeId::new).collect();
    let start = |id| {
        let mut config = Config::new(NodeId::new(id), voters.clone());
        config.seed = seed + id;
        Raft::new(config, Restored::default(), Time::ZERO).unwrap()
    };
    let (mut candidate, mut voter) = (start(candidate), start(voter));
    let due = candidate.deadline();
    let mut asks = exchange(&mut candidate, due, vec![]);
    while candidate.role() != RoleName::Leader {
        let to_voter = asks.into_iter().filter(|envelope| envelope.to == voter.id()).collect();
        let votes = exchange(&mut voter, Time::ZERO.after(Duration::from_millis(seed)), to_voter);
        asks = exchange(&mut candidate, due, votes);
    }
    candidate
}

/// Takes messages in, with a disk that takes no time, and returns what is said.
fn exchange(raft: &mut Raft, now: Time, messages: Vec<Envelope>) -> Vec<Envelope> {
    raft.step(now, Input::Tick);
    messages.into_iter().for_each(|envelope| raft.step(now, Input::Receive(envelope)));
    let effects = raft.take_effects();
    let mut said = effects.send;
    if let Some(write) = effects.write {
        raft.step(now, Input::Persisted(write.token));
        said.extend(raft.take_effects().send);
    }
    said
}

#[test]
fn two_ways_to_the_same_state_meet() {
    let (one, other) = (leader(1), leader(77));
    assert_eq!(one.role(), RoleName::Leader);
    assert_ne!(one.deadline(), other.deadline(), "the draws differ");
    assert_eq!(one.fingerprint(), other.fingerprint());
}

#[test]
fn servers_that_are_renamed_have_the_fingerprint_of_those_that_had_the_names() {
    let name = |id: NodeId| NodeId::new(id.get() % 3 + 1);
    let (mut one, mut other) = (elected(1, 1, 2), elected(1, 2, 3));
    for target in [3, 1] {
        assert_eq!(one.fingerprint_as(&name), other.fingerprint());
        assert_ne!(one.fingerprint(), other.fingerprint());
        let _refused = one.transfer_leadership(NodeId::new(target));
        let _refused = other.transfer_leadership(name(NodeId::new(target)));
    }
}

#[test]
fn another_state_has_another_name() {
    let mut raft = leader(1);
    let mut names = vec![raft.fingerprint()];
    raft.propose("x".into()).unwrap();
    names.push(raft.fingerprint());
    raft.transfer_leadership(NodeId::new(3)).unwrap();
    names.push(raft.fingerprint());
    let write = raft.take_effects().write.unwrap();
    names.push(raft.fingerprint());
    raft.step(Time::ZERO, Input::Persisted(write.token));
    names.push(raft.fingerprint());
    raft.step(Time::ZERO, Input::WriteFailed);
    names.push(raft.fingerprint());
    let before = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), before);
}
