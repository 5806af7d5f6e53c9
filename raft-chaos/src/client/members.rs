//! What is changed about who takes part, and who leads.

use raft_core::{Configuration, Configured, EntryId, LogIndex, Member, NodeId};
use raft_net::{Net, NotObeyed, Order, Report};
use serde_json::json;

use super::{Client, Said, refused};
use crate::node::{Command, Store};

/// Who is to vote, and who to learn.
type Wanted = (Vec<Member>, Vec<Member>);

impl<N: Net> Client<N> {
    pub(super) async fn add_learner(&self, id: NodeId, address: &str) -> Result<Said, NotObeyed> {
        let new = self.meet(id, address).await?;
        self.change_members(|now| {
            if has(&now.voters, id) || has(&now.learners, id) {
                return Err(format!("{id} is a member already"));
            }
            Ok((now.voters.clone(), with(&now.learners, new)))
        })
        .await
    }

    pub(super) async fn promote(&self, id: NodeId) -> Result<Said, NotObeyed> {
        self.change_members(|now| match now.learners.iter().find(|learner| learner.id == id) {
            Some(learner) => Ok((with(&now.voters, *learner), without(&now.learners, id))),
            None if has(&now.voters, id) => Err(format!("{id} votes already")),
            None => {
                let number = id.get();
                Err(format!("{id} is no learner; add it first, with add-learner {number} HOST:PORT"))
            }
        })
        .await
    }

    pub(super) async fn remove(&self, id: NodeId) -> Result<Said, NotObeyed> {
        self.change_members(|now| {
            if !has(&now.voters, id) && !has(&now.learners, id) {
                return Err(format!("{id} is no member"));
            }
            Ok((without(&now.voters, id), without(&now.learners, id)))
        })
        .await
    }

    pub(super) async fn replace(&self, old: NodeId, new: NodeId, address: &str) -> Result<Said, NotObeyed> {
        let member = self.meet(new, address).await?;
        self.change_members(|now| {
            if !has(&now.voters, old) {
                return Err(format!("{old} does not vote"));
            }
            if has(&now.voters, new) {
                return Err(format!("{new} votes already"));
            }
            Ok((with(&without(&now.voters, old), member), without(&now.learners, new)))
        })
        .await
    }

    pub(super) async fn transfer(&self, to: NodeId) -> Result<Said, NotObeyed> {
        let survey = self.operator.survey(self.deadline).await;
        if survey.leader() != Some(to) {
            self.operator.order(&Order::Transfer { to }, self.deadline).await?;
        }
        Ok(Said::done(format!("{to} leads"), json!({ "leader": to })))
    }

    /// Has a snapshot taken, and waits until it is there.
    pub(super) async fn snapshot(&self, id: Option<NodeId>) -> Result<Said, NotObeyed> {
        let survey = self.operator.survey(self.deadline).await;
        let id = id
            .or_else(|| survey.leader())
            .ok_or_else(|| refused("no server leads: name one that is to take it"))?;
        self.operator.snapshot(id, self.deadline).await?;
        let wanted = survey.found.get(&id).map_or(LogIndex::ZERO, |(_, report)| report.status.commit_index);
        loop {
            let survey = self.operator.survey(self.deadline).await;
            let taken = survey.found.get(&id).map(|(_, report)| report.status.snapshot_index);
            if let Some(index) = taken.filter(|taken| *taken >= wanted && *taken > LogIndex::ZERO) {
                let words = format!("{id} has a snapshot of all up to entry {index}");
                return Ok(Said::done(words, json!({ "node": id, "index": index })));
            }
            if !self.rest().await {
                let reason =
                    format!("{id} was asked, and has none of all up to entry {wanted} yet: see status");
                return Err(NotObeyed::Unknown { reason });
            }
        }
    }

    /// Makes a server that is to become a member known to the others.
    async fn meet(&self, id: NodeId, address: &str) -> Result<Member, NotObeyed> {
        self.operator.may_order()?;
        let report = self.operator.report(address, self.deadline).await.map_err(|error| {
            refused(format!(
                "{address}: {error}; start it first, as in raft-chaos node --id {} --listen {address} --join \
                 HOST:PORT --data DIR",
                id.get()
            ))
        })?;
        let status = report.status;
        if status.id != id {
            return Err(refused(format!("at {address} is {}, not {id}; correct the address", status.id)));
        }
        self.known_elsewhere(id, address).await?;
        let meet = Command::Meet { server: id, address: address.to_owned() };
        let _at = self.operator.propose::<Store>(meet, self.deadline).await?;
        Ok(Member::bound(id, status.incarnation))
    }

    /// An address that was given by hand wins: nobody would look elsewhere.
    async fn known_elsewhere(&self, id: NodeId, address: &str) -> Result<(), NotObeyed> {
        let survey = self.operator.survey(self.deadline).await;
        let known = survey.found.values().filter(|(_, report)| report.status.id != id);
        for (_, report) in known {
            if let Some(other) = report.addresses.get(&id).filter(|other| *other != address) {
                return Err(refused(format!(
                    "{} looks for {id} at {other}, not at {address}: ids are never used twice; give the new server one \
                     of its own",
                    report.status.id
                )));
            }
        }
        Ok(())
    }

    /// Has the leader change the members, and waits until that is committed.
    async fn change_members(
        &self,
        decide: impl Fn(&Configuration) -> Result<Wanted, String>,
    ) -> Result<Said, NotObeyed> {
        let report = self.leader().await?;
        let (from, now) = (report.membership.configured.at, report.membership.configured.configuration);
        if now.next.is_some() {
            return Err(refused(format!(
                "a change is under way, {now}: wait until it is done, or see members"
            )));
        }
        let (voters, learners) = decide(&now).map_err(refused)?;
        let wanted = Configuration::of(voters.clone()).with_learners(learners.clone());
        let begun = self.operator.change(&Order::Change { from, voters, learners }, self.deadline).await?;
        self.until_changed(begun, &wanted).await
    }

    async fn until_changed(&self, begun: EntryId, wanted: &Configuration) -> Result<Said, NotObeyed> {
        loop {
            if let Ok(Report { membership, .. }) = self.leader().await {
                let configured = membership.configured;
                let is_over = membership.committed && configured.configuration.next.is_none();
                if is_over && configured.at.index >= begun.index {
                    if configured.configuration == *wanted {
                        let json = json!({ "members": wanted, "index": configured.at.index });
                        return Ok(Said::done(format!("the members are {wanted}"), json));
                    }
                    return Err(replaced(begun, &configured));
                }
            }
            if !self.rest().await {
                let reason = format!(
                    "it was begun with entry {begun}, and {wanted} is not in force yet; whoever leads goes on with it: \
                     see members"
                );
                return Err(NotObeyed::Unknown { reason });
            }
        }
    }

    /// What the leader says, as soon as there is one.
    async fn leader(&self) -> Result<Report, NotObeyed> {
        loop {
            let mut survey = self.operator.survey(self.deadline).await;
            if let Some((_, report)) = survey.leader().and_then(|leader| survey.found.remove(&leader)) {
                return Ok(report);
            }
            if survey.is_refused() || !self.rest().await {
                let silent = survey.silent.iter().map(|(address, why)| format!("{address}: {why}"));
                let silent: Vec<_> = silent.collect();
                return Err(refused(format!("no server leads; {}", silent.join("; "))));
            }
        }
    }
}

/// Others may be in force because the change was never committed, or because there was another one after it.
fn replaced(begun: EntryId, configured: &Configured) -> NotObeyed {
    let Configured { at, configuration } = configured;
    let reason = format!(
        "it was begun with entry {begun}, and the members have been changed by {at} since: they are {configuration}; see \
         members"
    );
    NotObeyed::Unknown { reason }
}

fn has(list: &[Member], id: NodeId) -> bool {
    list.iter().any(|member| member.id == id)
}

fn with(list: &[Member], member: Member) -> Vec<Member> {
    list.iter().copied().chain([member]).collect()
}

fn without(list: &[Member], id: NodeId) -> Vec<Member> {
    list.iter().copied().filter(|member| member.id != id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use raft_core::{Incarnation, Term};

    /// Two of them at a time: the first may have been done before the second was.
    #[test]
    fn of_a_change_with_another_after_it_nobody_knows() {
        let id = |index| EntryId::new(Term::new(3), LogIndex::new(index));
        let configuration = Configuration::of([Member::bound(NodeId::new(2), Incarnation(2))]);
        let error = replaced(id(7), &Configured { at: id(9), configuration });
        assert!(matches!(&error, NotObeyed::Unknown { reason } if reason.contains("by 9@t3")), "{error}");
    }
}
