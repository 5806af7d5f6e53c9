//! How a new node learns where the others are: it asks those that it is told of. That it takes part is for an operator
//! to say.

use std::collections::BTreeMap;
use std::time::Duration;

use raft_core::node::{Environment, SystemEnvironment};
use raft_core::{Incarnation, NodeId};
use raft_net::{Net, Operator, Survey};

use super::ended::Ended;
use super::home::Home;
use super::settings::Resolved;

/// How long the servers of the cluster may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks the servers of the cluster where all of them are, and keeps that.
///
/// # Errors
///
/// None of them answers one who does not know them yet; or the cluster had this server with another directory.
pub(super) async fn ask<N: Net>(
    node: &Resolved,
    net: N,
    home: &Home,
    incarnation: Incarnation,
) -> Result<(), Ended> {
    if node.join.is_empty() {
        return Ok(());
    }
    let clock = SystemEnvironment::new();
    let operator = Operator::new(net, clock, node.cluster, node.join.clone());
    let survey = operator.survey(clock.now().after(PATIENCE)).await;
    let Some(best) = survey.best() else {
        return if home.addresses().is_empty() { Err(nobody(&survey)) } else { Ok(()) };
    };
    let configuration = &best.membership.configured.configuration;
    let lists = [&configuration.voters, &configuration.learners];
    let other = lists
        .into_iter()
        .flatten()
        .find(|member| member.id == node.id && member.incarnation.is_some_and(|life| life != incarnation));
    if let Some(member) = other {
        return Err(Ended::usage(format!(
            "id: the cluster has {} with another directory, and what it promised there is not known here: start it with \
             that one, or give the new node an id that was never used, and replace {} by it",
            member.id, member.id
        )));
    }
    home.keep(&addresses(node.id, &survey));
    Ok(())
}

/// Where all others are: as those who were asked say, and themselves where they were reached.
fn addresses(id: NodeId, survey: &Survey) -> BTreeMap<NodeId, String> {
    let reports = survey.found.values().map(|(_, report)| report);
    let mut addresses: BTreeMap<_, _> = reports.flat_map(|report| report.addresses.clone()).collect();
    addresses.extend(survey.best().map(|report| report.addresses.clone()).unwrap_or_default());
    addresses.remove(&id);
    addresses
}

fn nobody(survey: &Survey) -> Ended {
    let silent = survey.nobody();
    Ended::unavailable(format!(
        "join: no server of the cluster answers; start one, or correct the address: {silent}"
    ))
}
