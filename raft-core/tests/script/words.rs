//! Scripts in words: how servers are named, and how what they do is told.

use std::fmt::Write as _;

use raft_core::{
    AppendEntriesReply, Batch, Chunk, Configuration, Entry, EntryId, Envelope, HardState, Incarnation,
    InstallSnapshotReply, LogIndex, Member, Message, NodeId, Payload, ReadIndexReply, Term, Write,
};

pub(crate) fn number(id: &str) -> u64 {
    id.strip_prefix('n').and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no server: {id}"))
}

/// Servers: `1,2,4`, or `1,2,4#7` for one that is bound to a life.
pub(crate) fn list(members: &str) -> Vec<Member> {
    let member = |text: &str| match text.split_once('#') {
        None => NodeId::new(text.parse().unwrap()).into(),
        Some((id, life)) => {
            Member::bound(NodeId::new(id.parse().unwrap()), Incarnation(life.parse().unwrap()))
        }
    };
    members.split(',').filter(|member| !member.is_empty()).map(member).collect()
}

pub(crate) fn direction(cut: &str) -> (NodeId, NodeId) {
    let (from, to) = cut.split_once('>').unwrap_or_else(|| panic!("not a direction: {cut}"));
    (NodeId::new(number(from)), NodeId::new(number(to)))
}

pub(crate) fn disk(content: &[&str]) -> Batch {
    let mut hard_state = HardState::default();
    let mut entries = Vec::new();
    for word in content {
        if let Some(term) = word.strip_prefix("term=") {
            hard_state.current_term = Term::new(term.parse().unwrap());
        } else if let Some(vote) = word.strip_prefix("vote=") {
            hard_state.voted_for = Some(NodeId::new(number(vote)));
        } else {
            let id = EntryId::new(Term::new(word.parse().unwrap()), LogIndex::new(entries.len() as u64 + 1));
            entries.push(Entry::new(id, Payload::Noop));
        }
    }
    let last = entries.last().map_or(Term::default(), |entry: &Entry| entry.id.term);
    hard_state.current_term = hard_state.current_term.max(last);
    Batch { hard_state: Some(hard_state), entries: entries.into(), ..Batch::default() }
}

pub(crate) fn describe_write(write: &Write) -> String {
    let mut text = String::new();
    if let Some(HardState { current_term, voted_for }) = write.batch.hard_state {
        let vote = voted_for.map_or("nobody".into(), |vote| vote.to_string());
        write!(text, " {current_term} vote={vote}").unwrap();
    }
    if let Some(from) = write.batch.truncate {
        write!(text, " truncate from {from}").unwrap();
    }
    for part in &write.batch.parts {
        let last_included = part.snapshot.id.last_included;
        write!(text, " piece of {last_included}: {}", describe_chunk(&part.chunk)).unwrap();
    }
    if let Some(base) = write.batch.compact {
        write!(text, " compact {base}").unwrap();
    }
    if !write.batch.entries.is_empty() {
        write!(text, " append{}", describe_entries(&write.batch.entries)).unwrap();
    }
    text
}

pub(crate) fn describe_entries(entries: &[Entry]) -> String {
    let mut text = String::new();
    for entry in entries {
        match &entry.payload {
            Payload::Noop => write!(text, " {}", entry.id).unwrap(),
            Payload::Command(command) => {
                write!(text, " {}={}", entry.id, String::from_utf8_lossy(command)).unwrap();
            }
            Payload::Configuration(bytes) => {
                let configuration = Configuration::from_bytes(bytes).unwrap();
                write!(text, " {}={{{configuration}}}", entry.id).unwrap();
            }
        }
    }
    text
}

pub(crate) fn describe_chunk(chunk: &Chunk) -> String {
    let done = if chunk.done { " done" } else { "" };
    format!("{}..{} {:?}{done}", chunk.offset, chunk.end(), String::from_utf8_lossy(&chunk.data))
}

fn words_of(ids: &[EntryId]) -> String {
    ids.iter().map(EntryId::to_string).collect::<Vec<_>>().join(" ")
}

pub(crate) fn describe(envelope: &Envelope) -> String {
    let Envelope { from, to, term, message, .. } = envelope;
    let said = match message {
        Message::PreVote(args) => format!("PreVote last={}", args.last_log),
        Message::PreVoteReply(reply) => format!("pre-vote granted={}", reply.vote_granted),
        Message::RequestVote(args) => {
            let told = if args.told_by_leader { " told by the leader" } else { "" };
            format!("RequestVote last={}{told}", args.last_log)
        }
        Message::TimeoutNow => "TimeoutNow".into(),
        Message::RequestVoteReply(reply) => format!("vote granted={}", reply.vote_granted),
        Message::AppendEntries(args) => {
            let entries = describe_entries(&args.entries);
            format!(
                "AppendEntries prev={} commit={} [{}]",
                args.prev_log,
                args.leader_commit,
                entries.trim_start()
            )
        }
        Message::AppendEntriesReply(AppendEntriesReply::Accepted { match_index }) => {
            format!("accepted match={match_index}")
        }
        Message::AppendEntriesReply(AppendEntriesReply::Rejected { refused, hint }) => {
            format!("rejected refused={refused} hint={hint}")
        }
        Message::AppendEntriesReply(AppendEntriesReply::Lost { from, .. }) => format!("lost from={from}"),
        Message::FetchEntries(args) => format!("FetchEntries [{}]", words_of(&args.ids)),
        Message::FetchEntriesReply(reply) => {
            let entries = describe_entries(&reply.entries);
            let lacking: Vec<_> = reply.lacking.iter().map(|lacking| lacking.id).collect();
            format!("fetched [{}] lacking [{}]", entries.trim_start(), words_of(&lacking))
        }
        Message::InstallSnapshot(args) => {
            let last_included = args.snapshot.id.last_included;
            format!("InstallSnapshot {last_included} {}", describe_chunk(&args.chunk))
        }
        Message::InstallSnapshotReply(InstallSnapshotReply::Received { snapshot, offset }) => {
            format!("received {} to {offset}", snapshot.last_included)
        }
        Message::InstallSnapshotReply(InstallSnapshotReply::Installed { snapshot }) => {
            format!("installed {}", snapshot.last_included)
        }
        Message::Confirm(args) => format!("Confirm round={}", args.round),
        Message::ConfirmReply(reply) => format!("confirmed round={}", reply.round),
        Message::ReadIndex => "ReadIndex".into(),
        Message::ReadIndexReply(ReadIndexReply { read_index: Some(id) }) => format!("read-index {id}"),
        Message::ReadIndexReply(ReadIndexReply { read_index: None }) => "read-index from another".into(),
        Message::NotMember(reply) => format!("not a member as of {}", reply.configured),
    };
    format!("{from} -> {to} {term} {said}")
}
