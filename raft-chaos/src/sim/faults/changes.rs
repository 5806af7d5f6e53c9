//! What servers are asked for: another membership, another leader; and disks that are wiped.

use raft_core::{Configuration, Incarnation, LogIndex, Member, NodeId};

use super::super::evidence::{Asked, Evidence};
use super::super::hosts::Hosts;
use super::super::membership::{Ask, AskId};
use super::{Begun, Faults, Kind, list};
use crate::mix::mix;
use crate::plan::{Change, Expect, Step, Target, View};

/// What was asked, and what has to come of it.
pub(super) struct Request {
    id: AskId,
    wanted: Wanted,
    expect: Option<Expect>,
    event: String,
}

/// Servers that were wiped, and the life that each was in.
pub(super) struct Wiped {
    firing: usize,
    before: Vec<(NodeId, Incarnation)>,
}

/// When it is done.
enum Wanted {
    /// This configuration was committed after that one.
    Members { configuration: Box<Configuration>, after: LogIndex },
    /// This server leads.
    Leader,
}

impl Faults {
    /// Asks a server for other members. Nobody is asked where there is nothing to change.
    pub(super) fn membership(
        &mut self,
        view: &View,
        event: &str,
        (change, target, via): (&Change, Option<&Target>, &Target),
        expect: Option<Expect>,
    ) -> Option<Begun> {
        let node = *via.resolve(view, &mut |n| self.rng.below(n))?.first()?;
        let from = self.world.membership(|membership| membership.in_force(node).cloned())?;
        let named = match target {
            Some(target) => target.resolve(view, &mut |n| self.rng.below(n))?,
            None => Vec::new(),
        };
        let configuration = self.wanted(view, &from.configuration, change, &named)?;
        if configuration.voters.is_empty() && expect != Some(Expect::Refused) {
            return None;
        }
        let Configuration { voters, learners, .. } = configuration.clone();
        let is_heard = !self.is_idle("membership");
        let id = self.world.ask(node, Ask::Change { from: from.at, voters, learners }, is_heard);
        let does = format!("asks {node} for the members {}", by_id(&configuration));
        let wanted = Wanted::Members { configuration: Box::new(configuration), after: from.at.index };
        Some(asked(does, Request { id, wanted, expect, event: event.to_owned() }, vec![node]))
    }

    /// Asks the leader to let another lead.
    pub(super) fn transfer(
        &mut self,
        view: &View,
        event: &str,
        to: &Target,
        expect: Option<Expect>,
    ) -> Option<Begun> {
        let leader = view.leader?;
        let to = *to.resolve(view, &mut |n| self.rng.below(n))?.first()?;
        let id = self.world.ask(leader, Ask::Transfer { to }, !self.is_idle("transfer"));
        let does = format!("asks {leader} to hand over to {to}");
        Some(asked(does, Request { id, wanted: Wanted::Leader, expect, event: event.to_owned() }, vec![to]))
    }

    /// Kills servers and takes all that they had; those that are down lose it too.
    pub(super) fn wipe(&mut self, nodes: Vec<NodeId>, hosts: &mut dyn Hosts) -> Begun {
        let lives = self.machines.running(&nodes);
        let life = |node: &NodeId| (*node, self.world.membership(|membership| membership.life(*node)));
        let before = nodes.iter().map(life).collect();
        self.wiped.push(Wiped { firing: self.firings.len(), before });
        for &node in nodes.iter().filter(|_| !self.is_idle("wipe")) {
            if lives.iter().any(|life| life.node == node) {
                self.machines.kill(node, hosts);
            }
            self.machines.wipe(node);
        }
        Begun {
            does: format!("wipes {}", list(nodes.iter().copied())),
            evidence: Evidence::Wiped(Vec::new()),
            kind: Some(Kind::Down { lives, graceful: false }),
            acted_on: nodes,
            ends: Vec::new(),
        }
    }

    /// Writes down which of the servers that were wiped were seen in another life.
    pub(super) fn settle_wiped(&mut self) {
        for Wiped { firing, before } in &self.wiped {
            let seen = |(node, before): &&(NodeId, Incarnation)| {
                let now = self.world.server(*node).and_then(|server| server.incarnation);
                now.is_some_and(|now| now != *before)
            };
            let seen = before.iter().filter(seen).map(|(node, _)| *node).collect();
            self.firings[*firing].evidence = Evidence::Wiped(seen);
        }
    }

    /// The members that a change asks for; none where it does not apply.
    fn wanted(
        &mut self,
        view: &View,
        now: &Configuration,
        change: &Change,
        named: &[NodeId],
    ) -> Option<Configuration> {
        let (mut voters, mut learners) = (ids(&now.voters), ids(&now.learners));
        let spares: Vec<_> =
            view.spares.iter().copied().filter(|id| !voters.contains(id) && !learners.contains(id)).collect();
        match change {
            Change::Voters { from, to } if *from == voters => {
                learners.retain(|learner| !to.contains(learner));
                voters.clone_from(to);
            }
            Change::Voters { .. } => return None,
            Change::Any(steps) => match self.pick(steps)? {
                Step::AddLearner => learners.push(self.choose(named, &spares)?),
                Step::PromoteLearner => {
                    let learner = self.choose(named, &learners)?;
                    learners.retain(|other| *other != learner);
                    voters.push(learner);
                }
                Step::ReplaceVoter => {
                    let out = self.choose(named, &voters)?;
                    let new = if learners.is_empty() { self.pick(&spares)? } else { self.pick(&learners)? };
                    learners.retain(|other| *other != new);
                    voters.retain(|voter| *voter != out);
                    voters.push(new);
                }
                Step::Remove => {
                    voters.retain(|voter| !named.contains(voter));
                    learners.retain(|learner| !named.contains(learner));
                }
                Step::RemoveLeader => {
                    let leader = view.leader?;
                    voters.retain(|voter| *voter != leader);
                }
            },
        }
        let member = |id: NodeId| self.world.membership(|membership| membership.member(id));
        let wanted =
            Configuration::of(voters.into_iter().map(member)).with_learners(learners.into_iter().map(member));
        (wanted != *now).then_some(wanted)
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        self.rng.pick(from).copied()
    }

    /// Whoever is named, else one of these.
    fn choose(&mut self, named: &[NodeId], among: &[NodeId]) -> Option<NodeId> {
        named
            .first()
            .copied()
            .filter(|named| among.contains(named))
            .or_else(|| if named.is_empty() { self.pick(among) } else { None })
    }

    /// What has come of what was asked, by now.
    pub(super) fn outcome(&mut self, request: &Request) -> Evidence {
        let Request { id, wanted, expect, event } = request;
        let answer = self.world.membership(|membership| membership.answer(*id));
        let done = match wanted {
            Wanted::Members { configuration, after } => {
                self.world.membership(|membership| membership.was_committed(configuration, *after))
            }
            Wanted::Leader => answer == Some(Ok(None)),
        };
        let refused = answer.and_then(Result::err);
        let met = match expect {
            Some(Expect::Ok) => done,
            Some(Expect::Refused) => refused.is_some(),
            Some(Expect::Any) | None => true,
        };
        if !met {
            let came = match &refused {
                Some(why) => format!("was refused: {why}"),
                None if done => "was done".to_owned(),
                None => "was neither done nor refused".to_owned(),
            };
            let expected = if *expect == Some(Expect::Ok) { "ok" } else { "refused" };
            self.unmet.push(format!("event {event}: expected {expected}, and it {came}"));
        }
        // A refusal of a transfer, and one that the plan allows, is what was to be seen.
        let transfer = matches!(wanted, Wanted::Leader);
        let refusal_counts = transfer || matches!(expect, Some(Expect::Refused | Expect::Any));
        let counts = done || (refused.is_some() && refusal_counts) || *expect == Some(Expect::Any);
        Evidence::Asked(Asked { done, refused, counts })
    }
}

fn ids(members: &[Member]) -> Vec<NodeId> {
    members.iter().map(|member| member.id).collect()
}

/// The same without the lives, which nobody can read.
fn by_id(configuration: &Configuration) -> Configuration {
    Configuration::of(ids(&configuration.voters)).with_learners(ids(&configuration.learners))
}

fn asked(does: String, request: Request, acted_on: Vec<NodeId>) -> Begun {
    let evidence = Evidence::Asked(Asked::default());
    Begun { does, evidence, kind: Some(Kind::Requested(Box::new(request))), acted_on, ends: Vec::new() }
}

/// The life that a data directory begins with that follows a wiped one.
pub(in super::super) fn next_life(before: raft_core::Incarnation) -> raft_core::Incarnation {
    raft_core::Incarnation(mix(before.0, "wiped"))
}
