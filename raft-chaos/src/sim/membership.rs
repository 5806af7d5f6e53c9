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
    asked: BTreeMap<NodeId, VecDeque<(AskId, Ask)>>,
    /// Of each that was asked: the refusal, if it was one.
    answers: Vec<Option<Result<(), String>>>,
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
        let id = self.answers.len();
        self.answers.push(None);
        self.asked.entry(node).or_default().push_back((id, ask));
        id
    }

    pub(super) fn next_ask(&mut self, node: NodeId) -> Option<(AskId, Ask)> {
        self.asked.get_mut(&node).and_then(VecDeque::pop_front)
    }

    pub(super) fn answered(&mut self, id: AskId, answer: Result<(), String>) {
        if let Some(place) = self.answers.get_mut(id) {
            *place = Some(answer);
        }
    }

    /// The answer, if there is one.
    pub(super) fn answer(&self, id: AskId) -> Option<Result<(), String>> {
        self.answers.get(id).cloned().flatten()
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
