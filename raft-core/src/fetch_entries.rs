//! Entries that a server's disk has lost, fetched from whoever has them: both sides (Alagappan et al., FAST'18).
//!
//! An entry that is not committed may be lost for good, and is dropped. It cannot be committed any more where all others
//! lack it, and lack it still when they are asked once more after the last of them has said so. Whoever was a leader
//! when this server acknowledged the entry to it had it, and kept it while it led: it said that it lacks it, and so its
//! reign was over before the second question. Where it had counted this server by then, the others of that
//! majority had the entry on disk by then, would have it still, and would say so. To ask once is not enough: one may
//! get the entry after it was asked, and acknowledge it, and the leader may lose its own before it is asked.
//!
//! Nor can it be committed where any other has an entry of a later term in its place, if this server has acknowledged
//! nothing since that term: the leader of that term had all that was committed.

use std::hash::{Hash, Hasher};

use crate::entries::Entries;
use crate::entry::Entry;
use crate::event::Event;
use crate::log::Found;
use crate::message::{FetchEntries, FetchEntriesReply, Lacking, Message};
use crate::rules::NUMBER_MAX;
use crate::snapshot::Load;
use crate::state::{Raft, Role, Sender};
use crate::types::{EntryId, LogIndex, NodeId, Session, Time};

/// At most so many entries are asked for at once, and so many servers are answered.
pub(crate) const FETCH_MAX: usize = 64;

/// What a server asks others for, and what they ask it for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fetching {
    question: Option<Question>,
    wanted: Vec<Wanted>,
}

/// What all others are asked.
#[derive(Clone, Debug)]
struct Question {
    session: Session,
    /// The first entry that is asked for.
    first: EntryId,
    /// When it is asked again.
    again_at: Time,
    /// Who has said in this session that it lacks that one; sorted.
    lack_it: Vec<NodeId>,
    /// Whether all others had said so before it was asked in this session.
    once_more: bool,
}

/// What another server asks for.
#[derive(Clone, Debug)]
struct Wanted {
    by: NodeId,
    session: Session,
    ids: Vec<EntryId>,
}

/// What a server can say of an entry that another one lacks.
enum Held {
    Here(Entries),
    OnDisk {
        to: LogIndex,
    },
    /// A snapshot stands for what is committed there.
    Compacted,
    Lacking(Lacking),
    /// Nothing for certain, or its own is damaged.
    Unknown,
}

impl Fetching {
    /// When others have to be asked again.
    pub(crate) fn again_at(&self) -> Option<Time> {
        self.question.as_ref().map(|question| question.again_at)
    }

    /// Whether nobody asks anybody for anything.
    pub(crate) const fn is_idle(&self) -> bool {
        self.question.is_none() && self.wanted.is_empty()
    }

    /// Somebody asks for this.
    #[cfg(test)]
    pub(crate) fn asked_by(&mut self, by: NodeId, id: EntryId) {
        self.wanted.push(Wanted { by, session: Session(1), ids: vec![id] });
    }

    /// Nothing is lacking any more.
    pub(crate) fn found(&mut self) {
        self.question = None;
    }

    /// Feeds what a fingerprint needs, where there is anything.
    pub(crate) fn hash_state(&self, name: &dyn Fn(NodeId) -> NodeId, hasher: &mut impl Hasher) {
        if let Some(Question { first, lack_it, once_more, .. }) = &self.question {
            let mut lack_it: Vec<_> = lack_it.iter().map(|&id| name(id)).collect();
            lack_it.sort_unstable();
            (first, lack_it, once_more).hash(hasher);
        }
        self.wanted.iter().for_each(|wanted| (name(wanted.by), &wanted.ids).hash(hasher));
    }
}

impl Raft {
    /// Asks all others for what is damaged from `first` on; again with each heartbeat.
    pub(crate) fn fetch(&mut self, first: EntryId, others: &[NodeId]) {
        let (now, again_at) = (self.now, self.now.after(self.config.heartbeat));
        let session = match &mut self.repairs.fetching.question {
            Some(question) if question.first == first && now < question.again_at => return,
            Some(question) if question.first == first => {
                question.again_at = again_at;
                question.session
            }
            question => {
                let session = Session(self.rng.next_u64());
                let lack_it = Vec::new();
                *question = Some(Question { session, first, again_at, lack_it, once_more: false });
                session
            }
        };
        // Where the state machine has it, a snapshot may stand for it.
        if self.repairs.damaged().first().is_some_and(|lost| lost.index <= self.last_applied) {
            self.ask_for_snapshot();
        }
        let wanted = self.repairs.damaged().iter().filter(|id| **id >= first);
        let ids: Vec<_> = wanted.take(FETCH_MAX).copied().collect();
        for &other in others {
            self.send(other, session, Message::FetchEntries(FetchEntries { ids: ids.clone() }));
        }
    }

    /// Receiver implementation. It is answered when effects are taken: some of it may have to be read first.
    pub(crate) fn handle_fetch_entries(&mut self, from: NodeId, session: Session, args: FetchEntries) {
        let wanted = &mut self.repairs.fetching.wanted;
        wanted.retain(|wanted| wanted.by != from);
        wanted.truncate(FETCH_MAX - 1);
        wanted.push(Wanted { by: from, session, ids: args.ids });
    }

    /// Answers with what is in memory, and has the rest read.
    pub(crate) fn answer_fetches(&mut self) {
        for Wanted { by, session, ids } in std::mem::take(&mut self.repairs.fetching.wanted) {
            let (mut entries, mut lacking, mut on_disk) = (Vec::<Entry>::new(), Vec::new(), Vec::new());
            let (mut bytes, mut compacted) = (0, false);
            for id in ids {
                match self.held(id) {
                    Held::Here(found) if bytes < self.config.append_bytes_max => {
                        bytes += found.payload_bytes();
                        entries.extend_from_slice(&found);
                    }
                    Held::OnDisk { to } => {
                        self.loads.ask(Load::Entries { from: id.index, to, bytes_max: 0 });
                        on_disk.push(id);
                    }
                    Held::Compacted => compacted = true,
                    Held::Lacking(what) => lacking.push(what),
                    // What does not fit into this message is asked for again.
                    Held::Here(_) | Held::Unknown => {}
                }
            }
            if !entries.is_empty() || !lacking.is_empty() || compacted {
                self.counts.entries_lent += entries.len() as u64;
                let base = self.log.base();
                let reply = FetchEntriesReply { entries: entries.into(), lacking, base };
                self.send(by, session, Message::FetchEntriesReply(Box::new(reply)));
            }
            if !on_disk.is_empty() {
                self.repairs.fetching.wanted.push(Wanted { by, session, ids: on_disk });
            }
        }
    }

    fn held(&self, id: EntryId) -> Held {
        if id.index <= self.log.base().index {
            return Held::Compacted;
        }
        if !self.log.contains(id) {
            let here = self.log.id_at(id.index).map(|here| here.term);
            let superseded = here.filter(|here| *here > id.term);
            // Who may have lost it, or begun anew, cannot say that it was never there while it could be committed.
            let certain = !self.is_suspect() && !self.is_wiped();
            let lacking = Lacking { id, superseded };
            return if certain { Held::Lacking(lacking) } else { Held::Unknown };
        }
        if self.repairs.damaged().binary_search(&id).is_ok() {
            return Held::Unknown;
        }
        match self.log.entries(id.index, id.index, 0) {
            Found::Here(found) => Held::Here(found),
            Found::OnDisk { to } => Held::OnDisk { to },
        }
    }

    /// Others have sent what was asked for, or lack it too.
    pub(crate) fn handle_fetch_entries_reply(
        &mut self,
        from: Sender,
        session: Session,
        reply: &FetchEntriesReply,
    ) {
        self.mend(&reply.entries);
        self.repairs.cover(reply.base.index);
        let Some(question) = &mut self.repairs.fetching.question else { return };
        let first = question.first;
        let Some(lacking) = reply.lacking.iter().find(|lacking| lacking.id == first) else { return };
        if let Err(place) = question.lack_it.binary_search(&from.id)
            && question.session == session
        {
            question.lack_it.insert(place, from.id);
        }
        let superseded = lacking.superseded.is_some_and(|by| by >= self.repairs.acknowledged());
        if self.may_drop(first) && (superseded || self.all_others_lack_still(first)) {
            self.counts.entries_dropped += self.log.last().index.get() - first.index.prev().get();
            self.remove(first.index, |last| Event::Dropped { from: first, last });
        }
    }

    /// Whether all others lack an entry, and lacked it before. If not before, they are asked once more.
    fn all_others_lack_still(&mut self, id: EntryId) -> bool {
        let all_lack = self.all_others_lack(id);
        let Some(question) = self.repairs.fetching.question.as_mut().filter(|_| all_lack) else {
            return false;
        };
        if question.once_more {
            return true;
        }
        let session = Session(self.rng.next_u64());
        let lack_it = Vec::new();
        *question = Question { session, first: id, again_at: self.now, lack_it, once_more: true };
        false
    }

    /// Whether all others lack an entry that this server could not have committed alone: whoever has it has all
    /// configurations before it, and goes by the last of them or a later one.
    fn all_others_lack(&self, id: EntryId) -> bool {
        let question = self.repairs.fetching.question.as_ref().filter(|question| question.first == id);
        let Some(Question { lack_it, .. }) = question else { return false };
        let mut configurations = self.configurations.since(id.index);
        let needs_others = configurations.all(|configuration| {
            configuration.electorates().any(|voters| voters.iter().any(|voter| voter.id != self.config.id))
        });
        needs_others && self.all_concerned().iter().all(|other| lack_it.binary_search(other).is_ok())
    }

    /// A leader drops nothing, and nobody what is committed.
    fn may_drop(&self, id: EntryId) -> bool {
        let leads = matches!(self.role, Role::Leader { .. });
        let damaged = self.repairs.damaged().contains(&id) && self.log.contains(id);
        damaged && !leads && id.index > self.commit_index
    }
}

/// Whether a server can have said so.
pub(crate) fn is_well_formed(reply: &FetchEntriesReply) -> bool {
    let in_order = reply.entries.is_sorted_by(|before, after| before.id < after.id);
    in_order && reply.lacking.len() <= FETCH_MAX && reply.base.index.get() <= NUMBER_MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fingerprint::{Fnv1a, all_differ, names};
    use crate::types::Term;

    fn id(index: u64) -> EntryId {
        EntryId::new(Term::new(1), LogIndex::new(index))
    }

    fn asks(first: u64, lack_it: &[u64], once_more: bool) -> Fetching {
        let lack_it = lack_it.iter().copied().map(NodeId::new).collect();
        let (session, again_at) = (Session(1), Time::ZERO);
        let question = Some(Question { session, first: id(first), again_at, lack_it, once_more });
        Fetching { question, wanted: Vec::new() }
    }

    fn is_asked(by: u64, index: u64) -> Fetching {
        let mut fetching = Fetching::default();
        fetching.asked_by(NodeId::new(by), id(index));
        fetching
    }

    #[test]
    fn a_fingerprint_tells_what_is_asked_for_and_by_whom() {
        let states = [
            Fetching::default(),
            asks(1, &[], false),
            asks(2, &[], false),
            asks(1, &[2], false),
            asks(1, &[2, 3], false),
            asks(1, &[], true),
            is_asked(2, 1),
            is_asked(3, 1),
            is_asked(2, 2),
        ];
        let feed = |state: &Fetching, name: &dyn Fn(NodeId) -> NodeId, hasher: &mut Fnv1a| {
            state.hash_state(name, hasher);
        };
        let all = names(&states, false, feed);
        let renamed = names(&states, true, feed);
        assert_eq!(
            (all[4], all[6]),
            (renamed[4], renamed[7]),
            "n2 and n3 are the others, and all of them lack it"
        );
        assert!(all_differ(all));
    }
}
