//! ChangeMembership: who makes up a quorum, in which life of its data directory, and how that may change (§6).

use super::said::Who;
use super::{Action, Judged, Step};
use crate::configuration::{Configuration, Configured, Member, Next};
use crate::types::{EntryId, NodeId};

impl Step<'_> {
    /// The configuration that is in force where a log ends with `log`: the last in it, whether committed or not.
    pub(super) fn in_force(&self, log: EntryId) -> (EntryId, &Configuration) {
        self.history.configuration_of(log).unwrap_or((EntryId::ZERO, self.first))
    }

    /// A majority of the voters; in joint consensus one of the old and one of the new ones.
    pub(super) fn is_quorum(&self, counts: impl Fn(&Member) -> bool) -> bool {
        let majority =
            |voters: &[Member]| voters.iter().filter(|voter| counts(voter)).count() * 2 > voters.len();
        let (_, configuration) = self.in_force(self.server.log);
        let joint = configuration.next.as_ref().filter(|next| next.joint);
        majority(&configuration.voters) && joint.is_none_or(|next| majority(&next.voters))
    }

    /// All of those that a majority is needed of.
    pub(super) fn is_all(&self, counts: impl Fn(&Member) -> bool) -> bool {
        let (_, configuration) = self.in_force(self.server.log);
        voting(configuration).all(counts)
    }

    /// Those that a majority is needed of.
    pub(super) fn is_voter(&self, is: impl Fn(&Member) -> bool) -> bool {
        let (_, configuration) = self.in_force(self.server.log);
        voting(configuration).any(is)
    }

    /// Those that a majority is needed of now, or again if what is not known to be committed is rolled back.
    pub(super) fn may_be_voter(&self, is: impl Fn(&Member) -> bool) -> bool {
        let committed = self.history.at(self.server.log, self.server.commit_index).unwrap_or(EntryId::ZERO);
        let (mut at, _) = self.in_force(self.server.log);
        let (first, _) = self.in_force(committed);
        loop {
            let (_, configuration) = self.in_force(at);
            if voting(configuration).any(&is) {
                return true;
            }
            if at.index <= first.index {
                return false;
            }
            (at, _) = self.in_force(self.history.before(at).unwrap_or(EntryId::ZERO));
        }
    }

    /// Whether this server knows to be committed that it votes no more (thesis 4.2.2).
    pub(super) fn is_removed(&self) -> bool {
        let (at, configuration) = self.in_force(self.server.log);
        let over = configuration.next.is_none() && at.index <= self.server.commit_index;
        over && !self.is_voter(|voter| self.is(voter, self.who()))
    }

    /// Those that take part in any way.
    pub(super) fn is_member(&self, is: impl Fn(&Member) -> bool) -> bool {
        let (_, Configuration { voters, learners, next }) = self.in_force(self.server.log);
        let to_be = next.iter().flat_map(|next| next.voters.iter().chain(&next.learners));
        voters.iter().chain(learners).chain(to_be).any(is)
    }

    /// Whether this server, in this life of its data directory, is the one that a configuration names.
    pub(super) fn is(&self, member: &Member, who: Who) -> bool {
        let wiped = self.lives.get(&who.node).map_or(&[][..], Vec::as_slice);
        let right_life = match (member.incarnation, who.life.checked_sub(1)) {
            (None, _) => true,
            (Some(bound), None) => !wiped.contains(&bound),
            (Some(bound), Some(later)) => wiped.get(later) == Some(&bound),
        };
        member.id == who.node && right_life
    }

    /// A server in each of its lives so far.
    pub(super) fn all_lives(&self, node: NodeId) -> impl Iterator<Item = Who> + use<> {
        let wiped = self.lives.get(&node).map_or(0, Vec::len);
        (0..=wiped).map(move |life| Who { node, life })
    }

    /// Another configuration is in force: a leader has made it, or it is the last in the log.
    pub(super) fn configure(&mut self, at: EntryId, configuration: &Configuration) -> Judged {
        self.action = Action::ChangeMembership;
        let is_new = self.needs_leader().is_ok() && at == self.server.log && !self.history.configures(at);
        if is_new {
            self.needs_step(at, configuration)?;
            self.history.configure(at, configuration.clone());
            return Ok(());
        }
        self.needs_in_force(self.server.log, at, configuration)
    }

    pub(super) fn needs_in_force(&self, log: EntryId, at: EntryId, configuration: &Configuration) -> Judged {
        let (here, in_force) = self.in_force(log);
        // Who has joined knows nobody until its log tells.
        let joins = configuration.voters.is_empty() && at == EntryId::ZERO && here == EntryId::ZERO;
        let same = here == at && in_force == configuration || joins;
        self.needs(same, || {
            format!("goes by configuration {configuration} of {at}, and {in_force} of {here} is in force")
        })
    }

    /// What is restored says the same of it as the log does.
    pub(super) fn needs_restored_configurations(&self, restored: &crate::Restored) -> Judged {
        if let Some(snapshot) = &restored.snapshot {
            let Configured { at, configuration } = &snapshot.configured;
            self.needs_in_force(snapshot.id.last_included, *at, configuration)?;
        }
        for Configured { at, configuration } in &restored.configurations {
            self.needs_in_force(*at, *at, configuration)?;
        }
        let (at, _) = self.in_force(restored.log.last());
        let is_last = restored.configurations.last().is_some_and(|last| last.at == at);
        let lies_before = at.index <= restored.log.base().index;
        self.needs(is_last || lies_before, || format!("starts without the configuration of {at}"))
    }

    /// A leader takes one step at a time, and each only when the last one is committed, and something of its own
    /// term (Ongaro 2015).
    fn needs_step(&self, at: EntryId, configuration: &Configuration) -> Judged {
        let before = self.history.before(at).unwrap_or(EntryId::ZERO);
        let (last, from) = self.in_force(before);
        let committed = self.server.commit_index;
        self.needs(last.index <= committed, || {
            format!("changes to {configuration} after {last}, and has committed {committed}")
        })?;
        let term = self.history.at(self.server.log, committed).map(|id| id.term);
        self.needs(term == Some(self.server.current_term), || {
            format!("changes to {configuration}, and has committed nothing of its term yet")
        })?;
        self.needs(follows(from, configuration), || {
            format!("changes from {from} to {configuration} in one step")
        })?;
        let behind = self.behind(last, from, configuration);
        self.needs(behind.is_none(), || {
            format!("changes to {configuration}, and {behind:?} has not said that it has {last}")
        })
    }

    /// Whoever is to vote in joint consensus and did not in the configuration before, which was announced with `last`, and is
    /// not known to have that (thesis 4.2.1). Whom a leader asks is a member then, so that it may count what it says.
    fn behind(&self, last: EntryId, from: &Configuration, to: &Configuration) -> Option<NodeId> {
        let joint = to.next.iter().filter(|next| next.joint && from.next.is_some());
        let mut new = joint.flat_map(|next| &next.voters).filter(|voter| !from.voters.contains(voter));
        let has = |voter: &Member| {
            let mut known = self.server.match_index.iter().filter(|(_, index)| **index >= last.index);
            voter.id == self.node || known.any(|(&who, _)| self.is(voter, who))
        };
        new.find(|voter| !has(voter)).map(|voter| voter.id)
    }
}

/// Those that a majority is needed of: the voters, and in joint consensus those to be.
fn voting(configuration: &Configuration) -> impl Iterator<Item = &Member> {
    let joint = configuration.next.iter().filter(|next| next.joint);
    configuration.voters.iter().chain(joint.flat_map(|next| &next.voters))
}

/// Whether a configuration may follow another one at once: who votes changes by joint consensus only.
fn follows(from: &Configuration, to: &Configuration) -> bool {
    let same_voters = from.voters == to.voters;
    match (&from.next, &to.next) {
        (None, Some(_)) => same_voters && from.learners == to.learners,
        (None, None) => same_voters,
        (Some(Next { joint: false, .. }), None) => same_voters && from.learners == to.learners,
        (Some(before), Some(after)) => {
            let same_next = before.voters == after.voters && before.learners == after.learners;
            same_voters && from.learners == to.learners && same_next && !before.joint && after.joint
        }
        (Some(Next { voters, learners, joint: true }), None) => {
            *voters == to.voters && *learners == to.learners
        }
    }
}
