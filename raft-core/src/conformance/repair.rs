//! Repair from peers, and what a disk that has lost something means for votes and acknowledgements (FAST'18).

use super::{Action, Judged, Step};
use crate::event::RoleName;
use crate::types::{EntryId, LogIndex, Term};

impl Step<'_> {
    /// The disk no longer has an entry.
    pub(super) fn lose(&mut self, id: EntryId) -> Judged {
        self.action = Action::Repair;
        self.needs_entry(id)?;
        self.server.damaged.insert(id);
        Ok(())
    }

    /// It has it again.
    pub(super) fn repair(&mut self, id: EntryId) -> Judged {
        self.action = Action::Repair;
        let lost = self.server.damaged.remove(&id);
        self.needs(lost, || format!("has {id} again, which it had not lost"))
    }

    /// What nobody has goes, with all that follows it.
    pub(super) fn drop_lost(&mut self, from: EntryId, last: EntryId) -> Judged {
        self.action = Action::Repair;
        let state = self.server.state;
        self.needs(!self.is_a(RoleName::Leader), || format!("drops {from} as a {state}"))?;
        self.needs_entry(from)?;
        let damaged = self.server.damaged.contains(&from);
        self.needs(damaged, || format!("drops {from}, which its disk has not lost"))?;
        let committed = self.server.commit_index;
        self.needs(from.index > committed, || format!("drops {from}, and has committed {committed}"))?;
        let everywhere = self.history.is_committed(from);
        self.needs(!everywhere, || format!("drops {from}, which is committed"))?;
        self.remove(from.index, last)
    }

    /// A leader has committed something of its term that this server has.
    pub(super) fn trust_tail(&mut self) -> Judged {
        self.action = Action::Repair;
        let of_term = self.history.at(self.server.log, self.server.commit_index).map(|id| id.term);
        let (state, current) = (self.server.state, self.server.current_term);
        let leads = self.is_a(RoleName::Leader);
        self.needs(leads || of_term == Some(current), || {
            format!("trusts its log as a {state} before it knows of anything committed in {current}")
        })?;
        self.server.suspect = false;
        Ok(())
    }

    /// Who has lost entries that no snapshot stands for gives no vote.
    pub(super) fn needs_sound_log(&self) -> Judged {
        let damaged = self.damaged().find(|id| id.index > self.history.compacted);
        self.needs(damaged.is_none(), || format!("votes, and its disk has lost {damaged:?}"))
    }

    /// Up to before what the disk has lost.
    pub(super) fn sound(&self, index: LogIndex) -> LogIndex {
        self.damaged().map(|id| id.index.prev()).fold(index, LogIndex::min)
    }

    /// A vote of a server whose log may have been longer is marked; so is a pre-vote, which it may give again without.
    pub(super) fn mark_vote(&mut self, term: Term, pre_vote: bool) {
        let mark = (term, self.who(), pre_vote);
        if self.server.suspect {
            self.said.marked.insert(mark);
        } else {
            self.said.marked.remove(&mark);
        }
    }

    fn damaged(&self) -> impl Iterator<Item = EntryId> {
        self.server.damaged.iter().copied().filter(|&id| self.history.contains(self.server.log, id))
    }
}
