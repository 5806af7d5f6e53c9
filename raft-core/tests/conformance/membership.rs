//! Changes of membership: steps that the specification allows, and steps that it does not.

use raft_core::conformance::Action;

use super::{ASKED, COMMITTED, ELECTED, GRANTED, REPLICATED, Row};

/// n1 has committed an entry of its term, and announces that n4 is to vote instead of n3.
const ANNOUNCED: &str = "1 appends 2@1, 1 configures 2@1 1,2,3>1,2,4, 2 appends 2@1, 2 configures 2@1 1,2,3>1,2,4, \
                         2 accepts 1 2, 2 durable 1 1 2, 1 durable 1 1 2, 1 matches 2 2, 1 commits 1 2@1";
/// n4 has that on disk.
const CAUGHT_UP: &str = "4 starts, 4 adopts 1, 4 follows 1 1, 4 appends 1@1, 4 appends 2@1, 4 accepts 1 2, \
                         4 durable 1 - 2, 1 matches 4 2";
/// Joint consensus begins.
const JOINT: &str = "1 appends 3@1, 1 configures 3@1 1,2,3&1,2,4, 2 appends 3@1, 2 configures 3@1 1,2,3&1,2,4, \
                     2 accepts 1 3, 2 durable 1 1 3, 1 durable 1 1 3";
/// n1 removes itself, and n2 and n3 have that.
const REMOVING: &str = "1 appends 2@1, 1 configures 2@1 1,2,3&2,3, 2 appends 2@1, 2 configures 2@1 1,2,3&2,3, 2 accepts 1 2, \
     2 durable 1 1 2, 1 durable 1 1 2, 3 adopts 1, 3 follows 1 1, 3 appends 1@1, 3 appends 2@1, 3 accepts 1 2, \
     3 durable 1 - 2, 1 matches 2 2, 1 matches 3 2, 1 commits 1 2@1, 1 appends 3@1, 1 configures 3@1 2,3, \
     2 appends 3@1, 2 accepts 1 3, 2 durable 1 1 3, 3 appends 3@1, 3 accepts 1 3, 3 durable 1 - 3, \
     1 matches 2 3, 1 matches 3 3";

/// Each changes one step at a time.
pub(crate) const ROWS: &[Row] = &[
    (
        Action::ChangeMembership,
        &[ASKED, GRANTED, ELECTED, REPLICATED, COMMITTED],
        "1 appends 2@1, 1 configures 2@1 1,2,3>1,2,4",
        "1 appends 2@1, 1 configures 2@1 1,2,4",
    ),
    (
        Action::ChangeMembership,
        &[ASKED, GRANTED, ELECTED, REPLICATED, COMMITTED],
        "1 appends 2@1, 1 configures 2@1 1,2,3+4",
        "1 appends 2@1, 1 configures 2@1 1,2,3+4>1,2",
    ),
    // Something of its own term has to be committed first.
    (
        Action::ChangeMembership,
        &[ASKED, GRANTED, ELECTED, REPLICATED],
        "1 matches 2 1, 1 commits 0 1@1, 1 appends 2@1, 1 configures 2@1 1,2,3&1,2",
        "1 appends 2@1, 1 configures 2@1 1,2,3&1,2",
    ),
    (
        Action::ChangeMembership,
        &[ASKED, GRANTED, ELECTED, REPLICATED, COMMITTED, ANNOUNCED, CAUGHT_UP],
        "1 appends 3@1, 1 configures 3@1 1,2,3&1,2,4",
        "1 appends 3@1, 1 configures 3@1 1,2,3&1,2,5",
    ),
    // Joint consensus waits until whoever is to vote has caught up.
    (
        Action::ChangeMembership,
        &[ASKED, GRANTED, ELECTED, REPLICATED, COMMITTED, ANNOUNCED],
        "4 starts, 4 adopts 1, 4 follows 1 1, 4 appends 1@1, 4 appends 2@1, 4 accepts 1 2, 4 durable 1 - 2, \
         1 matches 4 2, 1 appends 3@1, 1 configures 3@1 1,2,3&1,2,4",
        "4 starts, 4 adopts 1, 4 follows 1 1, 4 appends 1@1, 4 accepts 1 1, 4 durable 1 - 1, 1 matches 4 1, \
         1 appends 3@1, 1 configures 3@1 1,2,3&1,2,4",
    ),
    (
        Action::ChangeMembership,
        &[ASKED, GRANTED, ELECTED, REPLICATED, COMMITTED, ANNOUNCED],
        "1 appends 3@1, 1 configures 3@1 1,2,3",
        "1 appends 3@1, 1 configures 3@1 1,2,4",
    ),
    // The next step waits until the last one is committed.
    (
        Action::ChangeMembership,
        &[ASKED, GRANTED, ELECTED, REPLICATED, COMMITTED, ANNOUNCED, CAUGHT_UP, JOINT],
        "1 matches 2 3, 1 commits 2 3@1, 1 appends 4@1, 1 configures 4@1 1,2,4",
        "1 appends 4@1, 1 configures 4@1 1,2,4",
    ),
    // Who follows goes by the last one in its log, and by no other.
    (
        Action::ChangeMembership,
        &[
            ASKED,
            GRANTED,
            ELECTED,
            REPLICATED,
            COMMITTED,
            "1 appends 2@1, 1 configures 2@1 1,2,3+4, 2 appends 2@1",
        ],
        "2 configures 2@1 1,2,3+4",
        "2 configures 2@1 1,2,3",
    ),
    // In joint consensus a majority of the new voters is needed too.
    (
        Action::AdvanceCommitIndex,
        &[
            ASKED,
            GRANTED,
            ELECTED,
            REPLICATED,
            COMMITTED,
            "1 appends 2@1, 1 configures 2@1 1,2,3>1,4,5, 2 appends 2@1, 2 configures 2@1 1,2,3>1,4,5, \
             2 accepts 1 2, 2 durable 1 1 2, 1 durable 1 1 2, 1 matches 2 2, 1 commits 1 2@1, \
             4 starts, 4 adopts 1, 4 follows 1 1, 4 appends 1@1, 4 appends 2@1, 4 accepts 1 2, 4 durable 1 - 2, \
             1 matches 4 2, 5 starts, 5 adopts 1, 5 follows 1 1, 5 appends 1@1, 5 appends 2@1, 5 accepts 1 2, \
             5 durable 1 - 2, 1 matches 5 2, 1 appends 3@1, 1 configures 3@1 1,2,3&1,4,5, 2 appends 3@1, \
             2 accepts 1 3, 2 durable 1 1 3, 1 durable 1 1 3, 4 appends 3@1, 4 accepts 1 3, 4 durable 1 - 3",
        ],
        "1 matches 2 3, 1 matches 4 3, 1 commits 2 3@1",
        "1 matches 2 3, 1 commits 2 3@1",
    ),
    // Who was removed asks for no votes once that is committed; before, it may be needed.
    (
        Action::Timeout,
        &[ASKED, GRANTED, ELECTED, REPLICATED, COMMITTED, REMOVING],
        "1 steps-down 1, 1 candidate 2",
        "1 commits 2 3@1, 1 steps-down 1, 1 candidate 2",
    ),
    // A leader that was removed makes no more entries once that is committed.
    (
        Action::ClientRequest,
        &[ASKED, GRANTED, ELECTED, REPLICATED, COMMITTED, REMOVING],
        "1 appends 4@1",
        "1 commits 2 3@1, 1 appends 4@1",
    ),
];
