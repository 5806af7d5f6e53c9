//! Models of servers with a bug: the checker has to find what it does.

use raft_core::PlantedBug;
use stateright::{Checker, HasDiscoveries, Model};

use crate::cluster::{Cluster, Scope};
use crate::coarse::Coarse;
use crate::fine::Fine;
use crate::{CHANGING, SMALL, now, report};

/// Looks breadth first, so that what is found is at most a step longer than it must be, and nothing else is broken
/// on the way there.
fn finds<M>(model: M, scope: &Scope, expected: &'static str)
where
    M: Model<State = Cluster> + Send + Sync + 'static,
    M::Action: Clone + PartialEq + std::fmt::Debug,
{
    let began = now();
    let checker = model.checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    report(scope, &checker, began);
    let acts = checker.assert_any_discovery(expected).into_actions();
    println!("{expected} is broken after {} actions: {acts:?}", acts.len());
}

#[test]
fn a_vote_without_a_look_at_the_log_is_found() {
    let scope = Scope { terms: 2, planted: Some(PlantedBug::VoteWithoutLogCheck), ..SMALL };
    finds(Coarse(scope), &scope, "leader completeness");
}

/// It takes four terms: an entry of the first is counted in the third, and the leader of the fourth lacks it.
#[test]
fn a_commit_by_counting_is_found() {
    let bug = Some(PlantedBug::CommitByCounting);
    let scope = Scope { terms: 4, one_by_one: true, planted: bug, ..SMALL };
    finds(Coarse(scope), &scope, "leader completeness");
}

#[test]
fn a_vote_that_is_not_on_disk_is_found() {
    let scope = Scope { crashes: 1, planted: Some(PlantedBug::VoteBeforePersisted), ..SMALL };
    finds(Fine { scope, repeats: 0 }, &scope, "election safety");
}

#[test]
fn joint_consensus_that_counts_the_old_voters_only_is_found() {
    let scope = Scope { planted: Some(PlantedBug::JointCountsOldOnly), ..CHANGING };
    finds(Coarse(scope), &scope, "leader completeness");
}

#[test]
fn a_change_without_joint_consensus_is_found() {
    let scope = Scope { planted: Some(PlantedBug::ChangeWithoutJoint), ..CHANGING };
    finds(Coarse(scope), &scope, "leader completeness");
}
