//! An entry that was damaged on its way through memory.

use bytes::Bytes;
use raft_core::node::{Node, NodeError, TokioEnvironment};
use raft_core::{
    AppendEntries, ClusterId, Entry, EntryId, Envelope, GroupId, Incarnation, LogIndex, Message, NodeId,
    Payload, Session, Term, Violation,
};
use tokio::sync::mpsc;

use crate::raft;
use crate::world::{Channels, Counter, QuickStore};

/// It is not applied, nor is anything after it: the node stops and says why.
#[tokio::test(start_paused = true)]
async fn a_damaged_entry_is_not_applied() {
    let (id, leader) = (NodeId::new(2), NodeId::new(1));
    let (sender, inbox) = mpsc::channel(1);
    let (store, channels) = (QuickStore::default(), Channels::default());
    let node = raft(id, &[leader, id]);
    let (node, _handle) =
        Node::new(node, store, channels, Counter::default(), TokioEnvironment::new(), inbox);

    let index = LogIndex::new(1);
    let sound = Entry::new(EntryId::new(Term::new(1), index), Payload::Command("x".into()));
    // The state machine would panic, and so say that it was given this.
    let damaged = Entry { payload: Payload::Command(Bytes::from_static(b"panic")), ..sound };
    let entries = vec![damaged].into();
    let append = AppendEntries { prev_log: EntryId::ZERO, entries, leader_commit: index };
    let envelope = Envelope {
        cluster: ClusterId(1),
        group: GroupId(0),
        from: leader,
        incarnation: Incarnation(1),
        to: id,
        term: Term::new(1),
        session: Session(1),
        message: Message::AppendEntries(append),
    };
    sender.send(envelope).await.unwrap();
    match node.run().await {
        Err(NodeError::Violation(violation)) => assert_eq!(violation, Violation::EntryDamaged { index }),
        ended => panic!("{ended:?}"),
    }
}
