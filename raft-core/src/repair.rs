//! Repair from peers (protocol-aware recovery, Alagappan et al., FAST'18): what a server does whose disk no longer has
//! what it acknowledged.
//!
//! Two things can be known of such a disk, and neither is hidden from the others:
//!
//! - An entry of the log is *damaged*: its name is certain, its bytes are gone. By Log Matching (§5.3) any server that has
//!   an entry of that name has the same one, so whoever has it may send it, leader or not. Until then the server gives no
//!   vote, asks for none, and acknowledges nothing from there on; a leader gives way after an election timeout.
//! - The *tail* is suspect: the log may have been longer. The server takes part, but its vote counts only where every
//!   voter gives one, and its acknowledgements only in a conversation that began since: so none of them is counted
//!   that it gave before and no longer stands by. It has caught up with what a leader has committed in that
//!   conversation and in its own term.
//!
//! An entry that is not committed may be lost for good, and is dropped. It cannot be committed any more where all others
//! lack it: a majority that had committed it would have it still, and the leader that made it no longer leads its term, or
//! it would have it. Nor where any other has an entry of a later term in its place, if this server has acknowledged
//! nothing since that term: the leader of that term had all that was committed.

use std::hash::{Hash, Hasher};

use crate::configuration::Configuration;
use crate::disk::acknowledges;
use crate::effects::Violation;
use crate::entries::Entries;
use crate::entry::Entry;
use crate::event::Event;
use crate::log::{Found, Log};
use crate::message::{AppendEntriesReply, FetchEntries, FetchEntriesReply, Lacking, Message};
use crate::planted::planted;
use crate::rules::NUMBER_MAX;
use crate::snapshot::Load;
use crate::state::{Raft, Role, Sender};
use crate::types::{EntryId, LogIndex, NodeId, Session, Term, Time};

/// At most so many entries are asked for at once.
pub(crate) const FETCH_MAX: usize = 64;

/// What is amiss with a server's log on disk, and what others want of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Repairs {
    /// The entries whose bytes on disk are bad, in order.
    damaged: Vec<EntryId>,
    /// When the first of them was found; 0 if there is none.
    since: Time,
    /// Sound ones in their places, which the disk has not been given yet.
    mended: Vec<Entry>,
    /// What is committed up to here is in the snapshot of another server, and nobody may have it as entries.
    covered: LogIndex,
    /// The last term in which this server followed a leader, or may have before it started.
    acknowledged: Term,
    /// Whether the log may have been longer.
    suspect: bool,
    /// Whether the disk is to be told that it is not so any more.
    trusts: bool,
    /// The conversation with a leader in which acknowledgements count again; none where they all do.
    anew: Option<Anew>,
    question: Option<Question>,
    wanted: Vec<Wanted>,
}

/// A conversation that begins anew; with each leader another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Anew {
    term: Term,
    session: Session,
}

/// What all others are asked.
#[derive(Clone, Debug)]
struct Question {
    session: Session,
    /// The first entry that is asked for.
    first: EntryId,
    /// When it is asked again.
    again_at: Time,
    /// Who has said that it lacks that one; sorted.
    lack_it: Vec<NodeId>,
}

/// What another server asks for.
#[derive(Clone, Debug)]
struct Wanted {
    by: NodeId,
    session: Session,
    ids: Vec<EntryId>,
}

impl Repairs {
    /// That of a server that starts in this term; with a conversation to begin if its log may have been longer.
    pub(crate) fn restored(term: Term, suspect: Option<Session>) -> Self {
        let anew = suspect.map(|session| Anew { term, session });
        Self { acknowledged: term, suspect: suspect.is_some(), anew, ..Self::default() }
    }

    /// The server follows the leader of this term.
    pub(crate) const fn follows(&mut self, term: Term) {
        self.acknowledged = term;
    }

    /// The first entry of the log, from `from` on, that is damaged.
    pub(crate) fn first_from(&self, from: LogIndex, log: &Log) -> Option<LogIndex> {
        let of_log = |id: &&EntryId| id.index >= from && id.index > log.base().index && log.contains(**id);
        self.damaged.iter().find(of_log).map(|id| id.index)
    }

    /// Up to where all of the log up to `to` is on disk, where what is on its way there counts for nothing.
    fn written_to(&self, to: LogIndex, log: &Log) -> LogIndex {
        let sound = self.sound_to(LogIndex::ZERO, to, log);
        self.mended.iter().map(|entry| entry.id.index.prev()).fold(sound, LogIndex::min)
    }

    /// How far the log can be read from `from` on, up to `to`; before `from` if that one is damaged.
    pub(crate) fn sound_to(&self, from: LogIndex, to: LogIndex, log: &Log) -> LogIndex {
        self.first_from(from, log).map_or(to, |damaged| to.min(damaged.prev()))
    }

    /// A reign began: there is an election timeout to get what is damaged.
    pub(crate) const fn reign_began(&mut self, now: Time) {
        self.since = now;
    }

    /// The entry at `from` and all that follow it left the log.
    pub(crate) fn truncate(&mut self, from: LogIndex) {
        self.damaged.retain(|id| id.index < from);
        self.mended.retain(|entry| entry.id.index < from);
    }

    pub(crate) const fn is_suspect(&self) -> bool {
        self.suspect
    }

    /// When the first of the damaged entries was found.
    pub(crate) fn damaged_since(&self) -> Option<Time> {
        (!self.damaged.is_empty()).then_some(self.since)
    }

    pub(crate) const fn has_ungiven(&self) -> bool {
        !self.mended.is_empty() || self.trusts
    }

    /// What takes the places of damaged entries, and whether the end of the log counts again.
    pub(crate) fn take_ungiven(&mut self) -> (Vec<Entry>, bool) {
        (std::mem::take(&mut self.mended), std::mem::take(&mut self.trusts))
    }

    /// When somebody has to be asked again.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.question.as_ref().filter(|_| !self.damaged.is_empty()).map(|question| question.again_at)
    }

    /// Feeds what a fingerprint needs, where there is anything.
    pub(crate) fn hash_state(&self, name: &dyn Fn(NodeId) -> NodeId, hasher: &mut impl Hasher) {
        if self.suspect || !self.damaged.is_empty() || self.has_ungiven() {
            (&self.damaged, self.suspect, self.trusts).hash(hasher);
            self.mended.iter().for_each(|entry| entry.id.hash(hasher));
        }
        if let Some(Question { first, lack_it, .. }) = &self.question {
            let mut lack_it: Vec<_> = lack_it.iter().map(|&id| name(id)).collect();
            lack_it.sort_unstable();
            (first, lack_it).hash(hasher);
        }
        self.wanted.iter().for_each(|wanted| (name(wanted.by), &wanted.ids).hash(hasher));
    }
}

impl Raft {
    /// How many entries of the log are known to be damaged on disk, and not repaired yet.
    pub const fn damaged(&self) -> usize {
        self.repairs.damaged.len()
    }

    /// Whether the end of the log may have been lost, and this server has not caught up since.
    pub const fn is_suspect(&self) -> bool {
        self.repairs.is_suspect()
    }

    /// The first entry that is damaged.
    fn first_damaged(&self) -> Option<LogIndex> {
        self.repairs.first_from(LogIndex::ZERO, &self.log)
    }

    /// Whether an entry up to this one is damaged.
    pub(crate) fn has_lost_up_to(&self, index: LogIndex) -> bool {
        self.first_damaged().is_some_and(|first| first <= index)
    }

    /// Up to where this server can say that it has its log on disk.
    pub(crate) fn sound_durable(&self) -> LogIndex {
        let durable = self.disk.durable().last.index;
        if planted!(self, DamageAcknowledged) {
            return durable;
        }
        self.disk.repaired_to(self.repairs.written_to(durable, &self.log))
    }

    /// These entries of the log cannot be read.
    pub(crate) fn found_damaged(&mut self, indexes: impl IntoIterator<Item = LogIndex>) {
        let base = self.log.base().index;
        let ids = indexes.into_iter().filter(|&index| index > base).filter_map(|index| self.log.id_at(index));
        let found: Vec<_> = ids.filter(|id| self.repairs.damaged.binary_search(id).is_err()).collect();
        let Some(&first) = found.first() else { return };
        if self.repairs.damaged.is_empty() {
            self.repairs.since = self.now;
        }
        self.counts.entries_damaged += found.len() as u64;
        if self.config.observe {
            self.events.extend(found.iter().map(|&id| Event::Damaged { id }));
        }
        self.repairs.damaged.extend(found);
        self.repairs.damaged.sort_unstable();
        self.repairs.anew = Some(Anew { term: self.current_term, session: Session(self.rng.next_u64()) });
        self.disk.drop_acknowledgements(first.index);
        self.outbox.retain(|envelope| !acknowledges(envelope, first.index));
        // Where the state machine has it, a snapshot may stand for it.
        if first.index <= self.last_applied {
            self.ask_for_snapshot();
        }
        if let Role::Leader { sits_until, .. } = &mut self.role {
            *sits_until = Time::ZERO;
        }
    }

    /// Takes the places of damaged entries with those of the same name. Whoever sends it: the name says what it is.
    pub(crate) fn mend(&mut self, entries: &[Entry]) {
        if self.repairs.damaged.is_empty() {
            return;
        }
        for entry in entries {
            let Ok(place) = self.repairs.damaged.binary_search(&entry.id) else { continue };
            if self.log.contains(entry.id) && entry.is_intact() {
                self.repairs.damaged.remove(place);
                self.repairs.mended.push(entry.clone());
                self.counts.entries_repaired += 1;
                self.observe(|| Event::Repaired { id: entry.id });
            }
        }
    }

    /// Whether this server has lost what another one may have to send it before it votes or leads. What a snapshot of
    /// another stands for it can have only from a leader, and so one has to be elected.
    pub(crate) fn lacks_entries(&self) -> bool {
        self.repairs.first_from(self.repairs.covered.next(), &self.log).is_some()
    }

    /// What a follower may say to its leader, in this conversation, of what it has taken in.
    pub(crate) fn answer_to_leader(
        &mut self,
        session: Session,
        reply: AppendEntriesReply,
    ) -> AppendEntriesReply {
        if planted!(self, DamageAcknowledged) {
            return reply;
        }
        if let Some(anew) = &mut self.repairs.anew
            && anew.term != self.current_term
        {
            *anew = Anew { term: self.current_term, session: Session(self.rng.next_u64()) };
        }
        match (self.repairs.anew, reply) {
            (Some(anew), _) if anew.session != session => {
                let from = self.first_damaged().unwrap_or(self.log.last().index.next());
                AppendEntriesReply::Lost { from, session: anew.session }
            }
            (_, AppendEntriesReply::Accepted { match_index }) => {
                let match_index = self.repairs.sound_to(LogIndex::ZERO, match_index, &self.log);
                AppendEntriesReply::Accepted { match_index }
            }
            (_, reply @ (AppendEntriesReply::Rejected { .. } | AppendEntriesReply::Lost { .. })) => reply,
        }
    }

    /// A leader has committed this much, in this conversation. Of its own term, it is past all that this server
    /// can have acknowledged to it or to any leader before it.
    pub(crate) fn catch_up(&mut self, session: Session, leader_commit: LogIndex) {
        let in_term = self.log.id_at(leader_commit).is_some_and(|id| id.term == self.current_term);
        if self.repairs.suspect
            && self.repairs.anew == Some(Anew { term: self.current_term, session })
            && in_term
            && self.commit_index >= leader_commit
        {
            self.trust_tail();
        }
    }

    /// Nothing is missing at the end of the log that counts.
    pub(crate) fn trust_tail(&mut self) {
        if self.repairs.suspect {
            (self.repairs.suspect, self.repairs.trusts) = (false, true);
            self.observe(|| Event::TailTrusted);
        }
    }

    /// Whoever lacks something asks for it; whoever is asked answers.
    pub(crate) fn repair(&mut self) {
        self.answer_fetches();
        let Repairs { damaged, .. } = &mut self.repairs;
        damaged.retain(|id| id.index > self.log.base().index && self.log.contains(*id));
        let Some(&first) = self.repairs.damaged.first() else {
            self.repairs.question = None;
            if !self.repairs.suspect {
                self.repairs.anew = None;
            }
            return;
        };
        self.let_snapshot_stand(first);
        let others = self.all_concerned();
        let is_alone = others.is_empty() && self.own_votes().any();
        if is_alone && first.index > self.last_applied {
            self.violate(Violation::EntryLost { id: first });
            return;
        }
        let asked = self.repairs.question.as_ref().is_some_and(|question| question.first == first);
        if !asked {
            let session = Session(self.rng.next_u64());
            self.repairs.question =
                Some(Question { session, first, again_at: self.now, lack_it: Vec::new() });
        }
        let (now, again) = (self.now, self.config.heartbeat);
        let Some(question) = self.repairs.question.as_mut().filter(|question| now >= question.again_at)
        else {
            return;
        };
        question.again_at = now.after(again);
        let session = question.session;
        let ids: Vec<_> = self.repairs.damaged.iter().take(FETCH_MAX).copied().collect();
        for other in others {
            self.send(other, session, Message::FetchEntries(FetchEntries { ids: ids.clone() }));
        }
    }

    /// What a whole snapshot stands for is not needed any more.
    fn let_snapshot_stand(&mut self, first: EntryId) {
        let last_included = self.snapshots.last_included().index;
        if first.index > last_included {
            return;
        }
        let covered = self.repairs.damaged.iter().take_while(|id| id.index <= last_included);
        if let Some(&base) = covered.last() {
            self.compact_to(base);
            self.repairs.damaged.retain(|id| id.index > base.index);
        }
    }

    /// All others that take part in a configuration that may count.
    fn all_concerned(&self) -> Vec<NodeId> {
        let configurations = self.configurations.since(self.commit_index);
        let mut all: Vec<_> = configurations.flat_map(Configuration::members).collect();
        all.sort_unstable();
        all.dedup();
        all.retain(|&server| server != self.config.id);
        all
    }

    /// Somebody lacks entries.
    pub(crate) fn handle_fetch_entries(&mut self, from: NodeId, session: Session, args: FetchEntries) {
        self.repairs.wanted.retain(|wanted| wanted.by != from);
        self.repairs.wanted.push(Wanted { by: from, session, ids: args.ids });
    }

    /// Answers with what is in memory, and has the rest read.
    fn answer_fetches(&mut self) {
        for Wanted { by, session, ids } in std::mem::take(&mut self.repairs.wanted) {
            let (mut entries, mut lacking, mut on_disk) = (Vec::new(), Vec::new(), Vec::new());
            let (mut bytes, mut compacted) = (0, false);
            for id in ids {
                if id.index <= self.log.base().index {
                    compacted = true;
                    continue;
                }
                if !self.log.contains(id) {
                    let here = self.log.id_at(id.index).map(|here| here.term);
                    let superseded = here.filter(|here| *here > id.term);
                    if superseded.is_some() || self.may_say_what_it_lacks() {
                        lacking.push(Lacking { id, superseded });
                    }
                    continue;
                }
                if self.repairs.damaged.binary_search(&id).is_ok() {
                    continue;
                }
                match self.log.entries(id.index, id.index, 0) {
                    Found::Here(found) if bytes < self.config.append_bytes_max => {
                        bytes += found.payload_bytes();
                        entries.extend_from_slice(&found);
                    }
                    Found::Here(_) => {}
                    Found::OnDisk { to } => {
                        self.loads.ask(Load::Entries { from: id.index, to, bytes_max: 0 });
                        on_disk.push(id);
                    }
                }
            }
            if !entries.is_empty() || !lacking.is_empty() || compacted {
                self.counts.entries_lent += entries.len() as u64;
                let base = self.log.base();
                let reply = FetchEntriesReply { entries: Entries::from(entries), lacking, base };
                self.send(by, session, Message::FetchEntriesReply(reply));
            }
            if !on_disk.is_empty() {
                self.repairs.wanted.push(Wanted { by, session, ids: on_disk });
            }
        }
    }

    /// Whether an entry that is not in this server's log was never there while it could be committed.
    fn may_say_what_it_lacks(&self) -> bool {
        !self.repairs.suspect && !self.is_wiped()
    }

    /// Others have sent what was asked for, or lack it too.
    pub(crate) fn handle_fetch_entries_reply(
        &mut self,
        from: Sender,
        session: Session,
        reply: &FetchEntriesReply,
    ) {
        self.mend(&reply.entries);
        self.repairs.covered = self.repairs.covered.max(reply.base.index);
        let Some(question) = &mut self.repairs.question else { return };
        let first = question.first;
        let Some(lacking) = reply.lacking.iter().find(|lacking| lacking.id == first) else { return };
        if let Err(place) = question.lack_it.binary_search(&from.id)
            && question.session == session
        {
            question.lack_it.insert(place, from.id);
        }
        let lost = lacking.superseded.is_some_and(|by| by >= self.repairs.acknowledged)
            || self.all_others_lack(first);
        if lost && self.may_drop(first) {
            self.drop_lost(first);
        }
    }

    /// Whether all others lack an entry that this server could not have committed alone.
    fn all_others_lack(&self, id: EntryId) -> bool {
        let Some(question) = self.repairs.question.as_ref().filter(|question| question.first == id) else {
            return false;
        };
        let mut configurations = self.configurations.since(self.commit_index);
        let needs_others = configurations.all(|configuration| {
            configuration.electorates().all(|voters| voters.iter().any(|voter| voter.id != self.config.id))
        });
        let mut others = self.all_concerned().into_iter();
        needs_others && others.all(|other| question.lack_it.binary_search(&other).is_ok())
    }

    /// A leader drops nothing, and nobody what is committed.
    fn may_drop(&self, id: EntryId) -> bool {
        let leads = matches!(self.role, Role::Leader { .. });
        let damaged = self.repairs.damaged.contains(&id) && self.log.contains(id);
        damaged && !leads && id.index > self.commit_index
    }

    fn drop_lost(&mut self, from: EntryId) {
        self.counts.entries_dropped += self.log.last().index.get() - from.index.prev().get();
        self.remove(from.index, |last| Event::Dropped { from, last });
    }
}

/// Whether a server can have said so.
pub(crate) fn is_well_formed(reply: &FetchEntriesReply) -> bool {
    reply.lacking.len() <= FETCH_MAX && reply.base.index.get() <= NUMBER_MAX
}
