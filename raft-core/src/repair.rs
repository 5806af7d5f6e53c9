//! Repair from peers (protocol-aware recovery, Alagappan et al., FAST'18): what a server does whose disk no longer has
//! what it acknowledged.
//!
//! Two things can be known of such a disk, and neither is hidden from the others:
//!
//! - An entry of the log is *damaged*: its name is certain, its bytes are gone. By Log Matching (§5.3) any server that has
//!   an entry of that name has the same one, so whoever has it may send it, leader or not. Until then the server gives no
//!   vote, asks for none (unless only a snapshot of another has it, which comes from a leader), and acknowledges nothing from there on; a leader gives way after an election timeout.
//! - The *tail* is suspect: the log may have been longer. The server takes part, but its vote counts only where every
//!   voter gives one, and its acknowledgements only in a conversation that began since: so none of them is counted
//!   that it gave before and no longer stands by. It has caught up with what a leader has committed in that
//!   conversation and in its own term.

use std::hash::{Hash, Hasher};

use crate::configuration::Configuration;
use crate::disk::acknowledges;
use crate::effects::Violation;
use crate::entry::Entry;
use crate::event::Event;
use crate::fetch_entries::Fetching;
use crate::log::Log;
use crate::message::AppendEntriesReply;
use crate::planted::planted;
use crate::state::{Raft, Role};
use crate::types::{EntryId, LogIndex, NodeId, Session, Term, Time};

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
    /// The last term in which this server led or followed, or may have before it started.
    acknowledged: Term,
    /// Whether the log may have been longer.
    suspect: bool,
    /// Whether the disk is to be told that it is not so any more.
    trusts: bool,
    /// The conversation with a leader in which acknowledgements count again; none where they all do.
    anew: Option<Anew>,
    /// What this server asks others for, and they it.
    pub(crate) fetching: Fetching,
}

/// A conversation that begins anew; with each leader another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Anew {
    term: Term,
    session: Session,
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
        self.damaged.iter().find(|id| id.index >= from && log.has_entry(**id)).map(|id| id.index)
    }

    /// Up to where all of the log up to `to` is on disk, where what is on its way there counts for nothing.
    fn written_to(&self, to: LogIndex, log: &Log) -> LogIndex {
        let sound = self.sound_to(LogIndex::ZERO, to, log);
        self.mended.iter().map(|entry| entry.id.index.prev()).fold(sound, LogIndex::min)
    }

    /// How far the log can be read from `from` on, up to `to`; before `from` if that one is damaged.
    #[inline]
    pub(crate) fn sound_to(&self, from: LogIndex, to: LogIndex, log: &Log) -> LogIndex {
        if self.damaged.is_empty() {
            return to;
        }
        self.first_from(from, log).map_or(to, |damaged| to.min(damaged.prev()))
    }

    /// The server leads this term: there is an election timeout to get what is damaged.
    pub(crate) const fn leads(&mut self, term: Term, now: Time) {
        (self.acknowledged, self.since) = (term, now);
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
    pub(crate) fn take_ungiven(&mut self, log: &Log) -> (Vec<Entry>, bool) {
        if !self.has_ungiven() {
            return (Vec::new(), false);
        }
        let mut mended = std::mem::take(&mut self.mended);
        mended.retain(|entry| log.has_entry(entry.id));
        (mended, std::mem::take(&mut self.trusts))
    }

    /// Whether nothing is amiss with the disk, as far as anybody knows, and nobody wants anything.
    pub(crate) const fn is_idle(&self) -> bool {
        self.damaged.is_empty() && self.mended.is_empty() && self.anew.is_none() && self.fetching.is_idle()
    }

    /// The damaged entry that others are asked for first: not one that, as far as is known, only a snapshot of another stands
    /// for, as long as there are others. Nobody may be elected to send that one before they are dropped.
    fn first_wanted(&self) -> Option<EntryId> {
        let uncovered = self.damaged.iter().find(|id| id.index > self.covered);
        uncovered.or(self.damaged.first()).copied()
    }

    /// The damaged entries, in order.
    pub(crate) fn damaged(&self) -> &[EntryId] {
        &self.damaged
    }

    /// When others have to be asked again.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.fetching.again_at().filter(|_| !self.damaged.is_empty())
    }

    /// Another server's snapshot stands for all that is committed up to here.
    pub(crate) fn cover(&mut self, index: LogIndex) {
        self.covered = self.covered.max(index);
    }

    /// The last term in which this server may have acknowledged anything.
    pub(crate) const fn acknowledged(&self) -> Term {
        self.acknowledged
    }

    /// Feeds what a fingerprint needs, where there is anything.
    pub(crate) fn hash_state(&self, name: &dyn Fn(NodeId) -> NodeId, hasher: &mut impl Hasher) {
        if self.suspect || !self.damaged.is_empty() || self.has_ungiven() {
            (&self.damaged, self.covered, self.acknowledged).hash(hasher);
            (self.suspect, self.trusts, self.anew.is_some()).hash(hasher);
            self.mended.iter().for_each(|entry| entry.id.hash(hasher));
        }
        self.fetching.hash_state(name, hasher);
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
        let written =
            if self.repairs.is_idle() { durable } else { self.repairs.written_to(durable, &self.log) };
        self.disk.repaired_to(written)
    }

    /// These entries of the log cannot be read.
    pub(crate) fn found_damaged(&mut self, indexes: impl IntoIterator<Item = LogIndex>) {
        // What was truncated and appended anew since it was asked for is in memory.
        let (base, last) = (self.log.base().index, self.log.last_on_disk());
        let on_disk = indexes.into_iter().filter(|&index| index > base && index <= last);
        let ids = on_disk.filter_map(|index| self.log.id_at(index));
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
        if let Role::Leader { sits_until, .. } = &mut self.role {
            *sits_until = Time::ZERO;
        }
    }

    /// Takes the places of damaged entries with those of the same name, in their order. Whoever sends it: the name says what it is.
    pub(crate) fn mend(&mut self, entries: &[Entry]) {
        let mut mended = Vec::new();
        for entry in entries {
            let damaged = self.repairs.damaged.binary_search(&entry.id).is_ok();
            if damaged && self.log.contains(entry.id) && entry.is_intact() {
                self.repairs.mended.push(entry.clone());
                self.counts.entries_repaired += 1;
                self.observe(|| Event::Repaired { id: entry.id });
                mended.push(entry.id);
            }
        }
        if !mended.is_empty() {
            self.repairs.damaged.retain(|id| mended.binary_search(id).is_err());
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
        prev_log: EntryId,
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
        let first = self.first_damaged();
        match (self.repairs.anew, reply) {
            (Some(anew), _) if anew.session != session => {
                let from = first.unwrap_or(self.log.last().index.next());
                AppendEntriesReply::Lost { from, session: anew.session }
            }
            // It is to be sent again: the message that had it was lost, or the leader has only a snapshot of it.
            (_, AppendEntriesReply::Accepted { .. })
                if first.is_some_and(|first| first <= prev_log.index) =>
            {
                let sound = first.map_or(LogIndex::ZERO, LogIndex::prev);
                let hint = self.log.id_at(sound).unwrap_or(self.log.base());
                AppendEntriesReply::Rejected { refused: prev_log, hint }
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
        if !self.repairs.suspect || self.repairs.anew != Some(Anew { term: self.current_term, session }) {
            return;
        }
        let in_term = self.log.id_at(leader_commit).is_some_and(|id| id.term == self.current_term);
        if in_term && self.commit_index >= leader_commit {
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
        self.let_snapshot_stand();
        self.repairs.damaged.retain(|id| self.log.has_entry(*id));
        let Some(first) = self.repairs.first_wanted() else {
            self.repairs.fetching.found();
            if !self.repairs.suspect {
                self.repairs.anew = None;
            }
            return;
        };
        let others = self.all_concerned();
        let is_alone = others.is_empty() && self.own_votes().any();
        if is_alone && first.index > self.last_applied {
            self.violate(Violation::EntryLost { id: first });
            return;
        }
        self.fetch(first, &others);
    }

    /// What a whole snapshot stands for is not needed any more.
    fn let_snapshot_stand(&mut self) {
        let last_included = self.snapshots.last_included().index;
        let stands = |id: &&EntryId| id.index <= last_included && self.log.has_entry(**id);
        if let Some(&last) = self.repairs.damaged.iter().rfind(stands) {
            self.compact_to(last);
        }
    }

    /// All others that take part in a configuration that may count.
    pub(crate) fn all_concerned(&self) -> Vec<NodeId> {
        let configurations = self.configurations.since(self.commit_index);
        let mut all: Vec<_> = configurations.flat_map(Configuration::members).collect();
        all.sort_unstable();
        all.dedup();
        self.all_but_me(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Payload;
    use crate::fingerprint::{Fnv1a, all_differ, names};

    fn id(index: u64) -> EntryId {
        EntryId::new(Term::new(1), LogIndex::new(index))
    }

    fn feed(state: &Repairs, name: &dyn Fn(NodeId) -> NodeId, hasher: &mut Fnv1a) {
        state.hash_state(name, hasher);
    }

    /// Each thing that can be amiss by itself, and all else that matters then.
    #[test]
    fn a_fingerprint_tells_what_is_amiss() {
        let mended =
            |index| Repairs { mended: vec![Entry::new(id(index), Payload::Noop)], ..Repairs::default() };
        let damaged = |index| Repairs { damaged: vec![id(index)], ..Repairs::default() };
        let suspect = || Repairs { suspect: true, ..Repairs::default() };
        let trusts = || Repairs { trusts: true, ..Repairs::default() };
        let later = |repairs| Repairs { acknowledged: Term::new(2), ..repairs };
        let anew = Some(Anew { term: Term::new(1), session: Session(1) });
        let mut is_asked = Repairs::default();
        is_asked.fetching.asked_by(NodeId::new(4), id(1));
        let states = [
            Repairs::default(),
            is_asked,
            damaged(1),
            damaged(2),
            later(damaged(1)),
            Repairs { covered: LogIndex::new(1), ..damaged(1) },
            Repairs { suspect: true, ..damaged(1) },
            Repairs { trusts: true, ..damaged(1) },
            Repairs { anew, ..damaged(1) },
            mended(1),
            mended(2),
            later(mended(1)),
            suspect(),
            later(suspect()),
            trusts(),
            later(trusts()),
        ];
        assert!(all_differ(names(&states, false, feed)));
    }

    /// Where nothing is, what would matter then does not.
    #[test]
    fn servers_whose_disks_are_sound_are_alike() {
        let states = [1, 2].map(|term| Repairs { acknowledged: Term::new(term), ..Repairs::default() });
        assert!(!all_differ(names(&states, false, feed)));
    }
}
