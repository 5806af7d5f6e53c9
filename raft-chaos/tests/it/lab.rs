//! Every test of the lab passes on real nodes, takes the same way twice, and can fail.

use std::env;
use std::ops::Range;

use raft_chaos::lab::{TESTS, Test};

/// Ten seeds, or those of `SEEDS`, as in `SEEDS=0..100`.
fn seeds() -> Range<u64> {
    let Ok(given) = env::var("SEEDS") else { return 0..10 };
    let ends = given.split_once("..").and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    ends.filter(|seeds| !seeds.is_empty()).unwrap_or_else(|| panic!("SEEDS is {given:?}; write it as 0..100"))
}

/// Every test whose name in the lab ends so passes with each seed; so many there are.
fn pass(part: &str, tests: usize) {
    let all: Vec<_> = TESTS.iter().filter(|test| test.original.ends_with(part)).collect();
    assert_eq!(all.len(), tests);
    for test in all {
        for seed in seeds() {
            let report = test.run(seed, None);
            assert!(report.failures.is_empty(), "{}, seed {seed}: {:?}", test.name, report.failures);
        }
    }
}

#[test]
fn leaders_are_elected() {
    pass("3A", 3);
}

#[test]
fn commands_are_agreed_on() {
    pass("3B", 10);
}

#[test]
fn what_was_promised_outlives_crashes() {
    pass("3C", 8);
}

#[test]
fn logs_are_compacted() {
    pass("3D", 7);
}

#[test]
fn callers_learn_what_became_of_their_commands() {
    pass("4A", 7);
}

#[test]
fn a_store_is_linearizable() {
    pass("4B", 13);
}

#[test]
fn a_store_with_snapshots_is_linearizable() {
    pass("4C", 10);
}

#[test]
fn appends_are_applied_once() {
    pass("UnreliableOneKey", 1);
}

/// A follower that was down while it was sent a snapshot waited for ever longer until that was sent again, as if the piece
/// could still be on its way.
#[test]
fn a_follower_that_was_down_gets_its_snapshot_in_time() {
    let [test] = Test::named("snapshot-install-un-crash")[..] else { panic!("it is one test") };
    let report = test.run(68, None);
    assert!(report.failures.is_empty(), "{:?}", report.failures);
}

/// One seed of each test, twice: all that happened is the same, and another seed goes another way.
#[test]
fn a_seed_goes_the_same_way_twice() {
    for test in TESTS {
        let first = test.run(11, None);
        assert_eq!(first, test.run(11, None), "{}", test.name);
        assert_ne!(first.event_hash, test.run(12, None).event_hash, "{}", test.name);
    }
}

/// Each row: a name, and the tests that it may mean.
#[test]
fn a_test_is_named_with_or_without_its_layer() {
    for (name, meant) in [
        ("figure-8", &["figure-8"][..]),
        ("leader-failure", &["leader-failure"]),
        ("rsm-leader-failure", &["rsm-leader-failure"]),
        ("basic", &["rsm-basic", "kv-basic"]),
        ("speed", &["kv-speed"]),
        ("raft-leader-failure", &["leader-failure"]),
        ("kv-one-partition", &["one-partition"]),
        ("rsm-one-partition", &[]),
        ("figure-9", &[]),
    ] {
        assert_eq!(Test::named(name).iter().map(|test| test.name).collect::<Vec<_>>(), meant, "{name}");
    }
}

/// Each row: a bug that every server has, a test that finds it, one of the seeds that do, and what it says.
#[cfg(feature = "planted-bugs")]
#[test]
fn planted_bugs_fail_tests() {
    use raft_chaos::lab::Failure;
    use raft_core::PlantedBug;

    for (bug, name, seed, failure) in [
        (PlantedBug::VoteWithoutLogCheck, "persist-3", 0, "without the committed entry"),
        (PlantedBug::LeaderTwice, "initial-election", 0, "is elected twice"),
    ] {
        let test = Test::named(name)[0];
        let report = test.run(seed, Some(bug));
        let said = report.failures.iter().map(Failure::sentence).collect::<Vec<_>>();
        assert!(said.iter().any(|what| what.contains(failure)), "{bug:?} in {name}, seed {seed}: {said:?}");
        assert!(test.run(seed, None).failures.is_empty(), "{name}, seed {seed}, without the bug");
    }
}
