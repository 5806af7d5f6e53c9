//! Leadership transfers (thesis 3.10), as one table: what etcd/raft and raft-rs test them with.

use crate::stage::Stage;

/// n1 leads t1 of three servers.
const LEADS: &str = "timeout n1\nelapse 50\n";

/// Each row: the name that the case has there, what happens, and what the old leader and the target are after it.
const TRANSFERS: &[(&str, &str, &str, &str)] = &[
    ("to an up-to-date node", "transfer n1 n2\nelapse 100", "follower in t2", "leader in t2"),
    (
        "to an up-to-date node, asked of a follower",
        "transfer n2 n3\nelapse 100",
        "leader in t1",
        "follower in t1",
    ),
    (
        "to a slow follower",
        "isolate n2\npropose n1 x\nelapse 100\nheal\ntransfer n1 n2\nelapse 200",
        "follower in t2",
        "leader in t2",
    ),
    (
        "after a snapshot",
        "isolate n2\npropose n1 x\nelapse 50\nsnapshot n1\nelapse 50\nheal\ntransfer n1 n2\nelapse 200",
        "follower in t2",
        "leader in t2",
    ),
    ("to itself", "transfer n1 n1\nelapse 100", "leader in t1", "follower in t1"),
    ("to a server that does not exist", "transfer n1 n9\nelapse 100", "leader in t1", "follower in t1"),
    (
        "that times out",
        "isolate n2\ntransfer n1 n2\nelapse 310\nheal\nelapse 100",
        "leader in t1",
        "follower in t1",
    ),
    (
        "that times out, and then a command",
        "isolate n2\ntransfer n1 n2\nelapse 310\npropose n1 x\nheal\nelapse 200",
        "leader in t1, last 2@t1, durable 2@t1, commit 2",
        "follower in t1, last 2@t1, durable 2@t1, commit 2",
    ),
    (
        "and a command meanwhile",
        "isolate n2\ntransfer n1 n2\npropose n1 x\nelapse 310\nheal\nelapse 200",
        "leader in t1, last 1@t1, durable 1@t1, commit 1",
        "follower in t1, last 1@t1, durable 1@t1, commit 1",
    ),
    (
        "and a vote of a higher term",
        "crash n3 prevote=0\ncrash n1 quorum=0\ntimeout n1\nelapse 50\nisolate n2\ntransfer n1 n2\ntimeout n3\nelapse 50",
        "follower in t3",
        "follower in t2",
    ),
    (
        "there and back",
        "transfer n1 n2\nelapse 100\ntransfer n2 n1\nelapse 100",
        "leader in t3",
        "follower in t3",
    ),
    (
        "and a second one, to another",
        "isolate n2\ntransfer n1 n2\ntransfer n1 n3\nelapse 100\nheal\nelapse 100",
        "follower in t2",
        "leader in t2",
    ),
    (
        "and a second one, to the same, which does not extend it",
        "isolate n2\ntransfer n1 n2\nelapse 200\ntransfer n1 n2\nelapse 110\npropose n1 x\nheal\nelapse 200",
        "leader in t1, last 2@t1, durable 2@t1, commit 2",
        "follower in t1, last 2@t1, durable 2@t1, commit 2",
    ),
    (
        "to a learner",
        "change n1 1,3+2\nelapse 100\ntransfer n1 n2\nelapse 100",
        "leader in t1",
        "follower in t1",
    ),
    (
        "to a server that was removed",
        "change n1 1,3\nelapse 100\ntransfer n1 n2\nelapse 100",
        "leader in t1",
        "follower in t1",
    ),
    (
        "and a change of the members meanwhile, which is refused",
        "isolate n2\ntransfer n1 n2\nchange n1 1,3\nelapse 310\nheal\nelapse 100",
        "leader in t1, last 1@t1, durable 1@t1, commit 1",
        "follower in t1, last 1@t1, durable 1@t1, commit 1",
    ),
    ("by a leader that is removed", "change n1 2,3\nelapse 100", "follower in t1", "leader in t2"),
];

#[test]
fn every_transfer_ends_with_one_leader_or_the_other() {
    for (name, happens, leader, target) in TRANSFERS {
        for options in ["", " quorum=0", " prevote=0"] {
            if options == " prevote=0" && happens.contains("isolate") {
                // Whoever is cut off comes back with a higher term, and then it is no longer about the transfer.
                continue;
            }
            let script =
                format!("cluster 3{options}\n{LEADS}----\n\n{happens}\n----\n\nstate n1\nstate n2\n----\n");
            let heard = Stage::default().play(&script);
            let (_, last) = heard.rsplit_once("----\n").unwrap();
            let becomes = [format!("n1 is {leader}"), format!("n2 is {target}")];
            let is = last.lines().zip(&becomes).all(|(line, becomes)| line.starts_with(becomes));
            assert!(is, "{name},{options}: {heard}");
        }
    }
}
