//! Stories in words: who does what, with numbers. Entries are `index@term`, `-` is nobody.

use raft_core::conformance::{Refused, Specification};
use raft_core::{
    Configuration, EntryId, Event, Incarnation, LogIndex, Member, Next, NodeId, Restored, RoleName,
    SnapshotId, StepDownReason, Term,
};

/// What three servers do, from the beginning.
pub(crate) fn tell(story: &str) -> Result<Specification, Refused> {
    let mut specification = Specification::new(Configuration::of((1..=3).map(NodeId::new)));
    go_on(&mut specification, story).map(|()| specification)
}

/// What they do then.
pub(crate) fn go_on(specification: &mut Specification, story: &str) -> Result<(), Refused> {
    story.split(", ").filter(|step| !step.is_empty()).try_for_each(|step| {
        let words: Vec<_> = step.split_whitespace().collect();
        match words[1..] {
            ["starts"] => return specification.started(node(words[0]), &Restored::default()),
            ["wiped", life] => {
                specification.wiped(node(words[0]), Incarnation(number(life)));
                return Ok(());
            }
            _ => {}
        }
        specification.observe(node(words[0]), &event(&words[1..]))
    })
}

fn number(word: &str) -> u64 {
    word.parse().unwrap_or_else(|_| panic!("not a number: {word}"))
}

fn node(word: &str) -> NodeId {
    NodeId::new(number(word))
}

fn term(word: &str) -> Term {
    Term::new(number(word))
}

fn index(word: &str) -> LogIndex {
    LogIndex::new(number(word))
}

pub(crate) fn id(word: &str) -> EntryId {
    let (at, of) = word.split_once('@').unwrap_or_else(|| panic!("not an entry: {word}"));
    EntryId::new(term(of), index(at))
}

pub(crate) fn snapshot(last_included: &str) -> SnapshotId {
    SnapshotId { last_included: id(last_included), made_by: Incarnation(1) }
}

fn role(to: RoleName, now: &str, leader: Option<&str>) -> Event {
    let (term, leader) = (term(now), leader.map(node));
    Event::Role { from_term: term, from: RoleName::Follower, term, to, leader }
}

fn event(words: &[&str]) -> Event {
    match *words {
        ["candidate", now] => role(RoleName::Candidate, now, None),
        ["pre-candidate", now] => role(RoleName::PreCandidate, now, None),
        ["leads", now] => role(RoleName::Leader, now, None),
        ["adopts", now] => role(RoleName::Follower, now, None),
        ["follows", leader, now] => role(RoleName::Follower, now, Some(leader)),
        ["votes", candidate, now] => Event::Voted { term: term(now), candidate: node(candidate) },
        ["counts", voter, now] => Event::VoteCounted { term: term(now), voter: node(voter) },
        ["would-vote", asker, of] => Event::PreVoteGranted { term: term(of), candidate: node(asker) },
        ["counts-pre", voter, of] => Event::PreVoteCounted { term: term(of), voter: node(voter) },
        ["ignores", candidate, of] => Event::VoteIgnored { term: term(of), candidate: node(candidate) },
        ["steps-down", now] => Event::SteppedDown { term: term(now), reason: StepDownReason::NoMajority },
        ["durable", now, vote, to] => {
            let voted_for = (vote != "-").then(|| node(vote));
            Event::Durable { term: term(now), voted_for, index: index(to) }
        }
        ["applies", to] => Event::Applying { to: index(to) },
        ["stops"] => Event::Stopped { reason: "why".into() },
        _ => event_of_the_log(words),
    }
}

/// Voters and learners, `1,2,3+4`, and what they are to become: `1,2>1,3` before and `1,2&1,3` in joint consensus.
pub(crate) fn configuration(members: &str) -> Configuration {
    let lists = |members: &str| {
        let (voters, learners) = members.split_once('+').unwrap_or((members, ""));
        let list =
            |list: &str| list.split(',').filter(|id| !id.is_empty()).map(node).map(Member::from).collect();
        (list(voters), list(learners))
    };
    let Some((now, to_be)) = members.split_once(['>', '&']) else {
        let (voters, learners) = lists(members);
        return Configuration { voters, learners, next: None };
    };
    let (voters, learners) = lists(to_be);
    let next = Some(Next { voters, learners, joint: members.contains('&') });
    Configuration { next, ..configuration(now) }
}

fn event_of_the_log(words: &[&str]) -> Event {
    match *words {
        ["appends", entry] => Event::Appended { id: id(entry), checksum: 1 },
        ["configures", entry, members] => {
            Event::Configured { at: id(entry), configuration: configuration(members) }
        }
        ["removes", from, last] => Event::Truncated { from: index(from), last: id(last) },
        ["accepts", leader, to] => Event::AppendAccepted { leader: node(leader), match_index: index(to) },
        ["rejects", leader, of, refused] => {
            Event::AppendRejected { leader: node(leader), term: term(of), refused: id(refused) }
        }
        ["matches", follower, to] => Event::MatchCounted { follower: node(follower), match_index: index(to) },
        ["commits", from, to] => Event::Committed { from: index(from), to: id(to) },
        ["snapshots", last] => Event::SnapshotTaken { snapshot: snapshot(last), bytes: 9 },
        ["compacts", base] => Event::Compacted { base: id(base) },
        ["sends", to, last, offset] => {
            Event::ChunkSent { follower: node(to), snapshot: snapshot(last), offset: number(offset) }
        }
        ["receives", from, last, offset] => {
            Event::ChunkReceived { leader: node(from), snapshot: snapshot(last), offset: number(offset) }
        }
        ["has", leader, last] => Event::SnapshotNotNeeded { leader: node(leader), snapshot: snapshot(last) },
        ["installs", last, from] => Event::Installed { snapshot: snapshot(last), from: index(from) },
        ["transfers", to] => Event::TransferStarted { to: node(to) },
        ["tells", to] => Event::TimeoutNowSent { to: node(to) },
        ["confirms", to] => Event::ReadsConfirmed { read_index: index(to), by_lease: false },
        ["goes-on", to] => Event::TransferEnded { to: node(to), leads: true },
        ["hands-over", to] => Event::TransferEnded { to: node(to), leads: false },
        ["loses", entry] => Event::Damaged { id: id(entry) },
        ["repairs", entry] => Event::Repaired { id: id(entry) },
        ["drops", from, last] => Event::Dropped { from: id(from), last: id(last) },
        ["fills", leader, last] => Event::SnapshotFills { leader: node(leader), snapshot: snapshot(last) },
        ["trusts"] => Event::TailTrusted,
        _ => panic!("no such step: {words:?}"),
    }
}
