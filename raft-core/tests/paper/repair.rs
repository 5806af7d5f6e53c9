//! What a server does whose disk has lost what it acknowledged (protocol-aware recovery, Alagappan et al., FAST'18; our
//! design 3.4).

use raft_core::{
    AppendEntriesReply, Config, Entry, EntryId, Event, FetchEntries, FetchEntriesReply, Input, Lacking,
    Loaded, LogIndex, Message, NodeId, Payload, Restored, RoleName, Session, StepDownReason, Term, Violation,
};

use crate::bench::{Bench, append, config, envelope, heartbeat, id, vote};

/// A server of three that has entries of these terms, the last of which is its term, of which one is damaged.
pub(crate) fn damaged(terms: &[u64], index: u64) -> Bench {
    let mut bench = Bench::with_log(config(3), terms, terms[terms.len() - 1]);
    bench.disk.damage(LogIndex::new(index));
    let (disk, restored) = (bench.disk.clone(), bench.disk.restored());
    let restored = Restored { damaged: vec![LogIndex::new(index)], ..restored };
    let mut bench = Bench::with_restored(config(3), disk, restored);
    bench.step(Input::Tick);
    bench
}

/// A server of three that has entries of these terms, and may have had more.
pub(crate) fn suspect(terms: &[u64], term: u64) -> Bench {
    let disk = Bench::with_log(config(3), terms, term).disk;
    let restored = Restored { suspect_tail: true, ..disk.restored() };
    Bench::with_restored(config(3), disk, restored)
}

/// What another server says that was asked for entries.
fn fetched(bench: &Bench, entries: &[EntryId], lacking: &[Lacking]) -> FetchEntriesReply {
    let entry = |&id| Entry::new(id, Payload::Noop);
    let entries = entries.iter().map(entry).collect::<Vec<_>>().into();
    let base = EntryId::ZERO;
    assert!(bench.last_said(2, "fetch").is_some());
    FetchEntriesReply { entries, lacking: lacking.to_vec(), base }
}

/// It comes from this server, in the conversation in which it was asked for.
pub(crate) fn answer(bench: &mut Bench, from: u64, reply: FetchEntriesReply) {
    let (asked, term) = (bench.last_said(from, "fetch").unwrap().session, bench.raft.current_term().get());
    let reply = envelope(from, term, Message::FetchEntriesReply(Box::new(reply)));
    bench.step(Input::Receive(raft_core::Envelope { session: asked, ..reply }));
}

pub(crate) fn lacks(id: EntryId, superseded: Option<u64>) -> Lacking {
    Lacking { id, superseded: superseded.map(Term::new) }
}

#[test]
pub(crate) fn a_server_acknowledges_nothing_from_a_damaged_entry_on_until_it_is_repaired() {
    let mut bench = damaged(&[1, 1, 1], 2);
    bench.hear(2, 1, append(id(1, 3), &[1], 0));
    // Whatever it has acknowledged in another conversation counts no more.
    let Some(AppendEntriesReply::Lost { from, session }) = bench.last_reply() else {
        panic!("{:?}", bench.last_reply())
    };
    assert_eq!(from, LogIndex::new(2));
    let again = |message| raft_core::Envelope { session, ..envelope(2, 1, message) };
    bench.step(Input::Receive(again(append(id(1, 1), &[], 0))));
    assert_eq!(bench.last_reply(), Some(AppendEntriesReply::Accepted { match_index: LogIndex::new(1) }));
    // A leader that has gone on, as the message with the entry was lost, is told to come back to it.
    bench.step(Input::Receive(again(append(id(1, 4), &[], 0))));
    let rejected = AppendEntriesReply::Rejected { refused: id(1, 4), hint: id(1, 1) };
    assert_eq!(bench.last_reply(), Some(rejected));
    bench.hangs = true;
    bench.said.clear();
    bench.step(Input::Receive(again(append(id(1, 1), &[1], 0))));
    assert_eq!(bench.last_reply(), None, "not before the disk has it");
    for write in std::mem::take(&mut bench.hung) {
        bench.step(Input::Persisted(write.token));
    }
    assert_eq!(bench.last_reply(), Some(AppendEntriesReply::Accepted { match_index: LogIndex::new(2) }));
    bench.hear(2, 1, append(id(1, 4), &[], 4));
    assert_eq!(bench.last_reply(), Some(AppendEntriesReply::Accepted { match_index: LogIndex::new(4) }));
    assert_eq!(bench.applied, [id(1, 1), id(1, 2), id(1, 3), id(1, 4)]);
}

#[test]
pub(crate) fn a_server_with_a_damaged_entry_neither_votes_nor_asks_for_votes() {
    let mut bench = damaged(&[1, 1], 1);
    let grants = |bench: &mut Bench| {
        bench.said.clear();
        bench.hear(2, 2, vote(id(2, 9)));
        matches!(&bench.last_said(2, "vote-reply").unwrap().message,
                 Message::RequestVoteReply(reply) if reply.vote_granted)
    };
    bench.time_out();
    bench.wait(bench.raft.config().election_timeout.1);
    assert_eq!(bench.is(), (RoleName::Follower, 1));
    assert!(!grants(&mut bench));
    answer_found(&mut bench);
    assert!(grants(&mut bench));
}

fn answer_found(bench: &mut Bench) {
    bench.time_out();
    let reply = fetched(bench, &[id(1, 1)], &[]);
    answer(bench, 2, reply);
}

#[test]
fn whoever_has_an_entry_of_that_name_may_send_it_if_it_is_sound() {
    let mut bench = damaged(&[1, 1, 2], 2);
    let ids = vec![id(1, 2)];
    assert_eq!(bench.last_said(3, "fetch").unwrap().message, Message::FetchEntries(FetchEntries { ids }));
    let sound = fetched(&bench, &[id(1, 2)], &[]);
    let damaged_on_its_way = {
        let entry = Entry { checksum: 1, ..sound.entries[0].clone() };
        FetchEntriesReply { entries: vec![entry].into(), ..sound.clone() }
    };
    answer(&mut bench, 3, damaged_on_its_way);
    let of_another_name = fetched(&bench, &[id(2, 2)], &[]);
    answer(&mut bench, 3, of_another_name);
    assert_eq!(bench.raft.damaged(), 1);
    answer(&mut bench, 3, sound);
    assert_eq!(bench.raft.damaged(), 0);
    assert!(bench.events.contains(&Event::Repaired { id: id(1, 2) }));
    let load = raft_core::Load::Entries { from: LogIndex::new(2), to: LogIndex::new(2), bytes_max: 0 };
    assert!(matches!(bench.disk.load(&load), Loaded::Entries { entries, .. } if entries.len() == 1));
}

/// Each row: what n1 has, the names that n2 asks for, those that it is sent, and those that it hears are lacking.
#[test]
fn a_server_sends_what_it_has_and_says_what_it_lacks() {
    for (terms, asked, sent, lacking) in [
        (&[1, 1, 2][..], id(1, 2), &[id(1, 2)][..], None),
        (&[1, 1, 2], id(1, 3), &[], Some(lacks(id(1, 3), Some(2)))),
        (&[1, 1, 2], id(2, 2), &[], Some(lacks(id(2, 2), None))),
        (&[1, 1, 2], id(2, 4), &[], Some(lacks(id(2, 4), None))),
    ] {
        let mut bench = Bench::with_log(config(3), terms, 2);
        bench.hear(2, 2, Message::FetchEntries(FetchEntries { ids: vec![asked] }));
        let Message::FetchEntriesReply(reply) = &bench.last_said(2, "fetch-reply").unwrap().message else {
            panic!("another answer")
        };
        let entries: Vec<_> = reply.entries.iter().map(|entry| entry.id).collect();
        assert_eq!((entries.as_slice(), reply.lacking.first().copied()), (sent, lacking), "{asked}");
    }
}

/// Each row: who says that it lacks the entry, and how many entries are left then.
#[test]
fn what_every_other_server_lacks_twice_is_dropped() {
    let mut bench = damaged(&[1, 1, 1], 2);
    for (from, left) in [(2, 3), (2, 3), (3, 3), (3, 3), (3, 3), (2, 1)] {
        let reply = fetched(&bench, &[], &[lacks(id(1, 2), None)]);
        answer(&mut bench, from, reply);
        assert_eq!(bench.log().len(), left, "after n{from}");
    }
    assert!(bench.events.contains(&Event::Dropped { from: id(1, 2), last: id(1, 1) }));
}

/// n3 lacks the entry when it is asked first, then gets it, and n2 counts that, loses its own, and lacks it: it may be
/// committed, and n3 has it.
#[test]
fn what_the_others_lacked_at_different_moments_is_asked_for_again() {
    let mut bench = damaged(&[1, 1], 2);
    let late = bench.last_said(3, "fetch").unwrap().session;
    for from in [3, 2] {
        let reply = fetched(&bench, &[], &[lacks(id(1, 2), None)]);
        answer(&mut bench, from, reply);
    }
    assert_ne!(
        bench.last_said(3, "fetch").unwrap().session,
        late,
        "answers to the first question do not count"
    );
    let reply = fetched(&bench, &[], &[lacks(id(1, 2), None)]);
    answer(&mut bench, 2, reply.clone());
    let reply = envelope(3, 1, Message::FetchEntriesReply(Box::new(reply)));
    bench.step(Input::Receive(raft_core::Envelope { session: late, ..reply }));
    assert_eq!(bench.log().len(), 2);
    let reply = fetched(&bench, &[id(1, 2)], &[]);
    answer(&mut bench, 3, reply);
    assert_eq!((bench.raft.damaged(), bench.log().len()), (0, 2));
}

/// A seed found this: 14308 of a world whose disks rot. What only a snapshot of another stands for can come only from a leader,
/// and none may be elected while this server waits for what nobody has.
#[test]
fn what_nobody_has_is_dropped_though_an_earlier_one_waits_for_a_snapshot() {
    let mut bench = damaged(&[1, 1, 1], 1);
    bench.step(Input::Loaded(Loaded::Damaged { from: LogIndex::new(3), to: LogIndex::new(3) }));
    let covers = FetchEntriesReply { base: id(1, 1), ..fetched(&bench, &[], &[]) };
    answer(&mut bench, 2, covers);
    for (from, left) in [(2, 3), (3, 3), (2, 3), (3, 2)] {
        let reply = fetched(&bench, &[], &[lacks(id(1, 3), None)]);
        answer(&mut bench, from, reply);
        assert_eq!(bench.log().len(), left, "after n{from}");
    }
    assert_eq!(bench.raft.damaged(), 1);
    while bench.raft.role() == RoleName::Follower {
        bench.time_out();
    }
}

/// A seed found this: 19870 of a world whose disks rot. What a later term has in its place was not committed by then,
/// but a leader after that may have had it and committed it, with this server's acknowledgement.
#[test]
fn what_a_later_term_superseded_is_dropped_unless_it_was_acknowledged_since() {
    for (follows, left) in [(None, 1), (Some(3), 2)] {
        let mut bench = damaged(&[1, 1], 2);
        if let Some(term) = follows {
            bench.hear(3, term, heartbeat());
        }
        let reply = fetched(&bench, &[], &[lacks(id(1, 2), Some(2))]);
        answer(&mut bench, 2, reply);
        assert_eq!(bench.log().len(), left, "{follows:?}");
    }
}

#[test]
fn what_is_committed_is_not_dropped() {
    let mut bench = damaged(&[1, 1], 2);
    bench.hear(2, 1, append(id(1, 2), &[], 2));
    for from in [2, 3] {
        let reply = fetched(&bench, &[], &[lacks(id(1, 2), Some(9))]);
        answer(&mut bench, from, reply);
    }
    assert_eq!(bench.log().len(), 2);
}

#[test]
fn a_server_that_is_alone_and_has_lost_an_entry_stops_and_says_so() {
    let mut disk = Bench::with_log(config(1), &[1, 1], 1).disk;
    disk.damage(LogIndex::new(2));
    let restored = Restored { damaged: vec![LogIndex::new(2)], ..disk.restored() };
    let mut bench = Bench::with_restored(config(1), disk, restored);
    bench.step(Input::Tick);
    assert_eq!(bench.violation, Some(Violation::EntryLost { id: id(1, 2) }));
}

/// What its own snapshot stands for is not lost, though its state machine has not been restored from it yet.
#[test]
fn what_its_own_snapshot_stands_for_is_not_lost_to_a_server_that_is_alone() {
    let mut disk = Bench::with_log(config(1), &[1, 1, 1], 1).disk;
    let id_of = raft_core::SnapshotId { last_included: id(1, 2), made_by: raft_core::Incarnation(1) };
    let configured = config(1).bootstrap.unwrap_or_default().into();
    let snapshot = raft_core::Snapshot { id: id_of, configured };
    let chunk = raft_core::Chunk::new(0, "x".into(), true);
    disk.apply(raft_core::Batch { parts: vec![raft_core::Part { snapshot, chunk }], ..Default::default() });
    disk.damage(LogIndex::new(2));
    let restored = Restored { damaged: vec![LogIndex::new(2)], ..disk.restored() };
    let mut bench = Bench::with_restored(config(1), disk, restored);
    bench.step(Input::Tick);
    assert_eq!((bench.violation, bench.raft.damaged()), (None, 0));
    assert_eq!(bench.disk.restored().log.base(), id(1, 2));
}

/// A durable state machine has it, and says so only when the server has been made.
#[test]
fn a_snapshot_is_taken_that_stands_for_what_was_lost() {
    let mut disk = Bench::with_log(config(1), &[1, 1, 1], 1).disk;
    disk.damage(LogIndex::new(2));
    let restored = Restored { damaged: vec![LogIndex::new(2)], ..disk.restored() };
    let mut bench = Bench::with_restored(config(1), disk, restored);
    bench.raft.has_applied(LogIndex::new(3));
    bench.step(Input::Tick);
    bench.step(Input::Tick);
    assert_eq!(bench.violation, None);
    assert_eq!(bench.taking.map(|snapshot| snapshot.id.last_included), Some(id(1, 3)));
}

#[test]
fn a_leader_that_has_lost_an_entry_gives_way_if_nobody_sends_it() {
    let nothing_cached = Config { cache_bytes_max: 0, ..config(3) };
    let mut bench = Bench::in_role(nothing_cached, RoleName::Leader, 1);
    let patience = bench.raft.config().election_timeout.1;
    bench.step(Input::Loaded(Loaded::Damaged { from: LogIndex::new(1), to: LogIndex::new(1) }));
    // It does not count itself.
    bench.accepts(2, 1);
    assert_eq!(bench.raft.commit_index(), LogIndex::ZERO);
    for _ in 0..2 {
        bench.wait(patience / 2);
        bench.accepts(3, 0);
        bench.accepts(2, 1);
    }
    let stepped_down = Event::SteppedDown { term: Term::new(1), reason: StepDownReason::LogDamaged };
    assert!(bench.events.contains(&stepped_down));
    assert_eq!(bench.raft.counts().gave_way_log_damaged, 1);
    // n2 has all of its log, and is to lead.
    assert_eq!(bench.last_said(2, "timeout-now").unwrap().message, Message::TimeoutNow);
}

#[test]
fn a_leader_begins_anew_with_a_follower_that_has_lost_what_it_acknowledged() {
    let mut bench = Bench::in_role(config(3), RoleName::Leader, 1);
    bench.propose("x");
    bench.accepts(2, 2);
    bench.propose("y");
    let lost = AppendEntriesReply::Lost { from: LogIndex::new(2), session: Session(9) };
    bench.replies(2, lost);
    let (again, session) = (bench.last_append(2), bench.last_said(2, "append").unwrap().session);
    assert_eq!((again.prev_log, session), (id(1, 1), Session(9)));
    // What it said before is not counted, late as it comes.
    let late = Message::AppendEntriesReply(AppendEntriesReply::Accepted { match_index: LogIndex::new(3) });
    bench.hear(2, 1, late);
    let n2 = bench.raft.followers().into_iter().find(|known| known.follower == NodeId::new(2)).unwrap();
    assert_eq!(n2.match_index, LogIndex::ZERO);
}

#[test]
pub(crate) fn a_vote_of_a_suspect_server_counts_where_every_voter_gives_one() {
    for (others, leads) in [(1, false), (2, true)] {
        let mut bench = suspect(&[1], 1);
        bench.time_out();
        for round in ["pre-vote", "vote"] {
            for voter in 2..2 + others {
                if let Some(asked) = bench.last_said(voter, round).cloned() {
                    bench.answer(&asked, true);
                }
            }
        }
        assert_eq!(bench.raft.role() == RoleName::Leader, leads, "{others} others vote");
    }
}

/// A blackout that tears every tail still ends, and whoever leads then has what any of them still has.
#[test]
fn servers_that_are_all_suspect_elect_the_one_with_the_best_log() {
    let mut bench = suspect(&[1, 1], 1);
    bench.hear(2, 2, vote(id(1, 1)));
    bench.hear(3, 3, vote(id(1, 3)));
    let replies: Vec<_> = bench
        .said
        .iter()
        .filter_map(|said| {
            if let Message::RequestVoteReply(reply) = &said.message {
                Some((reply.vote_granted, reply.suspect))
            } else {
                None
            }
        })
        .collect();
    assert_eq!(replies, [(false, true), (true, true)]);
}

#[test]
fn a_suspect_server_trusts_its_log_after_a_commit_in_a_conversation_that_began_since() {
    let mut bench = suspect(&[1], 1);
    let committed = append(id(1, 1), &[1], 2);
    bench.hear(2, 1, committed.clone());
    let Some(AppendEntriesReply::Lost { from, session }) = bench.last_reply() else {
        panic!("{:?}", bench.last_reply())
    };
    assert_eq!(from, LogIndex::new(3));
    // Acknowledgements from before may be on their way: a commit in that conversation says nothing.
    assert!(bench.raft.is_suspect());
    let again = raft_core::Envelope { session, ..envelope(2, 1, append(id(1, 2), &[], 2)) };
    bench.step(Input::Receive(again));
    assert!(!bench.raft.is_suspect());
    assert!(bench.events.contains(&Event::TailTrusted));
}

/// Another leader does not go on with a conversation that this one began.
#[test]
fn each_leader_begins_a_conversation_of_its_own() {
    let mut bench = suspect(&[1], 1);
    let mut sessions = Vec::new();
    for term in [2, 3] {
        bench.hear(term, term, heartbeat());
        let Some(AppendEntriesReply::Lost { session, .. }) = bench.last_reply() else {
            panic!("{:?}", bench.last_reply())
        };
        sessions.push(session);
    }
    assert_ne!(sessions[0], sessions[1]);
}
