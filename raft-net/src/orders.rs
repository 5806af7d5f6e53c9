//! What operators ask of a server, and what a server says of itself: values that go as the bytes of requests.
//!
//! Both are MessagePack with the names of fields, so that a later version may add one that has a default. A server that
//! does not know what it is asked says so, and does nothing.

use std::collections::BTreeMap;

use bytes::Bytes;
use raft_core::node::{Handle, Membership, NotChanged, NotTransferred, Status};
use raft_core::{ChangeError, EntryId, Member, NodeId, TransferError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::addresses::Addresses;
use crate::client::Outcome;

/// What a server says of itself, and of the cluster as far as it knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What it is.
    pub status: Status,
    /// Who takes part.
    pub membership: Membership,
    /// Where it looks for servers, itself among them.
    pub addresses: BTreeMap<NodeId, String>,
}

/// What an operator has a server do. All but snapshots are for the leader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// Begin to change the members: see [`Handle::change_membership`]. The answer is the entry that it begins with.
    Change {
        /// The entry of the configuration that this was decided on.
        from: EntryId,
        /// Those who are to vote.
        voters: Vec<Member>,
        /// Those who are to learn.
        learners: Vec<Member>,
    },
    /// Give up a change of which joint consensus has not begun. The answer is the entry that says so.
    Abandon,
    /// Hand over leadership. The answer is empty, and comes when that is done.
    Transfer {
        /// To whom.
        to: NodeId,
    },
    /// Take a snapshot as soon as there can be one. The answer is empty, and comes at once.
    Snapshot,
}

/// As bytes; none, which nobody takes for any of these, if they cannot be written.
pub(crate) fn encode(value: &impl Serialize) -> Bytes {
    rmp_serde::to_vec_named(value).map(Bytes::from).unwrap_or_default()
}

/// From bytes, if they are of such a value and nothing else.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &Bytes) -> Option<T> {
    let mut left = &bytes[..];
    let value = rmp_serde::from_read(&mut left).ok()?;
    left.is_empty().then_some(value)
}

fn not_applied(reason: impl ToString, leader_hint: Option<NodeId>) -> Outcome {
    Outcome::NotApplied { reason: reason.to_string(), leader_hint }
}

/// What `node` says of itself.
pub(crate) async fn report(node: &Handle, addresses: &Addresses) -> Outcome {
    match (node.status().await, node.membership().await) {
        (Some(status), Some(membership)) => {
            Outcome::Answered(encode(&Report { status, membership, addresses: addresses.to_map() }))
        }
        (_, _) => not_applied("stopped: ask another server", None),
    }
}

/// Has `node` do what an operator asks.
pub(crate) async fn obey(node: &Handle, order: &Bytes) -> Outcome {
    match decode(order) {
        Some(Order::Change { from, voters, learners }) => {
            changed(node, node.change_membership(from, voters, learners).await).await
        }
        Some(Order::Abandon) => changed(node, node.abandon_change().await).await,
        Some(Order::Transfer { to }) => transferred(node.transfer(to).await),
        Some(Order::Snapshot) => {
            node.snapshot().await;
            Outcome::Answered(Bytes::new())
        }
        None => not_applied("this server knows no such order: ask one of the client's version", None),
    }
}

async fn changed(node: &Handle, changed: Result<EntryId, NotChanged>) -> Outcome {
    match changed {
        Ok(entry) => Outcome::Answered(encode(&entry)),
        Err(NotChanged::Refused(why @ ChangeError::NotLeader { leader: Some(leader) })) => {
            not_applied(why, Some(leader))
        }
        Err(NotChanged::Refused(why @ ChangeError::NothingCommittedInTerm)) => {
            // It soon has: to be asked again.
            not_applied(why, node.status().await.map(|status| status.id))
        }
        Err(why @ (NotChanged::Refused(_) | NotChanged::Overloaded)) => not_applied(why, None),
        Err(why @ NotChanged::Stopped) => Outcome::Unknown { reason: why.to_string() },
    }
}

fn transferred(transferred: Result<(), NotTransferred>) -> Outcome {
    match transferred {
        Ok(()) => Outcome::Answered(Bytes::new()),
        Err(NotTransferred::Refused(why @ TransferError::NotLeader { leader: Some(leader) })) => {
            not_applied(why, Some(leader))
        }
        Err(
            why @ (NotTransferred::Refused(_)
            | NotTransferred::Elsewhere { .. }
            | NotTransferred::Nobody
            | NotTransferred::Overloaded),
        ) => not_applied(why, None),
        Err(why @ (NotTransferred::Removed | NotTransferred::Stopped)) => {
            Outcome::Unknown { reason: why.to_string() }
        }
    }
}

#[cfg(test)]
mod tests {
    use raft_core::{Incarnation, LogIndex, Term};

    use super::*;

    /// Each row: an order, and its bytes: these never change.
    #[test]
    fn every_order_has_its_golden_bytes() {
        let from = EntryId::new(Term::new(2), LogIndex::new(5));
        let voters = vec![NodeId::new(1).into(), Member::bound(NodeId::new(3), Incarnation(7))];
        let change: &[u8] = b"\x81\xa6Change\x83\xa4from\x82\xa4term\x02\xa5index\x05\xa6voters\x92\x82\xa2id\x01\xabincarnation\xc0\
            \x82\xa2id\x03\xabincarnation\x07\xa8learners\x90";
        for (order, bytes) in [
            (Order::Change { from, voters, learners: Vec::new() }, change),
            (Order::Abandon, b"\xa7Abandon"),
            (Order::Transfer { to: NodeId::new(2) }, b"\x81\xa8Transfer\x81\xa2to\x02"),
            (Order::Snapshot, b"\xa8Snapshot"),
        ] {
            assert_eq!(encode(&order), bytes, "{order:?}");
            assert_eq!(decode(&Bytes::from(bytes)), Some(order));
        }
    }

    /// A later version may say more to an earlier one, and order what that does not know.
    #[test]
    fn what_is_not_known_is_passed_over_or_refused() {
        let more = Bytes::from_static(b"\x81\xa8Transfer\x82\xa2to\x02\xa4soon\xc3");
        assert_eq!(decode(&more), Some(Order::Transfer { to: NodeId::new(2) }));
        assert_eq!(decode::<Order>(&Bytes::from_static(b"\xa5Dance")), None);
        assert_eq!(decode::<Order>(&Bytes::from_static(b"\xa7Abandon\x00")), None);
    }
}
