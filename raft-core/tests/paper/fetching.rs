//! What a server asks for that its disk has lost, whom, and when; and what the others answer (protocol-aware recovery,
//! Alagappan et al., FAST'18; our design 3.4).

use std::time::Duration;

use raft_core::{
    Batch, Chunk, Config, Configuration, Entry, EntryId, Envelope, FetchEntries, FetchEntriesReply,
    Incarnation, Input, Lacking, LogIndex, Member, Message, NodeId, Part, Payload, Restored, RoleName,
    Stored, Time,
};

use crate::bench::{Bench, ME, NUMBER_MAX, append, config, envelope, id};
use crate::installed::of_three;
use crate::membership::of;
use crate::repair::{answer, damaged, lacks, suspect};

const MS: Duration = Duration::from_millis(1);

/// A disk with entries of these terms, the last of which is its term.
pub(crate) fn disk(terms: &[u64]) -> Stored {
    Bench::with_log(config(3), terms, terms[terms.len() - 1]).disk
}

/// A disk with these entries of term 1.
pub(crate) fn disk_of(payloads: impl IntoIterator<Item = Payload>) -> Stored {
    let mut disk = Bench::with_log(config(3), &[], 1).disk;
    let entry = |(payload, index)| Entry::new(id(1, index), payload);
    let entries = payloads.into_iter().zip(1..).map(entry).collect();
    disk.apply(Batch { entries, ..Batch::default() });
    disk
}

/// The same disk with a snapshot of all up to this entry.
pub(crate) fn with_snapshot(mut disk: Stored, last_included: EntryId, compact: Option<EntryId>) -> Stored {
    let (snapshot, chunk) = (of_three(last_included, 1), Chunk::new(0, "x".into(), true));
    disk.apply(Batch { parts: vec![Part { snapshot, chunk }], compact, ..Batch::default() });
    disk
}

/// A server that finds, as it starts, that its disk has lost these entries.
pub(crate) fn starts(config: Config, mut disk: Stored, lost: &[u64]) -> Bench {
    let damaged: Vec<_> = lost.iter().copied().map(LogIndex::new).collect();
    for &index in &damaged {
        assert!(disk.damage(index));
    }
    let restored = Restored { damaged, ..disk.restored() };
    Bench::with_restored(config, disk, restored)
}

/// What somebody says that was asked for entries, and has compacted nothing.
pub(crate) fn reply(entries: &[EntryId], lacking: &[Lacking]) -> FetchEntriesReply {
    let entry = |&id| Entry::new(id, Payload::Noop);
    let entries = entries.iter().map(entry).collect::<Vec<_>>().into();
    FetchEntriesReply { entries, lacking: lacking.to_vec(), base: EntryId::ZERO }
}

/// Says of an entry that it is not there, but one of this later term.
pub(crate) fn lacking(id: EntryId, superseded: Option<u64>) -> FetchEntriesReply {
    reply(&[], &[lacks(id, superseded)])
}

/// It comes from this server, in the conversation in which that one was last asked.
pub(crate) fn answered(bench: &Bench, from: u64, reply: FetchEntriesReply) -> Envelope {
    let (asked, term) = (bench.last_said(from, "fetch").unwrap().session, bench.raft.current_term().get());
    let reply = Message::FetchEntriesReply(Box::new(reply));
    Envelope { session: asked, ..envelope(from, term, reply) }
}

fn asks(ids: &[EntryId]) -> Message {
    Message::FetchEntries(FetchEntries { ids: ids.to_vec() })
}

/// What servers were told that had asked for entries.
fn told(said: &[Envelope]) -> Vec<(u64, &FetchEntriesReply)> {
    let mut told = Vec::new();
    for said in said {
        if let Message::FetchEntriesReply(reply) = &said.message {
            told.push((said.to.get(), &**reply));
        }
    }
    told
}

/// What n2 is told that asks for these, where nothing has to be read for it.
fn told_at_once(bench: &mut Bench, ids: &[EntryId]) -> Option<FetchEntriesReply> {
    let asked = envelope(2, bench.raft.current_term().get(), asks(ids));
    bench.raft.step(bench.now, Input::Receive(asked));
    let effects = bench.raft.take_effects();
    assert_eq!(effects.load, [], "{ids:?}");
    told(&effects.send).first().map(|&(_, reply)| reply.clone())
}

pub(crate) fn names(entries: &[Entry]) -> Vec<EntryId> {
    entries.iter().map(|entry| entry.id).collect()
}

/// The servers that were asked for entries since the last time.
fn asked(bench: &mut Bench) -> Vec<u64> {
    let fetches = |said: (u64, u64, &'static str)| (said.2 == "fetch").then_some(said.0);
    bench.take_said().into_iter().filter_map(fetches).collect()
}

/// The names that this server was last asked for.
pub(crate) fn wanted(bench: &Bench, from: u64) -> Vec<EntryId> {
    match bench.last_said(from, "fetch").map(|said| &said.message) {
        Some(Message::FetchEntries(args)) => args.ids.clone(),
        other => panic!("it was not asked: {other:?}"),
    }
}

#[test]
fn all_others_are_asked_at_once_and_again_with_each_heartbeat_until_all_is_found() {
    let mut bench = starts(config(3), disk(&[1, 1, 1]), &[2, 3]);
    bench.step(Input::Tick);
    let heartbeat = bench.raft.config().heartbeat;
    assert_eq!(wanted(&bench, 3), [id(1, 2), id(1, 3)]);
    assert_eq!(asked(&mut bench), [2, 3]);
    bench.wait(MS);
    assert!(asked(&mut bench).is_empty());
    assert_eq!(bench.raft.deadline(), Time::ZERO.after(heartbeat));
    bench.time_out();
    let reply = answered(&bench, 2, reply(&[id(1, 2), id(1, 3)], &[]));
    assert_eq!(asked(&mut bench), [2, 3]);
    bench.step(Input::Receive(reply));
    assert!(bench.raft.deadline() >= Time::ZERO.after(bench.raft.config().election_timeout.0));
}

/// While a change of membership may or may not be committed, whoever takes part in either configuration may
/// have it.
#[test]
fn whoever_takes_part_in_one_of_several_configurations_is_asked_once() {
    let change = Payload::Configuration(of(&[1, 2, 3, 4]).to_bytes());
    let disk = disk_of([Payload::Noop, change]);
    let mut bench = starts(config(3), disk, &[1]);
    bench.step(Input::Tick);
    assert_eq!(asked(&mut bench), [2, 3, 4]);
}

/// One that only a snapshot of another server stands for does not come as an entry.
#[test]
fn what_others_have_compacted_is_not_asked_for_as_long_as_there_is_more() {
    let mut bench = starts(config(3), disk(&[1, 1, 1]), &[1, 3]);
    bench.step(Input::Tick);
    assert_eq!(wanted(&bench, 3), [id(1, 1), id(1, 3)]);
    let covers = FetchEntriesReply { base: id(1, 1), ..reply(&[], &[]) };
    answer(&mut bench, 2, covers);
    assert_eq!(wanted(&bench, 3), [id(1, 3)]);
}

/// All others lacked it once, and n2 twice, before n3 got it and sent it: all that says nothing of the time
/// after.
#[test]
fn an_entry_that_is_lost_again_is_asked_for_anew() {
    let mut bench = damaged(&[1, 1], 2);
    for from in [2, 3, 2] {
        answer(&mut bench, from, lacking(id(1, 2), None));
    }
    answer(&mut bench, 3, reply(&[id(1, 2)], &[]));
    assert_eq!(bench.raft.damaged(), 0);
    bench.said.clear();
    bench.lose(2);
    assert_eq!((wanted(&bench, 2), wanted(&bench, 3)), (vec![id(1, 2)], vec![id(1, 2)]));
    answer(&mut bench, 3, lacking(id(1, 2), None));
    assert_eq!((bench.raft.damaged(), bench.log().len()), (1, 2));
}

#[test]
fn whoever_asks_for_what_was_compacted_is_told_where_the_log_begins() {
    for asked in [id(1, 1), id(1, 2)] {
        let disk = with_snapshot(disk(&[1, 1, 1]), id(1, 2), Some(id(1, 2)));
        let mut bench = Bench::with_disk(config(3), disk);
        let compacted = FetchEntriesReply { base: id(1, 2), ..reply(&[], &[]) };
        assert_eq!(told_at_once(&mut bench, &[asked]), Some(compacted), "{asked}");
    }
}

/// An entry that it has lost itself, or may have lost, or may have had before its disk was wiped.
#[test]
fn a_server_says_nothing_of_what_it_does_not_know_for_certain() {
    assert_eq!(told_at_once(&mut damaged(&[1, 1, 1], 2), &[id(1, 2)]), None);
    assert_eq!(told_at_once(&mut suspect(&[1, 1, 1], 1), &[id(1, 4)]), None);
    let another_life = Member::bound(ME, Incarnation(99));
    let group = Configuration::of([another_life, NodeId::new(2).into(), NodeId::new(3).into()]);
    let wiped = Config { bootstrap: Some(group), ..config(3) };
    assert_eq!(told_at_once(&mut Bench::with_disk(wiped, disk(&[1])), &[id(1, 4)]), None);
}

/// What is on disk is read first. What was answered is forgotten.
#[test]
fn a_question_is_answered_once() {
    for in_memory in [true, false] {
        let mut bench = Bench::new(config(3));
        bench.hear(2, 1, append(EntryId::ZERO, &[1, 1, 1], 0));
        if !in_memory {
            bench.restart();
            bench.step(Input::Tick);
        }
        let before = bench.raft.fingerprint();
        bench.said.clear();
        bench.hear(2, 1, asks(&[id(1, 2)]));
        assert_eq!(told(&bench.said), [(2, &reply(&[id(1, 2)], &[]))], "in memory {in_memory}");
        assert_eq!(bench.raft.counts().entries_lent, 1);
        assert_eq!(bench.raft.fingerprint(), before, "nothing is owed any more");
    }
}

/// The rest is asked for again.
#[test]
fn a_server_sends_as_many_entries_as_fit_into_a_message() {
    for (bytes_max, sent) in [(10, 1), (20, 2), (30, 3)] {
        let small = Config { append_bytes_max: bytes_max, ..config(3) };
        let mut bench = Bench::in_role(small, RoleName::Leader, 1);
        (0..3).for_each(|_| bench.propose("0123456789"));
        bench.said.clear();
        bench.hear(2, 1, asks(&[id(1, 2), id(1, 3), id(1, 4)]));
        let [(2, told)] = told(&bench.said)[..] else { panic!("one answer") };
        assert_eq!(names(&told.entries), [id(1, 2), id(1, 3), id(1, 4)][..sent]);
        assert_eq!((told.lacking.len(), bench.raft.counts().entries_lent), (0, sent as u64));
    }
}

#[test]
fn each_server_is_answered_what_it_asked_last() {
    let mut bench = Bench::new(config(3));
    bench.hear(2, 1, append(EntryId::ZERO, &[1, 1, 1], 0));
    let ask = |(from, index)| Input::Receive(envelope(from, 1, asks(&[id(1, index)])));
    bench.step_all([(2, 1), (3, 3), (2, 2)].map(ask));
    let sent: Vec<_> = told(&bench.said).into_iter().map(|(to, reply)| (to, names(&reply.entries))).collect();
    assert_eq!(sent, [(3, vec![id(1, 3)]), (2, vec![id(1, 2)])]);
}

#[test]
fn at_most_64_servers_are_answered_at_once() {
    let mut bench = Bench::new(config(3));
    bench.hear(2, 1, append(EntryId::ZERO, &[1], 0));
    let ask = |from| Input::Receive(envelope(from, 1, asks(&[id(1, 1)])));
    bench.step_all((2..=71).map(ask));
    let told: Vec<_> = told(&bench.said).into_iter().map(|(to, _)| to).collect();
    assert_eq!((told.len(), told.last()), (64, Some(&71)));
}

/// Each row: the entries in an answer, how many are lacking, where the log begins, and whether it is sound.
#[test]
fn an_answer_that_no_server_can_have_given_is_dropped() {
    let in_order = &[id(1, 2), id(1, 3), id(2, 4)][..];
    for (entries, lacking, base, sound) in [
        (in_order, 0, 1, true),
        (&[id(1, 3), id(1, 2)], 0, 1, false),
        (&[id(1, 2), id(1, 2)], 0, 1, false),
        (in_order, 64, 1, true),
        (in_order, 65, 1, false),
        (in_order, 0, NUMBER_MAX, true),
        (in_order, 0, NUMBER_MAX + 1, false),
    ] {
        let mut bench = Bench::with_log(config(3), &[1], 2);
        let lacking = vec![Lacking { id: id(1, 2), superseded: None }; lacking];
        let reply = FetchEntriesReply { base: id(1, base), ..reply(entries, &lacking) };
        let row = format!("{entries:?} {} {base}", lacking.len());
        bench.hear(2, 2, Message::FetchEntriesReply(Box::new(reply)));
        assert_eq!(bench.raft.counts().strangers_dropped, u64::from(!sound), "{row}");
    }
}
