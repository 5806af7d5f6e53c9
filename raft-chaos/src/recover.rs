//! `raft-chaos recover DIR`: forced recovery of a cluster that has lost its majority, in words or as JSON. Planning it
//! and carrying it out is [`Recovery`]'s.

use std::collections::hash_map::RandomState;
use std::fmt::Write as _;
use std::hash::BuildHasher;
use std::path::Path;

use raft_core::{ClusterId, GroupId, Incarnation, NodeId};
use raft_storage::recovery::{GroupPlan, Plan};
use raft_storage::{Recovery, RecoveryError};
use serde::Serialize;
use serde_json::json;

use crate::inspect::{self, plural};
use crate::node::{BUG, STORE};

/// The number of this form of the JSON.
pub const SCHEMA: u32 = 1;

/// It was written to meanwhile.
pub(crate) const INCONCLUSIVE: u8 = 2;
/// What was asked for cannot be meant.
const USAGE: u8 = 64;

/// What the help says of them.
pub const EXIT_CODES: &str = "Exit codes: 0 planned, or with --yes carried out; 2 a node wrote to it meanwhile; 64 not the \
directory of a store, or not that of this node, or bad arguments; 69 a node runs on it, the disk refused, or a later version \
wrote it; 74 something is damaged, and nothing was changed.";

/// What was asked for.
#[derive(Debug)]
pub struct Request<'a> {
    /// The directory of the surviving node.
    pub directory: &'a Path,
    /// The node.
    pub id: NodeId,
    /// The groups; none need be named where the directory has only one.
    pub groups: Vec<GroupId>,
    /// The new cluster, if it is not to be drawn here.
    pub cluster: Option<ClusterId>,
    /// Whether it is to be carried out, and not only planned.
    pub yes: bool,
    /// Whether one JSON object is to be printed.
    pub json: bool,
    /// The command that carries it out, up to the cluster.
    pub command: String,
}

#[derive(Serialize)]
struct Report<'a> {
    schema: u32,
    exit_code: u8,
    carried_out: bool,
    #[serde(flatten)]
    plan: &'a Plan,
}

/// What is to be printed, and the exit code. Nothing is changed unless [`Request::yes`] says so.
pub fn recover(request: &Request<'_>) -> (Result<String, String>, u8) {
    match try_recover(request) {
        Ok(plan) => said(request, &plan),
        Err(RecoveryError::SameCluster { cluster, done: true, .. }) if request.cluster == Some(cluster) => {
            already(request, cluster)
        }
        Err(error) => (Err(error.to_string()), exit_code(&error)),
    }
}

fn try_recover(request: &Request<'_>) -> Result<Plan, RecoveryError> {
    let (id, groups) = (request.id, request.groups.clone());
    let cluster = request.cluster.unwrap_or_else(drawn_cluster);
    let plan =
        Recovery { id, groups, cluster, incarnation: Incarnation::random() }.plan(request.directory)?;
    if request.yes {
        plan.carry_out()?;
    }
    Ok(plan)
}

/// A cluster that nobody has drawn before, by a hash under keys of the system's own randomness. It has so few bits
/// that whoever reads JSON into a float reads all of them.
pub(crate) fn drawn_cluster() -> ClusterId {
    ClusterId(1 + (RandomState::new().hash_one(0) >> 16))
}

fn said(request: &Request<'_>, plan: &Plan) -> (Result<String, String>, u8) {
    if !request.json {
        return (Ok(words(request, plan)), 0);
    }
    let report = Report { schema: SCHEMA, exit_code: 0, carried_out: request.yes, plan };
    match serde_json::to_string(&report) {
        Ok(json) => (Ok(json), 0),
        Err(error) => (Err(format!("writing JSON: {error}")), BUG),
    }
}

/// It was carried out before, and whoever asked did not hear of it.
fn already(request: &Request<'_>, cluster: ClusterId) -> (Result<String, String>, u8) {
    let (directory, id) = (request.directory.display(), request.id);
    if !request.json {
        let said = format!(
            "directory {directory}\nserver    {id}, which votes alone in {cluster}\n\nverdict   DONE before: nothing was \
             changed now\n{}",
            what_now(cluster)
        );
        return (Ok(said), 0);
    }
    let report = json!({
        "schema": SCHEMA, "exit_code": 0, "carried_out": true, "directory": directory.to_string(), "id": id,
        "cluster": cluster, "groups": [],
    });
    (Ok(report.to_string()), 0)
}

/// What is to be done with what was recovered.
fn what_now(cluster: ClusterId) -> String {
    format!(
        "now       give {cluster} to this server, to all that join it and to their clients, and start this \
         server alone\n          start the others with empty directories, and have them join as new members\n          \
         never start one with its old directory: in {cluster} it does not start, and in the old \
         cluster it serves what this one no longer knows"
    )
}

pub(crate) const fn exit_code(error: &RecoveryError) -> u8 {
    match error {
        RecoveryError::Storage(error) => inspect::exit_code(error),
        RecoveryError::Damaged(_) => STORE,
        RecoveryError::Changed { .. } => INCONCLUSIVE,
        RecoveryError::Nothing { .. }
        | RecoveryError::WhichGroups { .. }
        | RecoveryError::NoSuchGroup { .. }
        | RecoveryError::NotAMember { .. }
        | RecoveryError::AnotherLife { .. }
        | RecoveryError::SameCluster { .. }
        | RecoveryError::SameLife { .. } => USAGE,
    }
}

/// For people.
fn words(request: &Request<'_>, plan: &Plan) -> String {
    let Plan { directory, id, cluster, incarnation, torn_bytes, groups } = plan;
    let mut said = format!(
        "directory {}\nserver    {id}, which votes alone from then on\nbecomes   {cluster}, incarnation {:016x}",
        directory.display(),
        incarnation.0
    );
    for group in groups {
        said.push_str(&words_of_group(group));
    }
    if *torn_bytes > 0 {
        let _infallible = write!(
            said,
            "\n\ntorn      the last write, and its {} will be cut off; if the disk tore it and no power cut, the \
             server may have acknowledged what was in it",
            plural(*torn_bytes, "byte", "bytes")
        );
    }
    let next = if request.yes {
        format!("DONE\n{}", what_now(*cluster))
    } else {
        format!(
            "nothing was changed. Have a plan made of each survivor's directory, and carry it out on the one whose \
             last entry is the greatest, by term and then by index; on no other. The node must be stopped.\nto do it  \
             {} --cluster {} --yes",
            request.command, cluster.0
        )
    };
    let _infallible = write!(said, "\n\nverdict   {next}");
    said
}

fn words_of_group(group: &GroupPlan) -> String {
    let GroupPlan { before, entry, to_be_committed, known_lost } = group;
    let last = before.last;
    let cluster = before.cluster.map_or_else(|| "no cluster that it knows".into(), |old| old.to_string());
    let members = before.configuration.as_ref().map_or_else(
        || "those that the group began with".into(),
        |configured| format!("{}, by {}", configured.configuration, configured.at),
    );
    let mut said = format!(
        "\n\n{}   {cluster}, incarnation {:016x}\n  members {members}\n  last    {last}; the server has seen {}\n  \
         commit  at least up to {}\n  stays   its log, its snapshot, and the directory of a state machine\n  \
         appends {entry}, with which this server alone votes and all before it is committed\n\
         may be lost\n  whatever the majority committed after {last} and this server never got: nothing here shows \
         how much,\n  and clients may have been told of it",
        before.id, before.incarnation.0, before.current_term, before.commit_bound
    );
    if before.suspect {
        let _infallible = write!(
            said,
            "\n  what came after {last} and was torn off: the server may have acknowledged it, and has not caught up with a \
             leader since; rather\n  take a survivor of which this is not said"
        );
    }
    if let Some(lost) = known_lost {
        let _infallible = write!(
            said,
            "\n  for certain all from {} to {}: a snapshot that had begun to arrive stands for that",
            last.index.next(),
            lost.index
        );
    }
    if let Some((first, last)) = to_be_committed {
        let _infallible = write!(
            said,
            "\nmay be gained\n  {first} to {last}, which are not known to have been committed, and will be: if the \
             majority went another way, clients\n  may have been told that these were not applied, or may have sent \
             them again"
        );
    }
    said
}
