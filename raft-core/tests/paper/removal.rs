//! Who is needed during and after a change, and how a server learns that it was removed.

use std::time::Duration;

use raft_core::{ChangeError, Config, EntryId, Event, Input, Message, NodeId, NotMember, RoleName};

use crate::bench::{Bench, append, config, heartbeat, id};
use crate::membership::{change, configure, has_all, in_force, of, servers, to};
use crate::newcomers::elapse;
use crate::reads::leader;

const MS: Duration = Duration::from_millis(1);

/// Whoever says so goes by the configuration of this entry.
fn not_member(index: u64) -> Message {
    Message::NotMember(NotMember { configured: id(1, index) })
}

/// Only those who stay are needed and sent the log from then on.
#[test]
fn a_server_that_was_removed_is_sent_nothing_more() {
    let mut bench = leader(config(3));
    bench.accepts(3, 1);
    assert!(change(&mut bench, &[1, 2], &[]).is_ok());
    assert_eq!(in_force(&bench), to(&[1, 2, 3], &[1, 2], true));
    has_all(&mut bench, 2);
    assert_eq!(in_force(&bench), of(&[1, 2]));
    bench.said.clear();
    bench.wait(50 * MS);
    bench.propose("x");
    bench.wait(50 * MS);
    let mut to: Vec<_> = bench.take_said().into_iter().map(|(to, _, _)| to).collect();
    to.dedup();
    assert_eq!(to, [2]);
    let followers: Vec<_> = bench.raft.followers().iter().map(|known| known.follower).collect();
    assert_eq!(followers, servers(&[2]));
}

/// Thesis 6.2, in joint consensus: a leader gives way an election timeout after it last heard from a majority
/// of the new voters, though it has heard from one of the old ones since.
#[test]
fn a_leader_that_needs_others_from_now_on_has_to_have_heard_them() {
    let mut bench = leader(config(3));
    has_all(&mut bench, 3);
    elapse(&mut bench, 100 * MS, &[]);
    has_all(&mut bench, 3);
    elapse(&mut bench, 150 * MS, &[]);
    has_all(&mut bench, 2);
    elapse(&mut bench, 50 * MS, &[]);
    assert!(change(&mut bench, &[1, 3], &[]).is_ok());
    assert_eq!(in_force(&bench), to(&[1, 2, 3], &[1, 3], true));
    elapse(&mut bench, 50 * MS, &[2]);
    assert_eq!(bench.raft.role(), RoleName::Leader, "n3 was heard 250 ms ago");
    elapse(&mut bench, 50 * MS, &[]);
    assert_eq!((bench.raft.role(), bench.raft.counts().gave_way_no_majority), (RoleName::Follower, 1));
}

/// Once joint consensus has begun there is no way back, whatever keeps it from its end.
#[test]
fn joint_consensus_is_not_given_up_while_leadership_is_handed_over() {
    let mut bench = leader(config(3));
    assert!(change(&mut bench, &[1, 4, 5], &[]).is_ok());
    [2, 4, 5].into_iter().for_each(|follower| has_all(&mut bench, follower));
    let joint = bench.raft.configuration().at;
    assert_eq!(in_force(&bench), to(&[1, 2, 3], &[1, 4, 5], true));
    assert_eq!(bench.raft.transfer_leadership(NodeId::new(3)), Ok(()));
    elapse(&mut bench, 250 * MS, &[2, 4]);
    bench.wait(50 * MS);
    // n3 has not come; the change goes on from the next input on.
    assert_eq!((bench.raft.transferring(), bench.raft.commit_index()), (None, joint.index));
    assert_eq!(bench.raft.abandon_change(), Err(ChangeError::UnderWay { configured: joint }));
    bench.step(Input::Tick);
    assert_eq!(in_force(&bench), of(&[1, 4, 5]));
}

/// Nothing leaves it any more, and so no change would ever come of it.
#[test]
fn a_leader_whose_disk_has_failed_takes_no_change() {
    let mut bench = leader(config(3));
    let log = bench.raft.last_log();
    bench.step(Input::WriteFailed);
    let refused = Err(ChangeError::NotLeader { leader: None });
    assert_eq!((change(&mut bench, &[1, 2], &[]), bench.raft.abandon_change()), (refused, refused));
    assert_eq!(bench.raft.last_log(), log);
}

/// A server that its log leaves out may be needed until that is committed. Another one may know that it is.
#[test]
fn a_server_believes_that_it_was_removed_if_it_knows_nothing_later() {
    let mut bench = Bench::with_log(config(3), &[1], 1);
    bench.hear(2, 1, configure(id(1, 1), 1, &of(&[2, 3]), 0));
    bench.hear(2, 1, configure(id(1, 2), 1, &of(&[1, 2, 3]), 0));
    bench.hear(2, 1, configure(id(1, 3), 1, &of(&[2, 3]), 0));
    assert_eq!(bench.raft.removed(), None);
    bench.hear(3, 1, not_member(2));
    assert_eq!(bench.raft.removed(), None, "it was taken back since");
    bench.hear(3, 1, not_member(4));
    assert_eq!(bench.raft.removed(), Some(id(1, 4)));
    assert_eq!(bench.count(&Event::Removed { at: id(1, 4) }), 1);
}

/// A server that follows a leader goes on following it, whatever others say.
#[test]
fn a_server_that_is_told_that_it_was_removed_follows_its_leader() {
    let mut bench = Bench::with_log(config(3), &[1], 1);
    bench.hear(2, 1, heartbeat());
    bench.hear(3, 1, not_member(9));
    assert_eq!((bench.raft.removed(), bench.raft.leader()), (Some(id(1, 9)), Some(NodeId::new(2))));
    bench.hear(2, 1, heartbeat());
    assert_eq!(bench.raft.removed(), None);
}

/// Once, when that is committed, and nobody else's removal.
#[test]
fn a_removal_is_told_once_when_it_is_committed() {
    for (voters, is_out) in [(&[2, 3][..], true), (&[1, 2, 3, 4], false)] {
        let mut bench = Bench::with_log(config(3), &[1], 1);
        bench.hear(2, 1, configure(id(1, 1), 1, &of(voters), 1));
        let removal = Event::Removed { at: id(1, 2) };
        assert_eq!((bench.raft.removed(), bench.count(&removal)), (None, 0));
        bench.hear(2, 1, append(id(1, 2), &[1, 1], 2));
        bench.hear(2, 1, append(id(1, 4), &[], 3));
        bench.hear(2, 1, append(id(1, 4), &[], 4));
        assert_eq!(bench.raft.removed(), is_out.then_some(id(1, 2)), "{voters:?}");
        assert_eq!(bench.count(&removal), usize::from(is_out), "{voters:?}");
    }
}

/// It joins a group that it does not know yet.
#[test]
fn a_server_that_knows_nobody_was_not_removed() {
    let mut bench = Bench::new(Config { bootstrap: None, ..config(3) });
    bench.hear(2, 1, append(EntryId::ZERO, &[1], 1));
    assert_eq!(bench.raft.removed(), None);
    assert!(!bench.events.iter().any(|event| matches!(event, Event::Removed { .. })));
}
