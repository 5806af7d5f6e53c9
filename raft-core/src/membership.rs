//! Membership changes (§6, thesis 4): arbitrary ones, by joint consensus.
//!
//! | entry | elections and commitment need | goes on |
//! | --- | --- | --- |
//! | what is to be (`n1,n2,n3 > n1,n2,n4`) | the old voters, as before | when all that are to vote have caught up (4.2.1) |
//! | joint consensus (`n1,n2,n3 & n1,n2,n4`) | a majority of the old and one of the new | when it is committed (4.3) |
//! | the new configuration (`n1,n2,n4`) | the new voters | a leader that is not among them leaves when it is committed (4.2.2) |
//!
//! Where nobody has to catch up, and a majority of those who are to vote is there, the first is left out, and where only
//! learners change the first two. Each takes effect where it is appended, and is rolled back where it is truncated. The
//! change itself is in the log: whoever leads next goes on with it. It may be abandoned until joint consensus begins.
//!
//! A leader changes nothing before it has committed an entry of its term, as it might not know of a change that is
//! under way (Ongaro's correction to single-server changes, 2015), and nothing while the last change is not committed.

use std::hash::{Hash, Hasher};
use std::time::Duration;

use crate::configuration::{Configuration, Configured, Member, Next, Votes};
use crate::entry::Payload;
use crate::event::{Event, StepDownReason};
use crate::input::ChangeError;
use crate::message::{Message, NotMember};
use crate::planted::planted;
use crate::progress::Progress;
use crate::quorum::majority;
use crate::state::{Health, Raft, Role};
use crate::transfer::Transfer;
use crate::types::{EntryId, Incarnation, LogIndex, NodeId, Session, Time};

/// How a server that is to vote catches up (thesis 4.2.1): in rounds. Each is over when it has what the leader had
/// when the round began, and one that is over within an election timeout is the last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CatchUp {
    round: Option<Round>,
    done: bool,
}

#[derive(Clone, Copy, Debug)]
struct Round {
    to: LogIndex,
    since: Time,
}

impl CatchUp {
    /// It has not begun.
    pub(crate) const fn new() -> Self {
        Self { round: None, done: false }
    }

    /// Feeds what a fingerprint needs, where there is anything.
    pub(crate) fn hash_state(&self, hasher: &mut impl Hasher) {
        if let Some(Round { to, since: _ }) = self.round {
            (to, self.done).hash(hasher);
        }
    }

    /// Whether a server that has `match_index` has caught up by now with a log that ends with `last`.
    fn is_done(&mut self, match_index: LogIndex, last: LogIndex, now: Time, patience: Duration) -> bool {
        let round = *self.round.get_or_insert(Round { to: last, since: now });
        if !self.done && match_index >= round.to {
            self.done = now.since(round.since) <= patience;
            self.round = Some(Round { to: last, since: now });
        }
        self.done
    }
}

impl Raft {
    /// The configuration that is in force on this server: the last one in its log, committed or not (§6).
    pub fn configuration(&self) -> &Configured {
        self.configurations.latest()
    }

    /// The entry with which this server was removed from its group, if it knows of one: from its own log, where
    /// that is committed, or from a server that it asked for a vote. Such a server starts no elections.
    pub fn removed(&self) -> Option<EntryId> {
        let Configured { at, configuration } = self.configurations.latest();
        let committed = at.index <= self.commit_index && !configuration.voters.is_empty();
        let left_out = committed && !configuration.has(self.config.id, self.config.incarnation);
        self.told_removed.or(left_out.then_some(*at))
    }

    /// Begins to change who votes and who learns to these, whatever they are now, and goes on with it by itself:
    /// those who are to vote and do not are sent the log and caught up, then comes joint consensus, then what was
    /// asked for. `from` is the entry of the configuration that this was decided on ([`Raft::configuration`]), so
    /// that of two changes at once one is refused. Returns the entry with which the change begins. It is done
    /// when a committed configuration has these voters and nothing to come.
    ///
    /// # Errors
    ///
    /// Nothing is in the log.
    pub fn change_membership(
        &mut self,
        from: EntryId,
        voters: impl IntoIterator<Item = impl Into<Member>>,
        learners: impl IntoIterator<Item = impl Into<Member>>,
    ) -> Result<EntryId, ChangeError> {
        let wanted = Configuration::of(voters).with_learners(learners);
        wanted.check().map_err(ChangeError::Invalid)?;
        self.may_change()?;
        let Configured { at, configuration } = self.configurations.latest();
        if from != *at {
            return Err(ChangeError::NotFrom { configured: *at });
        }
        if configuration.next.is_some() {
            let dropped = planted!(self, SecondChangeDropped);
            return if dropped { Ok(*at) } else { Err(ChangeError::UnderWay { configured: *at }) };
        }
        if *configuration == wanted {
            return Err(ChangeError::NothingToChange);
        }
        let next = self.first_step(configuration, wanted);
        Ok(self.append_configuration(next))
    }

    /// Gives up a change of which joint consensus has not begun, as when those who are to vote never catch up.
    /// Returns the entry that says so.
    ///
    /// # Errors
    ///
    /// There is no such change, or none that can be given up now; nothing is in the log.
    pub fn abandon_change(&mut self) -> Result<EntryId, ChangeError> {
        self.may_change()?;
        let Configured { at, configuration } = self.configurations.latest();
        match &configuration.next {
            None => Err(ChangeError::NothingToChange),
            Some(next) if next.joint => Err(ChangeError::UnderWay { configured: *at }),
            Some(_) => {
                let before = Configuration { next: None, ..configuration.clone() };
                Ok(self.append_configuration(before))
            }
        }
    }

    /// Whether this server may append a configuration now.
    fn may_change(&self) -> Result<(), ChangeError> {
        match &self.role {
            Role::Leader { .. } if self.health != Health::Sound => {
                Err(ChangeError::NotLeader { leader: None })
            }
            Role::Leader { transfer: Some(Transfer { to, .. }), .. } => {
                Err(ChangeError::Transferring { to: *to })
            }
            Role::Leader { transfer: None, .. } => {
                let configured = self.configurations.latest().at;
                let committed = self.log.id_at(self.commit_index);
                let in_term = committed.is_some_and(|id| id.term == self.current_term);
                if !in_term && !planted!(self, ChangeBeforeCommitInTerm) {
                    Err(ChangeError::NothingCommittedInTerm)
                } else if configured.index > self.commit_index && !planted!(self, ChangeWhileOneIsUnderWay) {
                    Err(ChangeError::UnderWay { configured })
                } else {
                    Ok(())
                }
            }
            Role::Follower { .. } | Role::PreCandidate { .. } | Role::Candidate { .. } => {
                Err(ChangeError::NotLeader { leader: self.leader() })
            }
        }
    }

    /// What a change begins with.
    fn first_step(&self, now: &Configuration, wanted: Configuration) -> Configuration {
        if now.voters == wanted.voters || planted!(self, ChangeWithoutJoint) {
            return wanted;
        }
        let all_vote = wanted.voters.iter().all(|voter| now.voters.contains(voter));
        let joint = all_vote && self.are_there(&wanted.voters);
        let next = Next { voters: wanted.voters, learners: wanted.learners, joint };
        Configuration { next: Some(next), ..now.clone() }
    }

    /// Leaders: what is to be comes a step closer as soon as it may.
    pub(crate) fn go_on_with_change(&mut self) {
        let Some(next) = &self.configurations.latest().configuration.next else { return };
        let joint = next.joint;
        if self.may_change().is_err() {
            return;
        }
        if (joint || self.have_caught_up() || planted!(self, JointBeforeCaughtUp))
            && let Some(step) = self.configurations.latest().configuration.next_step()
        {
            self.append_configuration(step);
        }
    }

    /// Whether all that are to vote and do not yet have what this leader had a moment ago (thesis 4.2.1), and are there.
    /// A voter that is down holds nothing up.
    fn have_caught_up(&mut self) -> bool {
        let (now, last, (shortest, longest)) =
            (self.now, self.log.last().index, self.config.election_timeout);
        let me = self.me();
        let configuration = &self.configurations.latest().configuration;
        let (Role::Leader { progress, .. }, Some(next)) = (&mut self.role, &configuration.next) else {
            return false;
        };
        let mut all = true;
        for member in next.voters.iter().filter(|member| !configuration.voters.contains(member)) {
            if member.id == me.id {
                all &= member.is(me.id, me.incarnation);
                continue;
            }
            let peer = progress.iter_mut().find(|peer| peer.follower == member.id);
            all &= peer.is_some_and(|peer| {
                let bound = member.incarnation.is_none_or(|bound| peer.incarnation == Some(bound));
                let caught_up = bound && peer.catch_up.is_done(peer.match_index, last, now, shortest);
                caught_up && now.since(peer.heard) <= longest
            });
        }
        all && self.are_there(&next.voters)
    }

    /// Leaders: whether a majority of these was heard within an election timeout. Joint consensus needs one at once: without
    /// it this leader would have to give way.
    fn are_there(&self, voters: &[Member]) -> bool {
        let Role::Leader { progress, .. } = &self.role else { return false };
        let is_there = |member: &&Member| {
            let is = |peer: &Progress| {
                let lives = peer.incarnation.is_none_or(|life| member.is(member.id, life));
                let heard = self.now.since(peer.heard) < self.config.election_timeout.1;
                peer.follower == member.id && lives && heard
            };
            member.id == self.config.id || progress.iter().any(is)
        };
        voters.iter().filter(is_there).count() >= majority(voters.len())
    }

    /// Leaders: one that no longer votes leaves as soon as that is committed (thesis 4.2.2), and lets another one
    /// that has all of its log be elected at once (thesis 3.10).
    pub(crate) fn leave(&mut self) {
        let Configured { at, configuration } = self.configurations.latest();
        let over = configuration.next.is_none() && at.index <= self.commit_index;
        let counts = self.own_votes().any();
        if !matches!(self.role, Role::Leader { .. }) || !over || counts || planted!(self, RemovedLeaderLeads)
        {
            return;
        }
        self.name_heir();
        self.give_way(StepDownReason::Removed);
    }

    fn append_configuration(&mut self, configuration: Configuration) -> EntryId {
        let at = self.append(Payload::Configuration(configuration.to_bytes()));
        self.configurations.append(at, configuration);
        self.configured();
        at
    }

    /// These are in the log now, and the last of them is in force.
    pub(crate) fn configure(&mut self, configured: Vec<Configured>) {
        if configured.is_empty() {
            return;
        }
        for Configured { at, configuration } in configured {
            self.configurations.append(at, configuration);
        }
        self.configured();
    }

    /// Another configuration is in force. A leader replicates to all who take part in it, and to nobody else.
    pub(crate) fn configured(&mut self) {
        let Configured { at, configuration } = self.configurations.latest().clone();
        self.meet_members();
        self.observe(|| Event::Configured { at, configuration });
    }

    fn meet_members(&mut self) {
        let (me, now, next_index) = (self.config.id, self.now, self.log.last().index);
        let configuration = &self.configurations.latest().configuration;
        let Role::Leader { progress, sits_until, .. } = &mut self.role else { return };
        // Others have to be heard now.
        *sits_until = Time::ZERO;
        let members = configuration.members();
        progress.retain(|peer| members.binary_search(&peer.follower).is_ok());
        for id in members.into_iter().filter(|&id| id != me) {
            let place = progress.binary_search_by_key(&id, |peer| peer.follower);
            if let Err(place) = place {
                let session = Session(self.rng.next_u64());
                progress.insert(place, Progress::new(id, session, next_index, now));
            }
        }
        for peer in progress {
            peer.votes = configuration.votes(peer.follower, peer.incarnation);
            peer.catch_up = CatchUp::new();
            peer.ask_again();
        }
    }

    /// All that take part but this server.
    pub(crate) fn others(&self) -> Vec<NodeId> {
        self.all_but_me(self.configurations.latest().configuration.members())
    }

    /// All that vote but this server.
    pub(crate) fn other_voters(&self) -> Vec<NodeId> {
        self.all_but_me(self.in_force().voting())
    }

    pub(crate) fn all_but_me(&self, mut servers: Vec<NodeId>) -> Vec<NodeId> {
        servers.retain(|&server| server != self.config.id);
        servers
    }

    /// The configuration that elections and commitment go by (§6).
    pub(crate) fn in_force(&self) -> &Configuration {
        let committed = self.configurations.as_of(self.commit_index);
        let late = committed.filter(|_| planted!(self, ConfigurationOnCommit));
        &late.unwrap_or(self.configurations.latest()).configuration
    }

    /// In which electorates this server counts.
    pub(crate) fn own_votes(&self) -> Votes {
        self.in_force().votes(self.config.id, Some(self.config.incarnation))
    }

    /// Whether this server votes in a configuration that may yet be the one that counts.
    pub(crate) fn may_be_needed(&self) -> bool {
        let latest_only = planted!(self, RemovedServerWaits);
        let counts = |configuration: &Configuration| {
            configuration.votes(self.config.id, Some(self.config.incarnation)).any()
        };
        self.own_votes().any() || (!latest_only && self.configurations.since(self.commit_index).any(counts))
    }

    /// Whether the group has another life of a server's data directory in mind than this one: the disk was wiped.
    pub(crate) fn is_another(&self, server: NodeId, incarnation: Incarnation) -> bool {
        self.in_force().has_another(server, incarnation)
    }

    /// A server asks for a vote that takes no part any more, and hears so: nobody else tells it (thesis 4.2.3). It
    /// is answered like any other too: it may know of a later configuration (thesis 4.1).
    pub(crate) fn answer_removed(&mut self, server: NodeId, incarnation: Incarnation, session: Session) {
        let Some(Configured { at, configuration }) = self.configurations.as_of(self.commit_index) else {
            return;
        };
        if !configuration.voters.is_empty() && !configuration.has(server, incarnation) {
            self.send(server, session, Message::NotMember(NotMember { configured: *at }));
        }
    }

    /// This server takes no part any more, unless it knows better.
    pub(crate) fn handle_not_member(&mut self, reply: &NotMember) {
        let at = reply.configured;
        let Configured { at: known, configuration } = self.configurations.latest();
        let is_that_one = *known == at && !configuration.has(self.config.id, self.config.incarnation);
        // What was committed in a later term than that of a configuration here comes after it in every log, or takes its place.
        if (at <= *known && !is_that_one) || self.told_removed.is_some() {
            return;
        }
        self.told_removed = Some(at);
        self.observe(|| Event::Removed { at });
        if matches!(self.role, Role::PreCandidate { .. }) {
            self.change_role(self.current_term, Role::Follower { leader: None });
        }
    }

    /// More is committed than up to `from`: whoever is not in the configuration in force knows if that is among it.
    pub(crate) fn note_removal(&mut self, from: LogIndex) {
        let at = self.configurations.latest().at;
        if at.index > from && self.removed() == Some(at) {
            self.observe(|| Event::Removed { at });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fingerprint::{Fnv1a, all_differ, names};

    const PATIENCE: Duration = Duration::from_millis(150);

    /// One that has caught up may take longer afterwards: who is down holds nothing up.
    #[test]
    fn who_has_caught_up_has_caught_up() {
        let (at, index) = (|ms| Time::ZERO.after(Duration::from_millis(ms)), LogIndex::new);
        let mut catch_up = CatchUp::new();
        assert!(!catch_up.is_done(index(0), index(5), at(0), PATIENCE));
        assert!(catch_up.is_done(index(5), index(7), at(150), PATIENCE));
        assert!(catch_up.is_done(index(7), index(9), at(1_000), PATIENCE));
    }

    #[test]
    fn a_fingerprint_tells_how_far_who_catches_up_is() {
        let round = |to| Some(Round { to: LogIndex::new(to), since: Time::ZERO });
        let states = [
            CatchUp::new(),
            CatchUp { round: round(1), done: false },
            CatchUp { round: round(2), done: false },
            CatchUp { round: round(2), done: true },
        ];
        let feed =
            |state: &CatchUp, _: &dyn Fn(NodeId) -> NodeId, hasher: &mut Fnv1a| state.hash_state(hasher);
        assert!(all_differ(names(&states, false, feed)));
    }
}
