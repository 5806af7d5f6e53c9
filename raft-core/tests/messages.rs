//! How many messages a commit takes, and when each follower knows of it (§5.3: "leaders include the highest index
//! they know to be committed in future AppendEntries RPCs (including heartbeats)").

#[path = "../benches/three/mod.rs"]
mod three;

use bytes::Bytes;
use three::Cluster;

/// Each command waits for the one before it: two appends and two replies, and no message whose only news is the
/// commit index. The followers hear of a command with the next one.
#[test]
fn commands_one_after_the_other_take_four_messages_each() {
    let mut cluster = Cluster::new(|_| ());
    let before = cluster.messages;
    for nth in 1..=100 {
        cluster.commit(&Bytes::from_static(b"x"), 1);
        assert_eq!(cluster.messages - before, 4 * nth);
        // The no-op is the first entry.
        assert_eq!(cluster.applied_by_each(), [1 + nth, nth, nth]);
    }
}

/// After the last command there is no append for its commit to ride on: the next heartbeat tells of it.
#[test]
fn the_next_heartbeat_tells_of_the_last_command() {
    let mut cluster = Cluster::new(|_| ());
    cluster.commit(&Bytes::from_static(b"x"), 1);
    assert_eq!(cluster.applied_by_each(), [2, 1, 1]);
    let before = cluster.messages;
    cluster.pass_time();
    assert_eq!(cluster.applied_by_each(), [2, 2, 2]);
    assert_eq!(cluster.messages - before, 4);
}

/// Commands that do not wait for each other, each in appends of its own: no more messages than that, however many
/// commits a round of replies makes.
#[test]
fn commands_that_follow_each_other_take_four_messages_each_at_most() {
    let mut cluster = Cluster::new(|_| ());
    let before = cluster.messages;
    for nth in 1..=20 {
        for _ in 0..8 {
            cluster.propose(&Bytes::from_static(b"x"), 1);
        }
        cluster.settle();
        assert!(cluster.messages - before <= 4 * 8 * nth);
        assert_eq!(cluster.applied_by_each(), [1 + 8 * nth, 1 + 8 * (nth - 1), 1 + 8 * (nth - 1)]);
    }
}
