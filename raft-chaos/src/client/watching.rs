//! How the servers are, and who takes part.

use raft_core::{Member, NodeId};
use raft_net::{Net, NotObeyed, Report, Survey};
use serde_json::{Value, json};

use super::table::table;
use super::{Client, REFUSED, Said, refused};

impl<N: Net> Client<N> {
    pub(super) async fn status(&self) -> Result<Said, NotObeyed> {
        let survey = self.operator.survey(self.deadline).await;
        let code = if survey.found.is_empty() { REFUSED } else { 0 };
        let json = json!({
            "leader": survey.leader(),
            "servers": survey.found.values().map(server).collect::<Vec<_>>(),
            "silent": survey.silent,
        });
        Ok(Said::with(code, words(&survey), json))
    }

    pub(super) async fn members(&self) -> Result<Said, NotObeyed> {
        let survey = self.operator.survey(self.deadline).await;
        let Some(report) = survey.best() else {
            return Err(refused(survey.nobody()));
        };
        let mut rows = vec![["node", "is", "at", "life"].map(str::to_owned).to_vec()];
        for (member, is) in members(report) {
            rows.push(vec![member.id.to_string(), is.to_owned(), address(report, member.id), life(member)]);
        }
        let configured = &report.membership.configured;
        let state = match (&configured.configuration.next, report.membership.committed) {
            (Some(next), _) if next.joint => "joint consensus: both need a majority",
            (Some(_), _) => "a change is under way: those who are to vote are caught up",
            (None, false) => "not committed yet",
            (None, true) => "committed",
        };
        let words =
            format!("{}\n{}, by entry {}: {state}", table(&rows), configured.configuration, configured.at);
        let json = json!({
            "told_by": report.status.id,
            "membership": report.membership,
            "addresses": report.addresses,
        });
        Ok(Said::done(words, json))
    }
}

/// Every member, and what it is.
fn members(report: &Report) -> Vec<(Member, &'static str)> {
    let configuration = &report.membership.configured.configuration;
    let now = |list: &[Member], is| list.iter().map(|member| (*member, is)).collect::<Vec<_>>();
    let mut members = now(&configuration.voters, "voter");
    members.extend(now(&configuration.learners, "learner"));
    let new = configuration.next.iter().flat_map(|next| next.voters.iter());
    for member in new {
        match members.iter_mut().find(|(known, _)| known.id == member.id) {
            Some((_, is)) if *is == "learner" => *is = "learner, to vote",
            Some(_) => {}
            None => members.push((*member, "to vote")),
        }
    }
    members.sort_by_key(|(member, _)| member.id);
    members
}

fn address(report: &Report, id: NodeId) -> String {
    report.addresses.get(&id).cloned().unwrap_or_else(|| "not known".to_owned())
}

/// The life of a directory that counts.
fn life(member: Member) -> String {
    member.incarnation.map_or_else(|| "any".to_owned(), |life| format!("{:016x}", life.0))
}

fn server((address, report): &(String, Report)) -> Value {
    json!({ "address": address, "status": report.status, "removed": report.membership.removed })
}

/// For people.
fn words(survey: &Survey) -> String {
    let head = ["node", "at", "role", "term", "leader", "commit", "last", "snapshot", "health"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (address, report) in survey.found.values() {
        let status = &report.status;
        rows.push(vec![
            status.id.to_string(),
            address.clone(),
            status.role.to_string(),
            status.current_term.get().to_string(),
            status.leader.map_or_else(|| "none".to_owned(), |leader| leader.to_string()),
            status.commit_index.to_string(),
            status.last_log.index.to_string(),
            status.snapshot_index.to_string(),
            health(report),
        ]);
    }
    let mut words = if survey.found.is_empty() { "no server answers".to_owned() } else { table(&rows) };
    for (address, why) in &survey.silent {
        words.push_str(&format!("\n{address}: {why}"));
    }
    words
}

fn health(report: &Report) -> String {
    let status = &report.status;
    if report.membership.removed.is_some() {
        "removed: may be stopped".to_owned()
    } else if status.damaged > 0 {
        format!("{} entries damaged", status.damaged)
    } else if status.suspect {
        "end of the log suspect".to_owned()
    } else {
        "sound".to_owned()
    }
}
