//! The table of all cells.

use std::cmp::Ordering;
use std::fmt;

use raft_core::{
    AppendEntries, AppendEntriesReply, Configuration, EntryId, Envelope, LogIndex, LogOutline, Message, Raft,
    RoleName,
};

/// What the server is.
pub(super) const ROLES: [&str; 4] = ["follower", "pre-candidate", "candidate", "leader"];

/// The kinds of messages, and whether such a message says where a log ends.
pub(super) const KINDS: [(&str, bool); 16] = [
    ("pre-vote", true),
    ("pre-vote-reply", false),
    ("vote", true),
    ("vote-reply", false),
    ("timeout-now", false),
    ("append", true),
    ("append-reply", true),
    ("snapshot", true),
    ("snapshot-reply", false),
    ("confirm", false),
    ("confirm-reply", false),
    ("read-index", false),
    ("read-index-reply", false),
    ("not-member", false),
    ("fetch", false),
    ("fetch-reply", false),
];

/// The term of the message, against the server's.
pub(super) const TERMS: [&str; 3] = ["lower", "equal", "higher"];

/// What the message says of a log, against the server's own: all of it is here and more follows; it ends with the same
/// entry; it has more; one of the two has an entry that the other one contradicts.
pub(super) const LOGS: [&str; 4] = ["behind", "same", "ahead", "conflicting"];

/// What the server goes by: all who take part vote, and it is one of them; somebody learns, is to vote and is caught up, or
/// the server itself has no vote; joint consensus.
pub(super) const PHASES: [&str; 3] = ["stable", "learners", "joint"];

/// A message of this kind, term and log met a server in this role that goes by such a configuration.
///
/// These cells cannot be reached by servers that keep to the protocol, and are not in the table:
///
/// - A leader is sent no AppendEntries, InstallSnapshot, Confirm or TimeoutNow of its own term: only another leader of
///   that term would send it (Election Safety).
/// - A leader's log ends with an entry of its own term, from the moment of its election on, and it drops none. Candidates of
///   that term or a lower one, pre-candidates for it, and leaders of a lower one, have no entry of that term yet; so
///   what they say of a log neither ends with the leader's last entry nor goes beyond it.
/// - Messages that say nothing of a log stand in one cell each, under `behind`, and in no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    pub(super) role: usize,
    pub(super) kind: usize,
    pub(super) term: usize,
    pub(super) log: usize,
    pub(super) phase: usize,
}

const LEADER: usize = 3;
const PRE_VOTE: usize = 0;
const VOTE: usize = 2;
const TIMEOUT_NOW: usize = 4;
const APPEND: usize = 5;
const SNAPSHOT: usize = 7;
const CONFIRM: usize = 9;
const LOWER: usize = 0;
const EQUAL: usize = 1;
const HIGHER: usize = 2;
const BEHIND: usize = 0;
const SAME: usize = 1;
const AHEAD: usize = 2;
const CONFLICTING: usize = 3;

/// How many combinations there are, the impossible ones included.
const ALL: usize = ROLES.len() * KINDS.len() * TERMS.len() * LOGS.len() * PHASES.len();

/// How many cells the table has.
pub const CELLS: usize = TABLE.1;

/// The place of each combination in the table, where it has one.
static PLACES: [Option<u16>; ALL] = TABLE.0;

/// These places, and how many there are.
const TABLE: ([Option<u16>; ALL], usize) = {
    let (mut places, mut cells, mut nth) = ([None; ALL], 0_u16, 0);
    while nth < ALL {
        if Cell::nth(nth).is_possible() {
            places[nth] = Some(cells);
            cells += 1;
        }
        nth += 1;
    }
    (places, cells as usize)
};

impl Cell {
    /// What `raft` is as the message comes in; none if that is not in the table.
    pub fn of(raft: &Raft, envelope: &Envelope) -> Option<Self> {
        let role = match raft.role() {
            RoleName::Follower => 0,
            RoleName::PreCandidate => 1,
            RoleName::Candidate => 2,
            RoleName::Leader => LEADER,
        };
        let term = match envelope.term.cmp(&raft.current_term()) {
            Ordering::Less => LOWER,
            Ordering::Equal => EQUAL,
            Ordering::Greater => HIGHER,
        };
        let (kind, log) = said(&envelope.message, raft.log_outline());
        let cell = Self { role, kind, term, log, phase: phase(raft) };
        cell.is_possible().then_some(cell)
    }

    /// All of the table, in its order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..ALL).map(Self::nth).filter(|cell| cell.is_possible())
    }

    /// Its place in the table.
    pub(super) fn place(self) -> usize {
        let Self { role, kind, term, log, phase } = self;
        let nth = (((role * KINDS.len() + kind) * TERMS.len() + term) * LOGS.len() + log) * PHASES.len();
        PLACES[nth + phase].map_or(0, usize::from)
    }

    /// The nth of all combinations.
    const fn nth(nth: usize) -> Self {
        let phase = nth % PHASES.len();
        let nth = nth / PHASES.len();
        let log = nth % LOGS.len();
        let nth = nth / LOGS.len();
        let term = nth % TERMS.len();
        let nth = nth / TERMS.len();
        Self { role: nth / KINDS.len(), kind: nth % KINDS.len(), term, log, phase }
    }

    const fn is_possible(self) -> bool {
        let Self { role, kind, term, log, .. } = self;
        if !KINDS[kind].1 && log != BEHIND {
            return false;
        }
        let of_leader = matches!(kind, TIMEOUT_NOW | APPEND | SNAPSHOT | CONFIRM);
        let older = (matches!(kind, PRE_VOTE | VOTE) && term != HIGHER)
            || (matches!(kind, APPEND | SNAPSHOT) && term == LOWER);
        let two_leaders = of_leader && term == EQUAL;
        let has_own_term = older && matches!(log, SAME | AHEAD);
        role != LEADER || !(two_leaders || has_own_term)
    }
}

/// Prints `leader vote equal behind stable`.
impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { role, kind, term, log, phase } = *self;
        let (name, says) = KINDS[kind];
        write!(f, "{} {name} {} ", ROLES[role], TERMS[term])?;
        if says {
            write!(f, "{} ", LOGS[log])?;
        }
        f.write_str(PHASES[phase])
    }
}

/// The kind of a message, and what it says of a log, against this one.
fn said(message: &Message, log: &LogOutline) -> (usize, usize) {
    match message {
        Message::PreVote(asked) => (PRE_VOTE, against(asked.last_log, log)),
        Message::PreVoteReply(_) => (1, BEHIND),
        Message::RequestVote(asked) => (VOTE, against(asked.last_log, log)),
        Message::RequestVoteReply(_) => (3, BEHIND),
        Message::TimeoutNow => (TIMEOUT_NOW, BEHIND),
        Message::AppendEntries(append) => (APPEND, sent(append, log)),
        Message::AppendEntriesReply(
            AppendEntriesReply::Accepted { match_index: index }
            | AppendEntriesReply::Lost { from: index, .. },
        ) => (6, at_index(*index, log)),
        Message::AppendEntriesReply(AppendEntriesReply::Rejected { hint, .. }) => (6, against(*hint, log)),
        Message::InstallSnapshot(install) => (SNAPSHOT, against(install.snapshot.id.last_included, log)),
        Message::InstallSnapshotReply(_) => (8, BEHIND),
        Message::Confirm(_) => (CONFIRM, BEHIND),
        Message::ConfirmReply(_) => (10, BEHIND),
        Message::ReadIndex => (11, BEHIND),
        Message::ReadIndexReply(_) => (12, BEHIND),
        Message::NotMember(_) => (13, BEHIND),
        Message::FetchEntries(_) => (14, BEHIND),
        Message::FetchEntriesReply(_) => (15, BEHIND),
    }
}

/// A log that ends with this entry, against this one. What was compacted is committed, and taken to be there.
fn against(end: EntryId, log: &LogOutline) -> usize {
    let last = log.last();
    match end.index.cmp(&last.index) {
        Ordering::Less if end.index < log.base().index || log.contains(end) => BEHIND,
        Ordering::Equal if end == last => SAME,
        Ordering::Greater if end.term >= last.term => AHEAD,
        Ordering::Less | Ordering::Equal | Ordering::Greater => CONFLICTING,
    }
}

/// The same where only the index is said.
fn at_index(end: LogIndex, log: &LogOutline) -> usize {
    match end.cmp(&log.last().index) {
        Ordering::Less => BEHIND,
        Ordering::Equal => SAME,
        Ordering::Greater => AHEAD,
    }
}

/// The same of entries, and of the one before them: where both have an entry, they have the same one, or conflict.
fn sent(append: &AppendEntries, log: &LogOutline) -> usize {
    let end = append.entries.last().map_or(append.prev_log, |entry| entry.id);
    let shared = end.index.min(log.last().index);
    let place = shared.get().checked_sub(append.prev_log.index.get() + 1);
    let entry = place.and_then(|place| append.entries.get(usize::try_from(place).ok()?));
    match entry {
        Some(entry) if against(entry.id, log) == CONFLICTING => CONFLICTING,
        Some(_) => at_index(end.index, log),
        None if append.prev_log == log.last() && !append.entries.is_empty() => AHEAD,
        None => against(append.prev_log, log),
    }
}

fn phase(raft: &Raft) -> usize {
    let Configuration { voters, learners, next } = &raft.configuration().configuration;
    let votes = voters.iter().any(|voter| voter.id == raft.id());
    match next {
        Some(next) if next.joint => 2,
        None if learners.is_empty() && votes => 0,
        Some(_) | None => 1,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use raft_core::{
        ClusterId, Config, Confirm, ConfirmReply, Entry, FetchEntries, GroupId, Incarnation, Input, Member,
        Next, NodeId, Payload, PreVote, PreVoteReply, ReadIndexReply, RequestVote, RequestVoteReply,
        Restored, Session, Term, Time,
    };

    use super::*;

    fn id(term: u64, index: u64) -> EntryId {
        EntryId::new(Term::new(term), LogIndex::new(index))
    }

    /// 31 ways in which kinds speak of logs, of three terms, in three phases and four roles; without what two leaders of
    /// one term would say (30), and what nobody can know of a leader's last entry (36).
    #[test]
    fn the_table_has_what_is_possible_and_each_cell_once() {
        assert_eq!(CELLS, 31 * 3 * 3 * 4 - 30 - 36);
        let places: Vec<_> = Cell::all().map(Cell::place).collect();
        assert_eq!(places, (0..CELLS).collect::<Vec<_>>());
    }

    /// The log has entries 1 and 2 of term 1 and entry 3 of term 3. Each row: a message, and what it says against that.
    #[test]
    fn a_message_is_known_by_its_kind_and_by_what_it_says_of_a_log() {
        let mut log = LogOutline::default();
        assert!([id(1, 1), id(1, 2), id(3, 3)].into_iter().all(|id| log.append(id)));
        let vote = |last_log| Message::RequestVote(RequestVote { last_log, told_by_leader: false });
        let append = |prev_log, entries: &[EntryId]| {
            let entries: Vec<_> = entries.iter().map(|id| Entry::new(*id, Payload::Noop)).collect();
            Message::AppendEntries(AppendEntries {
                prev_log,
                entries: entries.into(),
                leader_commit: LogIndex::ZERO,
            })
        };
        let accepted = |index| AppendEntriesReply::Accepted { match_index: LogIndex::new(index) };
        let rejected = |hint| AppendEntriesReply::Rejected { refused: hint, hint };
        let granted = PreVoteReply { vote_granted: true, suspect: false };
        for (message, says) in [
            (vote(id(1, 2)), BEHIND),
            (vote(id(3, 3)), SAME),
            (vote(id(3, 4)), AHEAD),
            (vote(id(2, 4)), CONFLICTING),
            (vote(id(2, 3)), CONFLICTING),
            (vote(id(2, 2)), CONFLICTING),
            (Message::PreVote(PreVote { last_log: id(3, 3) }), SAME),
            (append(id(1, 1), &[]), BEHIND),
            (append(id(1, 1), &[id(1, 2)]), BEHIND),
            (append(id(1, 2), &[id(3, 3)]), SAME),
            (append(id(3, 3), &[]), SAME),
            (append(id(3, 3), &[id(3, 4)]), AHEAD),
            (append(id(1, 1), &[id(1, 2), id(3, 3), id(4, 4)]), AHEAD),
            (append(id(3, 9), &[id(3, 10)]), AHEAD),
            (append(id(2, 3), &[id(2, 4)]), CONFLICTING),
            (append(id(1, 1), &[id(1, 2), id(4, 3)]), CONFLICTING),
            (append(id(1, 2), &[id(4, 3), id(4, 4)]), CONFLICTING),
            (Message::AppendEntriesReply(accepted(2)), BEHIND),
            (Message::AppendEntriesReply(accepted(3)), SAME),
            (Message::AppendEntriesReply(rejected(id(2, 2))), CONFLICTING),
            (Message::PreVoteReply(granted), BEHIND),
            (Message::RequestVoteReply(RequestVoteReply { vote_granted: true, suspect: false }), BEHIND),
            (Message::TimeoutNow, BEHIND),
            (Message::Confirm(Confirm { round: 1 }), BEHIND),
            (Message::ConfirmReply(ConfirmReply { round: 1 }), BEHIND),
            (Message::ReadIndex, BEHIND),
            (Message::ReadIndexReply(ReadIndexReply { read_index: None }), BEHIND),
            (Message::FetchEntries(FetchEntries { ids: Vec::new() }), BEHIND),
        ] {
            let (kind, log) = said(&message, &log);
            assert_eq!((KINDS[kind].0, LOGS[log]), (message.kind(), LOGS[says]), "{message:?}");
            assert!(KINDS[kind].1 || log == BEHIND);
        }
    }

    /// A server that starts in term 2, and then leads in term 3 with one other voter, a learner, or a change under way.
    #[test]
    fn a_cell_is_what_the_server_is_before_it_takes_the_message_in() {
        let member = |id| Member::from(NodeId::new(id));
        let alone = Configuration::of([member(1)]);
        let changing = |joint| Configuration {
            next: Some(Next { voters: vec![member(1)], learners: Vec::new(), joint }),
            ..alone.clone()
        };
        let elsewhere = Configuration::of([member(2)]);
        for (configuration, phase) in [
            (alone.clone(), "stable"),
            (alone.clone().with_learners([member(2)]), "learners"),
            (elsewhere, "learners"),
            (changing(false), "learners"),
            (changing(true), "joint"),
        ] {
            let mut config = Config::new(NodeId::new(1), Vec::new());
            config.bootstrap = Some(configuration);
            let mut restored = Restored::default();
            restored.hard_state.current_term = Term::new(2);
            let mut raft = Raft::new(config, restored, Time::ZERO).unwrap();
            let envelope = |term, message| Envelope {
                cluster: ClusterId(0),
                group: GroupId(0),
                from: NodeId::new(2),
                incarnation: Incarnation::default(),
                to: NodeId::new(1),
                term: Term::new(term),
                session: Session(1),
                message,
            };
            let cell = |raft: &Raft, term, message| {
                Cell::of(raft, &envelope(term, message)).map(|cell| cell.to_string())
            };
            let named = |words: &str| Some(format!("{words} {phase}"));
            for (term, name) in [(1, "lower"), (2, "equal"), (3, "higher")] {
                assert_eq!(
                    cell(&raft, term, Message::TimeoutNow),
                    named(&format!("follower timeout-now {name}"))
                );
            }
            if phase != "stable" {
                continue;
            }
            raft.step(Time::ZERO.after(Duration::from_secs(9)), Input::Tick);
            while raft.role() != RoleName::Leader {
                let write = raft.take_effects().write.expect("it votes for itself");
                raft.step(Time::ZERO, Input::Persisted(write.token));
            }
            let vote = |last_log| Message::RequestVote(RequestVote { last_log, told_by_leader: false });
            assert_eq!(cell(&raft, 3, vote(EntryId::ZERO)), named("leader vote equal behind"));
            assert_eq!(cell(&raft, 4, vote(raft.last_log())), named("leader vote higher same"));
            // Neither of these is possible.
            assert_eq!(cell(&raft, 3, vote(raft.last_log())), None);
            assert_eq!(cell(&raft, 3, Message::TimeoutNow), None);
        }
    }
}
