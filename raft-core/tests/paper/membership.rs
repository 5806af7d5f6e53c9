//! Sentences of §6 and thesis 4, on membership changes, and of what a wiped disk may not do.

use std::time::Duration;

use raft_core::{
    AppendEntries, ChangeError, Config, Configuration, ConfigurationError, Entry, EntryId, Envelope, Event,
    Incarnation, Input, LogIndex, Member, Message, Next, NodeId, NotMember, Payload, RoleName,
    StepDownReason, Term,
};

use crate::bench::{Bench, ME, append, config, envelope, heartbeat, id, pre_vote, vote};
use crate::reads::leader;

const MS: Duration = Duration::from_millis(1);
pub(crate) const NOBODY: [NodeId; 0] = [];

pub(crate) fn servers(ids: &[u64]) -> Vec<NodeId> {
    ids.iter().copied().map(NodeId::new).collect()
}

pub(crate) fn of(ids: &[u64]) -> Configuration {
    servers(ids).into()
}

/// These servers in joint consensus with those, or before it.
pub(crate) fn to(from: &[u64], voters: &[u64], joint: bool) -> Configuration {
    let next = Next { voters: of(voters).voters, learners: Vec::new(), joint };
    Configuration { next: Some(next), ..of(from) }
}

/// Asks it for a change from what is in force.
pub(crate) fn change(bench: &mut Bench, voters: &[u64], learners: &[u64]) -> Result<EntryId, ChangeError> {
    let from = bench.raft.configuration().at;
    let changed = bench.raft.change_membership(from, servers(voters), servers(learners));
    bench.step(Input::Tick);
    changed
}

/// What it goes by.
pub(crate) fn in_force(bench: &Bench) -> Configuration {
    bench.raft.configuration().configuration.clone()
}

/// A follower has all that the leader has.
pub(crate) fn has_all(bench: &mut Bench, follower: u64) {
    bench.accepts(follower, bench.raft.last_log().index.get());
}

/// A message that brings this configuration after `prev_log`.
pub(crate) fn configure(
    prev_log: EntryId,
    term: u64,
    configuration: &Configuration,
    leader_commit: u64,
) -> Message {
    let next = id(term, prev_log.index.get() + 1);
    let entry = Entry::new(next, Payload::Configuration(configuration.to_bytes()));
    let leader_commit = LogIndex::new(leader_commit);
    Message::AppendEntries(AppendEntries { prev_log, entries: vec![entry].into(), leader_commit })
}

/// §6: "a server always uses the latest configuration in its log, regardless of whether the entry is committed". What
/// is overwritten is no longer in the log, and a restart changes nothing.
#[test]
pub(crate) fn a_server_always_uses_the_latest_configuration_in_its_log() {
    let mut bench = Bench::with_log(config(3), &[1], 1);
    bench.hear(2, 1, configure(id(1, 1), 1, &of(&[1, 2, 3, 4]), 0));
    bench.hear(2, 1, configure(id(1, 2), 1, &to(&[1, 2, 3, 4], &[1, 2], true), 0));
    assert_eq!(in_force(&bench), to(&[1, 2, 3, 4], &[1, 2], true));
    bench.restart();
    assert_eq!(in_force(&bench), to(&[1, 2, 3, 4], &[1, 2], true));
    bench.hear(3, 2, append(id(1, 2), &[2], 0));
    assert_eq!(in_force(&bench), of(&[1, 2, 3, 4]));
    bench.hear(3, 2, append(id(1, 1), &[2, 2], 0));
    assert_eq!(in_force(&bench), of(&[1, 2, 3]));
    let told = |event: &Event| {
        if let Event::Configured { configuration, .. } = event {
            Some(configuration.to_string())
        } else {
            None
        }
    };
    let told: Vec<_> = bench.events.iter().filter_map(told).collect();
    assert_eq!(told, ["n1,n2,n3,n4", "n1,n2,n3"]);
    bench.restart();
    assert_eq!(in_force(&bench), of(&[1, 2, 3]));
}

/// §6: "Log entries are replicated to all servers in both configurations."
#[test]
pub(crate) fn log_entries_are_replicated_to_all_servers_in_both_configurations() {
    let mut bench = leader(config(3));
    assert!(change(&mut bench, &[1, 4], &[5]).is_ok());
    bench.said.clear();
    bench.wait(50 * MS);
    let appends = |said: &&Envelope| said.message.kind() == "append";
    let mut to: Vec<_> = bench.said.iter().filter(appends).map(|said| said.to.get()).collect();
    to.sort_unstable();
    to.dedup();
    assert_eq!(to, [2, 3, 4, 5]);
}

/// A leader of n1, n2 and n3 that is in joint consensus with n1, n4 and n5, where nobody but itself has that entry.
fn in_joint_consensus() -> Bench {
    let mut bench = leader(config(3));
    assert!(change(&mut bench, &[1, 4, 5], &[]).is_ok());
    for follower in [2, 4, 5] {
        bench.last_append(follower);
        has_all(&mut bench, follower);
    }
    assert_eq!(in_force(&bench), to(&[1, 2, 3], &[1, 4, 5], true));
    bench
}

/// §6: "Agreement (for elections and entry commitment) requires separate majorities from both the old and new
/// configurations."
#[test]
pub(crate) fn agreement_requires_separate_majorities_from_both_configurations() {
    for (acknowledge, committed) in [(&[2, 3][..], false), (&[4, 5], false), (&[2, 4], true), (&[3, 5], true)]
    {
        let mut bench = in_joint_consensus();
        let joint = bench.raft.configuration().at.index;
        acknowledge.iter().for_each(|&follower| bench.accepts(follower, joint.get()));
        assert_eq!(bench.raft.commit_index() >= joint, committed, "{acknowledge:?}");
    }
    for (votes, wins) in [(&[2, 3][..], false), (&[4, 5], false), (&[2, 4], true), (&[2, 3, 5], true)] {
        let mut bench = Bench::with_log(Config { pre_vote: false, ..config(3) }, &[1], 1);
        bench.hear(2, 1, configure(id(1, 1), 1, &to(&[1, 2, 3], &[1, 4, 5], true), 0));
        bench.time_out();
        let asked: Vec<_> = std::mem::take(&mut bench.said);
        let asked: Vec<_> = asked.iter().filter(|said| said.message.kind() == "vote").collect();
        assert_eq!(asked.len(), 4);
        for voter in votes {
            let to_voter = asked.iter().find(|said| said.to == NodeId::new(*voter)).unwrap();
            bench.answer(to_voter, true);
        }
        assert_eq!(bench.raft.role() == RoleName::Leader, wins, "{votes:?}");
    }
}

/// §6: "At this point [when C_old,new has been committed ...] it is now safe for the leader to create a log entry
/// describing C_new". Each step once, and only when the last one is committed.
#[test]
pub(crate) fn the_new_configuration_comes_once_joint_consensus_is_committed() {
    let mut bench = in_joint_consensus();
    let joint = bench.raft.configuration().at;
    bench.raft.propose("x".into()).unwrap();
    bench.step(Input::Tick);
    assert_eq!(bench.raft.configuration().at, joint);
    bench.accepts(2, joint.index.get());
    assert_eq!(bench.raft.configuration().at, joint);
    bench.accepts(4, joint.index.get());
    assert_eq!(in_force(&bench), of(&[1, 4, 5]));
    let last = bench.raft.configuration().at;
    bench.wait(50 * MS);
    bench.step(Input::Tick);
    assert_eq!(bench.raft.configuration().at, last);
}

/// Thesis 4.1: "A server accepts AppendEntries requests from a leader that is not part of the server's latest
/// configuration."
#[test]
pub(crate) fn a_server_accepts_entries_from_a_leader_that_it_does_not_know() {
    for first in [Some(of(&[1, 2, 3])), None] {
        let mut bench = Bench::with_log(Config { bootstrap: first, ..config(3) }, &[1], 1);
        bench.hear(9, 1, append(id(1, 1), &[1], 0));
        assert_eq!((bench.raft.leader(), bench.log()), (Some(NodeId::new(9)), vec![1, 1]));
    }
}

/// Thesis 4.1: "A server also grants its vote to a candidate that is not part of the server's latest configuration (if
/// the candidate has a sufficiently up-to-date log and a current term)." Whether it votes itself makes no difference.
#[test]
pub(crate) fn a_server_grants_its_vote_to_a_candidate_that_it_does_not_know() {
    let learner = of(&[2, 3]).with_learners([ME]);
    for first in [Some(of(&[1, 2, 3])), Some(learner), Some(of(&[2, 3])), None] {
        let mut bench = Bench::with_log(Config { bootstrap: first.clone(), ..config(3) }, &[1], 1);
        bench.hear(9, 2, vote(id(1, 1)));
        let granted = |said: &&Envelope| matches!(&said.message, Message::RequestVoteReply(reply) if reply.vote_granted);
        assert_eq!(bench.said.iter().filter(granted).count(), 1, "{first:?}");
    }
}

/// A learner, and whoever knows nobody, starts no elections: "non-voting members" (thesis 4.2.1) do not count.
#[test]
pub(crate) fn a_server_that_does_not_vote_starts_no_election() {
    for first in [Some(of(&[2, 3]).with_learners([ME])), Some(of(&[2, 3])), None] {
        let mut bench = Bench::new(Config { bootstrap: first.clone(), ..config(3) });
        (0..5).for_each(|_| bench.time_out());
        assert_eq!(bench.is(), (RoleName::Follower, 0), "{first:?}");
    }
}

/// Thesis 4.2.1: "new servers [...] join the cluster as non-voting members. The leader replicates log entries to them,
/// but they are not yet counted towards majorities for voting or commitment purposes."
#[test]
pub(crate) fn new_servers_are_not_yet_counted_towards_majorities() {
    let mut bench = leader(config(3));
    let announced = change(&mut bench, &[1, 2, 3, 4, 5], &[]).unwrap();
    for follower in [4, 5] {
        has_all(&mut bench, follower);
    }
    assert!(bench.raft.commit_index() < announced.index);
    has_all(&mut bench, 2);
    assert!(bench.raft.commit_index() >= announced.index);
}

/// Thesis 4.2.1: "replication of entries to the new server is split into rounds [...] each round replicates all the log
/// entries present in the leader's log at the start of the round [...] If the last round lasts less than an election
/// timeout, then the leader adds the new server to the cluster".
#[test]
pub(crate) fn a_new_server_votes_after_a_round_that_is_shorter_than_an_election_timeout() {
    let mut bench = leader(config(3));
    let announced = change(&mut bench, &[1, 2, 3, 4], &[]).unwrap();
    has_all(&mut bench, 2);
    let waits = to(&[1, 2, 3], &[1, 2, 3, 4], false);
    assert_eq!(in_force(&bench), waits);
    // The first round takes too long, though the others answer all the time.
    for _ in 0..8 {
        bench.wait(50 * MS);
        has_all(&mut bench, 2);
        has_all(&mut bench, 3);
    }
    bench.propose("x");
    bench.accepts(4, announced.index.get());
    assert_eq!(in_force(&bench), waits, "it has what there was 400 ms ago");
    bench.wait(50 * MS);
    has_all(&mut bench, 2);
    has_all(&mut bench, 3);
    assert_eq!(in_force(&bench), waits);
    has_all(&mut bench, 4);
    assert_eq!(in_force(&bench), to(&[1, 2, 3], &[1, 2, 3, 4], true));
}

/// Thesis 4.2.1: "the leader should also abort the change if the new server is unavailable". Here whoever asked for it
/// decides when; once joint consensus has begun there is no way back.
#[test]
pub(crate) fn a_change_can_be_given_up_while_a_new_server_is_unavailable() {
    let mut bench = leader(config(3));
    assert_eq!(bench.raft.abandon_change(), Err(ChangeError::NothingToChange));
    let configured = change(&mut bench, &[1, 2, 3, 4], &[]).unwrap();
    assert_eq!(bench.raft.abandon_change(), Err(ChangeError::UnderWay { configured }));
    has_all(&mut bench, 2);
    assert!(bench.raft.abandon_change().is_ok());
    bench.step(Input::Tick);
    assert_eq!(in_force(&bench), of(&[1, 2, 3]));
    let mut bench = in_joint_consensus();
    let joint = bench.raft.configuration().at;
    bench.accepts(2, joint.index.get());
    assert_eq!(bench.raft.abandon_change(), Err(ChangeError::UnderWay { configured: joint }));
}

/// Thesis 4.2.2: "a leader that is removed from the configuration steps down once the C_new entry is committed"; until
/// then "it replicates log entries but does not count itself in majorities".
#[test]
pub(crate) fn a_leader_that_is_removed_steps_down_once_that_is_committed() {
    let mut bench = leader(config(3));
    assert!(change(&mut bench, &[2, 3], &[]).is_ok());
    has_all(&mut bench, 2);
    has_all(&mut bench, 3);
    assert_eq!(in_force(&bench), of(&[2, 3]));
    has_all(&mut bench, 2);
    assert_eq!(bench.raft.role(), RoleName::Leader, "of n2 and n3 only one has it");
    bench.said.clear();
    has_all(&mut bench, 3);
    assert_eq!(bench.is(), (RoleName::Follower, 1));
    let removed = bench.raft.configuration().at;
    assert_eq!(bench.raft.removed(), Some(removed));
    let stepped_down = Event::SteppedDown { term: Term::new(1), reason: StepDownReason::Removed };
    assert!(bench.events.contains(&stepped_down) && bench.events.contains(&Event::Removed { at: removed }));
    assert_eq!(bench.raft.counts().gave_way_removed, 1);
    // One of the others is told to lead.
    assert_eq!(bench.said.iter().filter(|said| said.message == Message::TimeoutNow).count(), 1);
    bench.said.clear();
    (0..5).for_each(|_| bench.time_out());
    assert_eq!((bench.is(), bench.said.len()), ((RoleName::Follower, 1), 0));
}

/// Thesis 4.2.2: "a server that is not part of its own latest configuration should still start new elections, as it
/// might still be needed until the C_new entry is committed [...] It does not count its own vote in elections unless
/// it is part of its latest configuration."
#[test]
pub(crate) fn a_server_that_is_removed_still_starts_elections_until_that_is_committed() {
    let mut bench = Bench::with_log(Config { pre_vote: false, ..config(2) }, &[1], 1);
    bench.hear(2, 1, configure(id(1, 1), 1, &to(&[1, 2], &[2], true), 0));
    bench.hear(2, 1, configure(id(1, 2), 1, &of(&[2]), 2));
    bench.time_out();
    assert_eq!(bench.is(), (RoleName::Candidate, 2));
    let asked = bench.last_said(2, "vote").unwrap().clone();
    bench.answer(&asked, true);
    assert_eq!(bench.is(), (RoleName::Leader, 2));
    // It leads until the others have it.
    has_all(&mut bench, 2);
    assert_eq!(bench.is(), (RoleName::Follower, 2));
}

/// Thesis 4.1 has the correction of 2015 below it: "a leader may not append a new configuration entry until it has
/// committed an entry from its current term." And one change at a time.
#[test]
pub(crate) fn a_leader_changes_nothing_before_it_has_committed_in_its_term() {
    let mut bench = Bench::in_role(config(3), RoleName::Leader, 1);
    let log = bench.raft.last_log();
    assert_eq!(change(&mut bench, &[1, 2], &[]), Err(ChangeError::NothingCommittedInTerm));
    assert_eq!(bench.raft.last_log(), log);
    bench.wait(50 * MS);
    bench.acknowledge(2);
    assert!(change(&mut bench, &[1, 2], &[]).is_ok());
}

/// A second change while one is under way is refused in so many words, and leaves nothing in the log.
#[test]
pub(crate) fn a_change_while_another_is_under_way_is_refused() {
    let mut bench = leader(config(3));
    let before = bench.raft.configuration().at;
    let configured = change(&mut bench, &[1, 2, 3], &[4]).unwrap();
    let log = bench.raft.last_log();
    assert_eq!(change(&mut bench, &[1, 2], &[]), Err(ChangeError::UnderWay { configured }));
    has_all(&mut bench, 2);
    let stale = bench.raft.change_membership(before, servers(&[1, 2]), NOBODY);
    assert_eq!(stale, Err(ChangeError::NotFrom { configured }));
    assert_eq!(change(&mut bench, &[1, 2, 3], &[4]), Err(ChangeError::NothingToChange));
    assert_eq!(change(&mut bench, &[], &[]), Err(ChangeError::Invalid(ConfigurationError::NoVoters)));
    assert_eq!(bench.raft.last_log(), log);
    // What is announced and committed is under way still.
    let configured = change(&mut bench, &[1, 2, 5], &[]).unwrap();
    has_all(&mut bench, 2);
    assert_eq!(change(&mut bench, &[1, 2], &[]), Err(ChangeError::UnderWay { configured }));
    assert_eq!(bench.raft.last_log(), configured);
}

/// Nobody who does not lead, or hands over leadership, changes anything.
#[test]
pub(crate) fn only_a_leader_changes_the_members() {
    let mut bench = Bench::with_log(config(3), &[1], 1);
    bench.hear(2, 1, heartbeat());
    let leader_known = Some(NodeId::new(2));
    assert_eq!(change(&mut bench, &[1, 2], &[]), Err(ChangeError::NotLeader { leader: leader_known }));
    let mut bench = leader(config(3));
    let to = NodeId::new(3);
    assert_eq!(bench.raft.transfer_leadership(to), Ok(()));
    assert_eq!(change(&mut bench, &[1, 2], &[]), Err(ChangeError::Transferring { to }));
}

/// §7: "the snapshot also includes the latest configuration in the log as of last included index": not a later one, which
/// may yet be overwritten.
#[test]
pub(crate) fn a_snapshot_has_no_configuration_that_is_not_committed() {
    let mut bench = Bench::with_log(config(3), &[1], 1);
    bench.hear(2, 1, configure(id(1, 1), 1, &of(&[1, 2, 3, 4]), 1));
    bench.raft.ask_for_snapshot();
    bench.step(Input::Tick);
    assert_eq!(bench.taking.take().unwrap().configured, of(&[1, 2, 3]).into());
}

/// A server that takes no part hears so from whoever knows (thesis 4.2.3 leaves it to time out for ever), and starts no
/// elections then, until a leader sends to it again.
#[test]
pub(crate) fn a_removed_server_is_told_and_disturbs_nobody() {
    let mut member = Bench::with_log(config(3), &[1], 1);
    member.hear(2, 1, configure(id(1, 1), 1, &of(&[1, 2]), 2));
    member.said.clear();
    member.hear(3, 2, pre_vote(id(1, 1)));
    let told = Message::NotMember(NotMember { configured: id(1, 2) });
    assert_eq!(member.last_said(3, "not-member").map(|said| &said.message), Some(&told));
    member.said.clear();
    member.hear(2, 2, pre_vote(id(1, 2)));
    assert!(member.last_said(2, "not-member").is_none());

    let mut removed = Bench::with_log(config(3), &[1], 1);
    removed.time_out();
    assert_eq!(removed.is(), (RoleName::PreCandidate, 1));
    removed.hear(2, 1, told.clone());
    assert_eq!((removed.is(), removed.raft.removed()), ((RoleName::Follower, 1), Some(id(1, 2))));
    (0..5).for_each(|_| removed.time_out());
    assert_eq!(removed.is(), (RoleName::Follower, 1));
    removed.hear(2, 1, heartbeat());
    assert_eq!(removed.raft.removed(), None);
    removed.wait(400 * MS);
    assert_eq!(removed.is(), (RoleName::PreCandidate, 1));

    // Who knows of a later configuration knows better.
    let mut ahead = Bench::with_log(config(3), &[1, 1], 1);
    ahead.hear(2, 1, configure(id(1, 2), 1, &of(&[1, 2, 3, 4]), 0));
    ahead.hear(3, 1, told);
    assert_eq!(ahead.raft.removed(), None);
}

/// n1 to n3, each in the life of its data directory that has its number.
pub(crate) fn bound() -> Config {
    let first = (1..=3).map(|id| Member::bound(NodeId::new(id), Incarnation(id)));
    Config { bootstrap: Some(Configuration::of(first)), pre_vote: false, ..config(3) }
}

/// What a server says whose disk was wiped: its incarnation is another.
pub(crate) fn wiped(from: u64, term: u64, message: Message) -> Envelope {
    Envelope { incarnation: Incarnation(from + 100), ..envelope(from, term, message) }
}

/// Design 2.7: a vote or an acknowledgement counts only under the incarnation that the configuration binds.
#[test]
pub(crate) fn a_wiped_disk_under_an_old_id_does_not_count() {
    let mut bench = Bench::new(bound());
    bench.time_out();
    let asked = bench.last_said(2, "vote").unwrap().clone();
    let granted =
        Message::RequestVoteReply(raft_core::RequestVoteReply { vote_granted: true, suspect: false });
    bench.step(Input::Receive(Envelope { session: asked.session, ..wiped(2, 1, granted) }));
    assert_eq!(bench.is(), (RoleName::Candidate, 1));
    assert!(bench.events.contains(&Event::StrangerDropped { from: NodeId::new(2) }));
    bench.answer(&asked, true);
    assert_eq!(bench.is(), (RoleName::Leader, 1));
    let match_index = LogIndex::new(1);
    let accepted = Message::AppendEntriesReply(raft_core::AppendEntriesReply::Accepted { match_index });
    bench.step(Input::Receive(Envelope { session: bench.session, ..wiped(3, 1, accepted) }));
    assert_eq!(bench.raft.commit_index(), LogIndex::ZERO);
    bench.accepts(3, 1);
    assert_eq!(bench.raft.commit_index(), LogIndex::new(1));
}

/// A server that finds itself bound to another life than its own votes for nobody and stands for no election.
#[test]
pub(crate) fn a_server_whose_disk_was_wiped_does_not_vote() {
    let mut bench = Bench::new(Config { incarnation: Incarnation(101), ..bound() });
    (0..3).for_each(|_| bench.time_out());
    assert_eq!(bench.is(), (RoleName::Follower, 0));
    bench.hear(2, 1, vote(EntryId::ZERO));
    let refused =
        Message::RequestVoteReply(raft_core::RequestVoteReply { vote_granted: false, suspect: false });
    assert_eq!(bench.last_said(2, "vote-reply").map(|said| &said.message), Some(&refused));
}

/// A wiped server is admitted again as another one: it learns, catches up, and votes when the change is through.
#[test]
pub(crate) fn a_wiped_server_is_admitted_again_in_its_new_life() {
    let mut bench = Bench::new(bound());
    bench.time_out();
    bench.is_elected();
    bench.wait(50 * MS);
    bench.acknowledge(2);
    let again = [Member::bound(ME, Incarnation(1)), Member::bound(NodeId::new(2), Incarnation(2))];
    let again = again.into_iter().chain([Member::bound(NodeId::new(3), Incarnation(103))]);
    let from = bench.raft.configuration().at;
    assert!(bench.raft.change_membership(from, again.clone(), NOBODY).is_ok());
    bench.step(Input::Tick);
    has_all(&mut bench, 2);
    // Its old life has all, and that is not enough.
    has_all(&mut bench, 3);
    assert!(bench.raft.configuration().configuration.next.as_ref().is_some_and(|next| !next.joint));
    let accepts = |bench: &mut Bench| {
        let match_index = bench.raft.last_log().index;
        let accepted = Message::AppendEntriesReply(raft_core::AppendEntriesReply::Accepted { match_index });
        let session = bench.last_said(3, "append").unwrap().session;
        bench.step(Input::Receive(Envelope { session, ..wiped(3, 1, accepted) }));
    };
    // The first answer from the new life begins a new conversation with it.
    accepts(&mut bench);
    bench.wait(50 * MS);
    accepts(&mut bench);
    assert!(bench.raft.configuration().configuration.next.as_ref().is_some_and(|next| next.joint));
    has_all(&mut bench, 2);
    accepts(&mut bench);
    assert_eq!(in_force(&bench), Configuration::of(again));
}

/// One vote a term (§5.2), and the same server in another life is another candidate.
#[test]
pub(crate) fn a_vote_is_not_given_again_to_another_life_of_the_candidate() {
    for (incarnation, granted) in [(2, 2), (102, 1)] {
        let mut bench = Bench::new(Config { check_quorum: false, ..config(3) });
        bench.hear(2, 1, vote(EntryId::ZERO));
        let again = envelope(2, 1, vote(EntryId::ZERO));
        bench.step(Input::Receive(Envelope { incarnation: Incarnation(incarnation), ..again }));
        let grants = |said: &&Envelope| matches!(&said.message, Message::RequestVoteReply(reply) if reply.vote_granted);
        assert_eq!(bench.said.iter().filter(grants).count(), granted, "{incarnation}");
    }
}
