//! What a server may find on its disk when it starts again.

use raft_core::conformance::Action;
use raft_core::{HardState, LogOutline, NodeId, Restored, Snapshot, Term};

use crate::story::{configuration, go_on, id, snapshot, tell};
use crate::{ASKED, COMMITTED, ELECTED, FORKED, GRANTED, REPLICATED};

fn restored(term: u64, vote: u64, whole: Option<&str>, log: &[&str]) -> Restored {
    let base = whole.map_or("0@0", |last| last);
    let mut outline = LogOutline::new(id(base));
    for entry in log {
        assert!(outline.append(id(entry)), "{entry} does not follow");
    }
    let snapshot =
        whole.map(|last| Snapshot { id: snapshot(last), configured: configuration("1,2,3").into() });
    let voted_for = (vote > 0).then(|| NodeId::new(vote));
    let hard_state = HardState { current_term: Term::new(term), voted_for };
    Restored { hard_state, snapshot, log: outline, ..Restored::default() }
}

/// n1 has 1@t1 on disk and has been told of t2, in which it is to replace 2@t1. Each row: what it finds, and
/// whether a crash may leave that.
#[test]
fn a_server_starts_with_what_it_had_on_disk_or_a_little_more() {
    let story = [ASKED, GRANTED, ELECTED, REPLICATED, COMMITTED, FORKED, "1 snapshots 1@1"].join(", ");
    let story = [&story, "1 removes 2 1@1, 1 appends 2@2"].join(", ");
    for (found, allowed) in [
        (restored(1, 1, None, &["1@1"]), true),
        (restored(1, 1, None, &["1@1", "2@1"]), true),
        (restored(2, 0, None, &["1@1", "2@2"]), true),
        (restored(2, 0, Some("1@1"), &["2@2"]), true),
        // Its term, its vote or its log went back, or came from nowhere.
        (restored(0, 0, None, &["1@1"]), false),
        (restored(3, 0, None, &["1@1"]), false),
        (restored(1, 2, None, &["1@1"]), false),
        (restored(1, 0, None, &["1@1"]), false),
        (restored(2, 1, None, &["1@1"]), false),
        (restored(1, 1, None, &[]), false),
        (restored(1, 1, None, &["1@1", "2@1", "3@1"]), false),
        // What was behind a snapshot does not go with it, and nobody took that one.
        (restored(2, 0, Some("1@1"), &["2@1", "3@2"]), false),
        (restored(2, 0, Some("2@2"), &[]), false),
    ] {
        let mut specification = tell(&story).unwrap();
        let refused = specification.started(NodeId::new(1), &found).err();
        assert_eq!(refused.is_none(), allowed, "{found:?}: {refused:?}");
        assert!(refused.is_none_or(|refused| refused.action == Action::Restart));
    }
}

/// A new server has nothing on its disk.
#[test]
fn a_server_starts_with_nothing_at_first() {
    for (found, allowed) in [(Restored::default(), true), (restored(1, 0, None, &[]), false)] {
        let mut specification = tell("").unwrap();
        assert_eq!(specification.started(NodeId::new(1), &found).is_ok(), allowed);
    }
}

/// What a server said before it crashed is said, and counts; what it had only decided is not.
#[test]
fn a_crash_takes_back_what_was_not_durable_and_nothing_else() {
    for (before, allowed) in [(GRANTED, true), ("2 adopts 1, 2 votes 1 1", false)] {
        let mut specification = tell(&[ASKED, before].join(", ")).unwrap();
        let vote = if allowed { 1 } else { 0 };
        let found = restored(1, vote, None, &[]);
        assert!(specification.started(NodeId::new(2), &found).is_ok());
        assert_eq!(go_on(&mut specification, "1 counts 2 1").is_ok(), allowed);
    }
}

/// A state machine may keep what it has applied; then that is committed in the next life, too, whoever leads.
#[test]
fn what_was_applied_in_an_earlier_life_is_committed() {
    for (applied, allowed) in [("1 applies 1", true), ("1 ignores 2 1", false)] {
        let mut specification =
            tell(&[ASKED, GRANTED, ELECTED, REPLICATED, COMMITTED, applied].join(", ")).unwrap();
        assert!(specification.started(NodeId::new(1), &restored(1, 1, None, &["1@1"])).is_ok());
        assert_eq!(go_on(&mut specification, "1 commits 0 1@1").is_ok(), allowed);
    }
}

/// A server that may have lost the end of its log gives its vote, and it counts where everybody gives one.
#[test]
fn a_vote_of_a_server_whose_log_may_have_been_longer_counts_where_all_vote() {
    let counted = "1 counts 1 1, 2 adopts 1, 2 votes 1 1, 2 durable 1 1 0, 1 counts 2 1";
    let third = "3 adopts 1, 3 votes 1 1, 3 durable 1 1 0, 1 counts 3 1";
    for (suspect, more, allowed) in [(false, "", true), (true, "", false), (true, third, true)] {
        let mut specification = tell(ASKED).unwrap();
        let found = Restored { suspect_tail: suspect, ..Restored::default() };
        specification.started(NodeId::new(2), &found).unwrap();
        go_on(&mut specification, counted).unwrap();
        if !more.is_empty() {
            go_on(&mut specification, more).unwrap();
        }
        let refused = go_on(&mut specification, "1 leads 1").err();
        assert_eq!(refused.map(|refused| refused.action), (!allowed).then_some(Action::BecomeLeader));
    }
}

/// It trusts its log when it knows of something that is committed in its term.
#[test]
fn a_log_that_may_have_been_longer_is_trusted_after_a_commit_of_the_term() {
    for (before, allowed) in [("2 commits 0 1@1, 2 trusts", true), ("2 trusts", false)] {
        let mut specification = tell(&[ASKED, GRANTED, ELECTED, REPLICATED, COMMITTED].join(", ")).unwrap();
        let found = Restored { suspect_tail: true, ..restored(1, 1, None, &["1@1"]) };
        specification.started(NodeId::new(2), &found).unwrap();
        go_on(&mut specification, "2 follows 1 1").unwrap();
        let refused = go_on(&mut specification, before).err();
        assert_eq!(refused.map(|refused| refused.action), (!allowed).then_some(Action::Repair));
    }
}
