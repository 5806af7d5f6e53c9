//! Who takes part in the group, as servers tell, and what servers are asked to change about it.

use std::collections::{BTreeMap, VecDeque};

use raft_core::{Configuration, Configured, EntryId, Event, Incarnation, LogIndex, Member, NodeId, Restored};
use serde::{Deserialize, Serialize};

use crate::plan::Moment;

/// What a server is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Ask {
    /// To change the members, from the configuration of this entry.
    Change { from: EntryId, voters: Vec<Member>, learners: Vec<Member> },
    /// To hand leadership over.
    Transfer { to: NodeId },
}

/// Names what was asked, so that its answer is known.
pub(crate) type AskId = usize;

/// What a server was asked for, and what it said.
struct Asked {
    node: NodeId,
    ask: Ask,
    answer: Option<Answer>,
}

/// The entry that a change of members begins with, or why nothing comes of what was asked.
pub(crate) type Answer = Result<Option<EntryId>, String>;

/// What is known of the members.
#[derive(Default)]
pub(crate) struct Membership {
    first: Configuration,
    /// The life of its data directory that each server is in.
    lives: BTreeMap<NodeId, Incarnation>,
    /// The configurations in each server's log, and the last before it.
    logs: BTreeMap<NodeId, Vec<Configured>>,
    /// Those that were committed, in order, the first of the group included.
    committed: Vec<Configured>,
    /// What each server has not heard of yet.
    asked: BTreeMap<NodeId, VecDeque<AskId>>,
    /// What was asked so far.
    asks: Vec<Asked>,
}

impl Membership {
    pub(super) fn new(first: Configuration, lives: BTreeMap<NodeId, Incarnation>) -> Self {
        let members = first.members().into_iter();
        let logs = members.map(|id| (id, vec![first.clone().into()])).collect();
        Self { committed: vec![first.clone().into()], first, lives, logs, ..Self::default() }
    }

    /// The life of its data directory that a server is in.
    pub(crate) fn life(&self, node: NodeId) -> Incarnation {
        self.lives.get(&node).copied().unwrap_or_default()
    }

    /// A server, in the life that it is in.
    pub(super) fn member(&self, node: NodeId) -> Member {
        Member::bound(node, self.life(node))
    }

    /// A server's disk is empty, and it is in another life.
    pub(super) fn wiped(&mut self, node: NodeId, life: Incarnation) {
        self.lives.insert(node, life);
        self.logs.remove(&node);
        self.asked.remove(&node);
    }

    /// A server has found this on its disk, which is in this life.
    pub(super) fn started(&mut self, node: NodeId, life: Incarnation, restored: &Restored) {
        self.lives.insert(node, life);
        let before = match &restored.snapshot {
            Some(snapshot) => Some(snapshot.configured.clone()),
            None => self.first.members().contains(&node).then(|| self.first.clone().into()),
        };
        let mut log: Vec<_> = before.into_iter().chain(restored.configurations.iter().cloned()).collect();
        log.sort_by_key(|configured| configured.at.index);
        self.logs.insert(node, log);
        self.asked.remove(&node);
    }

    /// Something happened on a server, which leads or does not. Which moments that was.
    pub(super) fn observe(&mut self, node: NodeId, leads: bool, event: &Event) -> Vec<Moment> {
        let log = self.logs.entry(node).or_default();
        let mut moments = Vec::new();
        if let Event::Configured { at, configuration } = event {
            let before = log.last().map(|last| last.configuration.clone());
            log.retain(|earlier| earlier.at.index < at.index);
            log.push(Configured { at: *at, configuration: configuration.clone() });
            if leads {
                moments.push(Moment::MembershipProposed);
                moments.extend(step(
                    before.as_ref(),
                    configuration,
                    [Moment::JointProposed, Moment::LeaveProposed],
                ));
            }
        }
        if let Event::Committed { from, to } = event {
            let new =
                |configured: &&Configured| configured.at.index > *from && configured.at.index <= to.index;
            for configured in log.iter().filter(new).cloned() {
                let before = log.iter().rev().find(|earlier| earlier.at.index < configured.at.index);
                if leads {
                    moments.push(Moment::MembershipCommitted);
                    let words = [Moment::JointCommitted, Moment::LeaveCommitted];
                    let before = before.map(|before| &before.configuration);
                    moments.extend(step(before, &configured.configuration, words));
                }
                if self.committed.last().is_none_or(|last| last.at.index < configured.at.index) {
                    self.committed.push(configured);
                }
            }
        }
        moments
    }

    /// What a server goes by; nothing where it knows of none.
    pub(super) fn in_force(&self, node: NodeId) -> Option<&Configured> {
        self.logs.get(&node).and_then(|log| log.last())
    }

    /// What was committed last.
    pub(super) fn last_committed(&self) -> Configured {
        self.committed.last().cloned().unwrap_or_default()
    }

    /// Whether this was committed after that entry.
    pub(super) fn was_committed(&self, configuration: &Configuration, after: LogIndex) -> bool {
        self.committed.iter().any(|known| known.at.index > after && known.configuration == *configuration)
    }

    /// The lists of servers of which a majority is needed while some server goes by them: of what was committed last,
    /// and of all that may yet be. With each its size, and those of it that are in the life that counts.
    pub(super) fn electorates(&self) -> Vec<(usize, Vec<NodeId>)> {
        let mut electorates = Vec::new();
        for voters in self.needed() {
            let alive =
                voters.iter().filter(|member| self.is_alive(member)).map(|member| member.id).collect();
            let electorate = (voters.len(), alive);
            if !electorates.contains(&electorate) {
                electorates.push(electorate);
            }
        }
        electorates
    }

    /// The same lists, all of each.
    pub(super) fn needed(&self) -> Vec<Vec<Member>> {
        let last = self.last_committed();
        let later = self.logs.values().flatten().filter(|configured| configured.at.index > last.at.index);
        let all =
            [&last].into_iter().chain(later).flat_map(|configured| configured.configuration.electorates());
        all.map(<[Member]>::to_vec).collect()
    }

    /// Whether a member is in the life that counts.
    pub(super) fn is_alive(&self, member: &Member) -> bool {
        member.incarnation.is_none_or(|life| life == self.life(member.id))
    }

    // --- what servers are asked for ---

    pub(super) fn ask(&mut self, node: NodeId, ask: Ask) -> AskId {
        let id = self.asks.len();
        self.asks.push(Asked { node, ask, answer: None });
        self.asked.entry(node).or_default().push_back(id);
        id
    }

    pub(super) fn next_ask(&mut self, node: NodeId) -> Option<(AskId, Ask)> {
        let id = self.asked.get_mut(&node).and_then(VecDeque::pop_front)?;
        Some((id, self.asks.get(id)?.ask.clone()))
    }

    /// A server has answered. If it says that it has begun a change, and the entry that it names begins another one: who it is,
    /// and what is wrong with that.
    pub(super) fn answered(&mut self, id: AskId, answer: Answer) -> Option<(NodeId, String)> {
        let Asked { node, ask, answer: place } = self.asks.get_mut(id)?;
        let begun = answer.as_ref().ok().copied().flatten();
        *place = Some(answer);
        let Ask::Change { voters, learners, .. } = ask else { return None };
        let wanted = Configuration::of(voters.iter().copied()).with_learners(learners.iter().copied());
        let other = self.logs.get(node)?.iter().find(|configured| Some(configured.at) == begun)?;
        let Configured { at, configuration } = other;
        let what = || format!("says that a change to {wanted} begins with {at}, which is {configuration}");
        (goal(configuration) != wanted).then(|| (*node, what()))
    }

    /// The answer, if there is one.
    pub(super) fn answer(&self, id: AskId) -> Option<Answer> {
        self.asks.get(id)?.answer.clone()
    }
}

/// Where a change leads to that is under way, or has led to.
fn goal(configuration: &Configuration) -> Configuration {
    match &configuration.next {
        Some(next) => {
            Configuration::of(next.voters.iter().copied()).with_learners(next.learners.iter().copied())
        }
        None => configuration.clone(),
    }
}

/// Which of the two: joint consensus begins, or it ends.
fn step(before: Option<&Configuration>, now: &Configuration, [begins, ends]: [Moment; 2]) -> Option<Moment> {
    let joint = |configuration: &Configuration| configuration.next.as_ref().is_some_and(|next| next.joint);
    match (before.is_some_and(joint), joint(now)) {
        (false, true) => Some(begins),
        (true, false) => Some(ends),
        (false, false) | (true, true) => None,
    }
}

#[cfg(test)]
mod tests {
    use raft_core::{Next, Term};

    use super::*;

    /// Each row: what the entry has that a server names, and whether that is a step towards the members that it was asked for.
    #[test]
    fn the_change_that_a_server_says_it_has_begun_is_the_one_that_was_asked_for() {
        let of = |ids: &[u64]| Configuration::of(ids.iter().map(|&id| NodeId::new(id)));
        let to = |ids: &[u64]| {
            let next = Next { voters: of(ids).voters, learners: Vec::new(), joint: false };
            Configuration { next: Some(next), ..of(&[1, 2, 3]) }
        };
        let (node, at) = (NodeId::new(1), EntryId::new(Term::new(1), LogIndex::new(5)));
        for (configuration, begun, is_right) in [
            (to(&[1, 2, 4]), at, true),
            (to(&[1, 2, 5]), at, false),
            (of(&[1, 2, 3]), at, false),
            // What is not known to have been in its log cannot be judged.
            (to(&[1, 2, 5]), EntryId::ZERO, true),
        ] {
            let mut membership = Membership { first: of(&[]), ..Membership::default() };
            membership.observe(node, true, &Event::Configured { at, configuration: configuration.clone() });
            let ask =
                Ask::Change { from: EntryId::ZERO, voters: of(&[1, 2, 4]).voters, learners: Vec::new() };
            let id = membership.ask(node, ask);
            assert_eq!(membership.next_ask(node).map(|(id, _)| id), Some(id));
            let wrong = membership.answered(id, Ok(Some(begun)));
            assert_eq!(wrong.is_none(), is_right, "{configuration}: {wrong:?}");
            assert_eq!(membership.answer(id), Some(Ok(Some(begun))));
        }
    }
}
