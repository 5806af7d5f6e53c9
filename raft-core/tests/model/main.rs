//! Every state of three real cores that can be reached within a scope: stateright looks at all of them.
//!
//! | granularity | one action is | how far |
//! | --- | --- | --- |
//! | coarse (`coarse.rs`) | a call with its answer, or without | everything in the scopes below |
//! | fine (`fine.rs`) | one message, one write | so many steps, breadth first |
//!
//! | coarse scope: terms, commands, crashes | states | steps | seconds of one core | MiB |
//! | --- | --- | --- | --- | --- |
//! | 3, 1, 1 | 4,701,404 | 19,548,642 | 91 | 82 |
//! | 4, 0, 0, entries one by one | 558,178 | 2,179,837 | 10 | 15 |
//! | 2, 1, 1, with pre-vote | 386,864 | 1,734,546 | 7 | 10 |
//! | 2, 1, 1, each step judged by the specification | 257,510 | 1,055,122 | 6 | 11 |
//! | 2, 0, 0, two voters and one that joins, one change | 53,481 | 192,342 | 2 | 6 |
//! | 2, 0, 0, three voters, one change | 554,568 | 2,249,971 | 19 | 15 |
//! | 3, 2, 0 (nights) | 2,364,146 | 10,289,334 | 48 | 44 |
//!
//! Commands are counted in a log, without the no-op of each leader: with one command a log has up to four entries in
//! three terms. States that differ only in the names of the servers count as one, but where there is a change: that has
//! names in it. It is asked of a leader once, to whatever set of voters, and its configurations come on top of the commands.
//!
//! In both models a timeout is an action, so nothing depends on how long anything takes; what measures time that has
//! passed, check-quorum, is off (`tests/seeds.rs` has it on). Snapshots, reads and transfers are not in the models.
//!
//! `MODEL_STEPS=10000000 cargo test --profile ci -p raft-core --all-features --test model -- --ignored --nocapture` takes so
//! many steps of the fine model, with 0.7 GiB of memory for each million, and looks at the last row (for nights).

mod cluster;
mod coarse;
mod fine;
mod history;
#[cfg(feature = "planted-bugs")]
mod planted;
mod server;

use std::collections::BTreeSet;
use std::time::Instant;

use cluster::{Cluster, Scope};
use coarse::Coarse;
use fine::Fine;
use stateright::{Checker, HasDiscoveries, Model};

/// Three servers that once lead and do nothing.
const SMALL: Scope = Scope {
    servers: 3,
    joiners: 0,
    changes: 0,
    terms: 1,
    commands: 0,
    crashes: 0,
    pre_vote: false,
    one_by_one: false,
    window: 1,
    judged: false,
    nameless: true,
    planted: None,
};

/// Two voters, and a server that knows nobody. There is one change of who votes, to any set of the three.
const JOINING: Scope = Scope { servers: 2, joiners: 1, changes: 1, terms: 2, nameless: false, ..SMALL };

/// Three voters, and one change to any set of them.
const CHANGING: Scope = Scope { changes: 1, terms: 2, nameless: false, ..SMALL };

#[expect(clippy::disallowed_methods, reason = "how long it took is told, and nothing depends on it")]
fn now() -> Instant {
    Instant::now()
}

/// What there was to see, and what it took.
fn report<M>(scope: &Scope, checker: &impl Checker<M>, began: Instant)
where
    M: Model<State = Cluster>,
{
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or("VmHWM: not known here");
    let (all, unique) = (checker.state_count(), checker.unique_state_count());
    println!("{scope:?}");
    println!("{unique} states, {all} steps, depth {}, {:?}, {peak}", checker.max_depth(), began.elapsed());
}

/// Looks at every state of the coarse model. Both cores look; the number of states does not depend on that.
fn exhaust(scope: Scope) -> usize {
    let began = now();
    let coarse = Coarse(scope).checker().threads(2).finish_when(HasDiscoveries::AnyFailures);
    let checker = coarse.spawn_dfs().join();
    report(&scope, &checker, began);
    checker.assert_properties();
    checker.unique_state_count()
}

/// The largest scope of the test run: three terms, one crash, and logs of up to four entries.
#[test]
fn figure_3_holds_in_every_state_of_the_coarse_model() {
    let states = exhaust(Scope { terms: 3, commands: 1, crashes: 1, ..SMALL });
    assert!((4_000_000..5_500_000).contains(&states), "{states}");
}

/// Where a commit by counting is found, and without that bug nothing is.
#[test]
fn figure_3_holds_in_every_state_where_entries_travel_one_by_one() {
    let states = exhaust(Scope { terms: 4, one_by_one: true, ..SMALL });
    assert!((480_000..640_000).contains(&states), "{states}");
}

/// Announced, caught up, joint, new: in every phase leaders may change, and the server that joins may lead.
#[test]
fn figure_3_holds_in_every_state_where_a_server_may_join() {
    let states = exhaust(JOINING);
    assert!((45_000..65_000).contains(&states), "{states}");
}

/// Where joint consensus that counts one half is found, and no joint consensus at all.
#[test]
fn figure_3_holds_in_every_state_of_a_membership_change() {
    let states = exhaust(CHANGING);
    assert!((480_000..640_000).contains(&states), "{states}");
}

#[test]
#[ignore = "for nights"]
fn figure_3_holds_in_every_state_with_more_commands() {
    let states = exhaust(Scope { terms: 3, commands: 2, ..SMALL });
    assert!((2_000_000..2_800_000).contains(&states), "{states}");
}

#[test]
fn figure_3_holds_in_every_state_with_pre_vote() {
    let states = exhaust(Scope { terms: 2, commands: 1, crashes: 1, pre_vote: true, ..SMALL });
    assert!((330_000..440_000).contains(&states), "{states}");
}

/// Every step between these states is one that the specification allows.
#[test]
fn every_step_of_the_coarse_model_is_one_of_the_specification() {
    let states = exhaust(Scope { terms: 2, commands: 1, crashes: 1, judged: true, ..SMALL });
    assert!((220_000..300_000).contains(&states), "{states}");
}

/// All states, by their names and without.
fn names(scope: Scope) -> (usize, usize) {
    let coarse = Coarse(Scope { nameless: false, ..scope });
    let mut left = coarse.init_states();
    let (mut named, mut nameless) = (BTreeSet::new(), BTreeSet::new());
    while let Some(state) = left.pop() {
        if named.insert(state.key(false)) {
            nameless.insert(state.key(true));
            left.extend(coarse.next_states(&state));
        }
    }
    (named.len(), nameless.len())
}

/// Were names to make a difference, some state would be reached under one and not under another.
#[test]
fn one_of_all_states_that_differ_in_names_alone_is_enough() {
    for scope in [Scope { commands: 1, crashes: 1, ..SMALL }, Scope { terms: 2, pre_vote: true, ..SMALL }] {
        let (named, nameless) = names(scope);
        println!("{named} states, {nameless} without their names");
        assert!(named > 5 * nameless, "six ways to name three servers");
        assert_eq!(exhaust_all(scope), nameless);
    }
}

/// How many states there are, whatever holds in them.
fn exhaust_all(scope: Scope) -> usize {
    Coarse(scope).checker().finish_when(HasDiscoveries::AnyFailures).spawn_dfs().join().unique_state_count()
}

/// The fine model, breadth first, until so many steps were taken.
fn look(fine: Fine, steps: usize) {
    let (scope, began) = (fine.scope, now());
    let checker =
        fine.checker().threads(2).target_state_count(steps).finish_when(HasDiscoveries::AnyFailures);
    let checker = checker.spawn_bfs().join();
    report(&scope, &checker, began);
    checker.assert_no_discovery("election safety");
    checker.assert_no_discovery("log matching");
    checker.assert_no_discovery("leader completeness");
    checker.assert_no_discovery("state machine safety");
    checker.assert_no_discovery("every step is one of the specification");
    checker.assert_any_discovery("a leader in term 1");
}

fn wide(pre_vote: bool) -> Fine {
    let scope = Scope { terms: 3, commands: 2, crashes: 2, pre_vote, window: 2, ..SMALL };
    Fine { scope, repeats: 2 }
}

#[test]
fn figure_3_holds_in_the_first_states_of_the_fine_model() {
    look(wide(false), 200_000);
}

#[test]
#[ignore = "for nights: MODEL_STEPS says how many"]
fn figure_3_holds_in_many_states_of_the_fine_model() {
    let steps = std::env::var("MODEL_STEPS").map_or(2_000_000, |steps| steps.parse().unwrap());
    for pre_vote in [false, true] {
        look(wide(pre_vote), steps);
    }
}
