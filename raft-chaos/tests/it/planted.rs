//! Bugs that are planted are found, and a panic is not swallowed.

use crate::simulated::shipped;
use crate::tool::Tool;

/// Each row: a bug, the plan that finds it, one of the seeds that do, the verdict, and what is said.
const FOUND: [(&str, &str, u64, &str, &str); 27] = [
    ("fixed-timeout", "seven-minus-three", 12, "liveness", "without a leader"),
    ("timer-not-reset-by-snapshot", "lagging-follower", 1, "liveness", "limits.elections"),
    ("back-up-by-one", "old-leader-with-a-long-tail", 1, "liveness", "limits.append_rejections"),
    ("prev-below-snapshot", "lagging-follower", 1, "liveness", "committed nothing"),
    ("heartbeats-without-entries", "flicker", 1, "liveness", "limits.ok_gap_ms"),
    ("ack-before-sync", "crash-loop", 0, "safety", "durable-before-ack broken"),
    ("last-included-term-forgotten", "empty-logs", 0, "safety", "conformance broken"),
    ("stale-tail", "crash-loop", 5, "crash", "does not join on to a log"),
    (
        "vote-before-persisted",
        "amnesia",
        1,
        "safety",
        "it counts the vote of n3 in t2, which has not said so",
    ),
    ("vote-without-log-check", "crash-loop", 2, "safety", "HandlePreVoteRequest refused"),
    // https://aphyr.com/posts/316-jepsen-etcd-and-consul
    ("read-not-confirmed", "stale-reads", 0, "safety", "real time: it took effect at"),
    // https://github.com/etcd-io/etcd/issues/7331
    ("read-before-commit-in-term", "stale-reads", 2, "safety", "it lets reads see"),
    // https://github.com/etcd-io/etcd/pull/21423
    ("read-session-reused", "stale-reads", 2, "safety", "real time: it took effect at"),
    // https://github.com/tikv/tikv/issues/1593
    ("lease-through-transfer", "lease-transfer", 0, "safety", "real time: it took effect at"),
    // https://github.com/tikv/tikv/issues/964
    ("lease-not-shortened", "lease-drift", 4, "safety", "real time: it took effect at"),
    ("lease-judged-early", "lease-judged-early", 0, "safety", "real time: it took effect at"),
    // https://aphyr.com/posts/330-jepsen-rethinkdb-2-2-3-reconfiguration
    ("any-life-counts", "wiped-and-back", 0, "safety", "AdvanceCommitIndex refused"),
    // https://github.com/databendlabs/openraft/commit/6c0ccaf3
    ("joint-counts-old-only", "joint-under-partition", 0, "safety", "AdvanceCommitIndex refused"),
    ("change-without-joint", "joint-under-partition", 0, "safety", "in one step"),
    // https://github.com/camunda/camunda/issues/57386
    ("restart-forgets-configuration", "membership-churn", 5, "safety", "which is no voter"),
    // https://github.com/etcd-io/etcd/issues/7280
    ("configuration-on-commit", "membership-churn", 0, "safety", "conformance broken"),
    // https://github.com/ClickHouse/ClickHouse/pull/105784
    ("snapshot-of-latest-configuration", "membership-churn", 4, "safety", "Restart refused"),
    // https://github.com/CurvineIO/curvine/issues/676
    ("sessions-filter-nothing", "sessions", 0, "safety", "and again at"),
    ("sessions-not-in-snapshot", "sessions", 0, "safety", "their sessions differ after entry"),
    ("expired-session-applied", "few-sessions", 0, "safety", "and again at"),
    // https://www.usenix.org/conference/fast18/presentation/alagappan
    ("damage-acknowledged", "rot", 0, "safety", "HandleAppendEntriesResponse refused"),
    ("suspect-votes-count", "blackout", 0, "safety", "told by nobody"),
];

/// Who asks before an election does not start one that it would lose: this bug shows without pre-vote.
const WITHOUT_PREVOTE: &str = "timer-not-reset-by-snapshot";

/// What is found is found again, in a process of its own, and the same run without the bug is sound.
#[test]
fn planted_bugs_are_found_and_named() {
    for (bug, plan, seed, verdict, what) in FOUND {
        let tool = Tool::new();
        let plan = shipped(&format!("{plan}.toml"));
        let prevote = format!("cluster.features.prevote={}", bug != WITHOUT_PREVOTE);
        let seed = seed.to_string();
        let set =
            ["--seed", &seed, "--set", "cluster.storage=memory", "--set", "sim.recheck=0", "--set", &prevote];
        let run = |more: &[&str]| tool.run(&plan, &[&set, more].concat());
        let (code, found) = run(&["--plant", bug]);
        let found = &found[0];
        assert_eq!(found["verdict"], verdict, "{bug}: {}", found["reasons"]);
        assert!(found["reasons"].to_string().contains(what), "{bug}: {}", found["reasons"]);
        let (again_code, again) = run(&["--plant", bug]);
        assert_eq!((again_code, &again[0]["event_hash"]), (code, &found["event_hash"]), "{bug}");
        assert_eq!(run(&[]).0, 0, "{bug}: without it all is well");
    }
}

#[test]
fn a_panic_in_a_task_of_a_node_ends_with_6() {
    let tool = Tool::new();
    let said = tool.call(&["run", &shipped("quickstart.toml"), "--plant", "panic"]);
    assert_eq!(said.code, 6, "{}{}", said.out, said.err);
    assert!(said.out.contains("NODE CRASHED") && said.out.contains("the planted panic"), "{}", said.out);
}

/// Virtual time stands still for whoever never waits: it is told who that is, and nobody waits for the end.
#[test]
fn a_node_that_spins_ends_with_6() {
    let tool = Tool::new();
    let bug = ["--plant", "clock-waits-for-disk"];
    let said = tool.call(&[&["run", &shipped("nightly-followers.toml"), "--seed", "0"], &bug[..]].concat());
    assert_eq!(said.code, 6, "{}{}", said.out, said.err);
    assert!(said.out.contains(" spins: a deadline of it has passed"), "{}", said.out);
}

/// A leak of determinism is found by whoever runs a seed twice, which says where the runs part.
#[test]
fn a_run_that_is_not_the_same_twice_ends_with_4_and_the_first_event_that_differs() {
    let tool = Tool::new();
    let plan = shipped("quickstart.toml");
    let said = tool.call(&["determinism", &plan, "--plant", "leak", "--set", "run.duration=4s"]);
    assert_eq!(said.code, 4, "{}{}", said.out, said.err);
    assert!(said.out.contains("parted    quickstart, seed 1: "), "{}", said.out);
    let said = tool.call(&["determinism", &plan, "--set", "run.duration=4s", "--times", "3"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.out.contains("quickstart, 3 runs a seed: 0 of 1 went two ways;"), "{}", said.out);

    let recheck = ["--plant", "leak", "--set", "sim.recheck=1", "--set", "run.duration=4s"];
    let (code, results) = tool.run(&plan, &recheck);
    assert_eq!((code, &results[0]["verdict"]), (4, &"divergence".into()), "{}", results[0]["reasons"]);
}
