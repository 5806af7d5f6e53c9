//! Membership changes in a network.

use raft_core::{ChangeError, Configuration, Configured, EntryId, Input, NodeId, Raft};

use super::Servers;
use crate::judges::Wrong;

impl Servers<'_> {
    /// A server is asked to change the membership to one of 27, or to give that up: each server votes, learns, or does
    /// neither.
    pub(super) fn change(&mut self, id: NodeId, to: usize) -> Result<(), Wrong> {
        let part = |place: usize| to / 3_usize.pow(u32::try_from(place).expect("of three")) % 3;
        let of = |wanted: usize| (0..3).filter(move |&place| part(place) == wanted);
        let ids = |wanted| of(wanted).map(|place| self.voters[place]).collect::<Vec<_>>();
        let (voters, learners) = (ids(0), ids(1));
        self.ask_for_change(id, |raft| {
            let from = raft.configuration().at;
            if to == 27 { raft.abandon_change() } else { raft.change_membership(from, voters, learners) }
        })
    }

    /// Everybody is to vote in the end.
    pub(super) fn let_all_vote(&mut self, id: NodeId) -> Result<(), Wrong> {
        let all = self.voters.clone();
        self.ask_for_change(id, |raft| {
            let Configured { at, configuration } = raft.configuration().clone();
            let waits = configuration
                .next
                .is_some_and(|next| !next.joint && next.voters != Configuration::of(all.clone()).voters);
            if waits { raft.abandon_change() } else { raft.change_membership(at, all, Vec::<NodeId>::new()) }
        })
    }

    fn ask_for_change(
        &mut self,
        id: NodeId,
        ask: impl FnOnce(&mut Raft) -> Result<EntryId, ChangeError>,
    ) -> Result<(), Wrong> {
        if let Some(raft) = &mut self.server(id).raft {
            let last = raft.last_log();
            let begun = ask(raft).is_ok();
            let appended = raft.last_log() != last;
            assert!(
                begun == appended || self.config.planted.is_some(),
                "what is refused leaves nothing in the log"
            );
            self.sights.changes += usize::from(begun);
        }
        self.step(id, Input::Tick)
    }
}
