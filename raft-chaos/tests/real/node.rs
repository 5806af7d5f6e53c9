//! `raft-chaos node` and `client`: real processes that are killed, stopped, added and removed.

use std::collections::BTreeMap;
use std::fs;

use raft_chaos::node::{Happening, Line, NodeEvent};
use raft_core::node::{Environment as _, TokioEnvironment};
use raft_core::{ClusterId, Event, RoleName};
use raft_net::{Client, TcpNet};
use serde_json::json;

use crate::nodes::{LIMIT, Nodes, until};
use crate::tool::{Said, Tool};

const ALL: &[u64] = &[1, 2, 3];

#[test]
fn three_nodes_lose_their_leader_and_nothing_else() {
    let mut nodes = Nodes::cluster(3);
    assert!(nodes.done(ALL, &["put", "colour", "green"]).starts_with("done by entry "));
    assert_eq!(nodes.done(ALL, &["get", "colour"]), "green");
    let peers = nodes.peers(3);

    let leader = nodes.leader(ALL);
    nodes.kill(leader);
    let others: Vec<_> = ALL.iter().copied().filter(|id| *id != leader).collect();
    nodes.done(ALL, &["append", "colour", "ish"]);
    // One that is reached by name finds the rest by itself.
    assert_eq!(nodes.done(&others[..1], &["get", "colour"]), "greenish");

    nodes.start(leader, &["--peers", &peers]);
    nodes.is_ready(leader);
    let applied = nodes.measured(others[0], "raft_applied_index").unwrap();
    until("it catches up", || match nodes.measured(leader, "raft_applied_index")? {
        now if now >= applied => Ok(()),
        now => Err(format!("{now} of {applied}")),
    });

    // One that is told to end hands over first: nobody has to lose patience.
    let leader = nodes.leader(ALL);
    assert_eq!(nodes.stop(leader).code(), Some(0), "{}", nodes.log(leader));
    assert!(nodes.log(leader).contains("stopped in order"), "{}", nodes.log(leader));
    let others: Vec<_> = ALL.iter().copied().filter(|id| *id != leader).collect();
    let next = nodes.leader(&others);
    assert_eq!(nodes.measured(next, "raft_elections_won_total{cause=\"transfer\"}"), Ok(1.0));
    assert_eq!(nodes.done(&others, &["get", "colour"]), "greenish");
}

/// Each row: what is asked, the exit code, and what is printed.
#[test]
fn a_client_says_whether_it_was_done() {
    let mut nodes = Nodes::cluster(1);
    for (words, code, out) in [
        (&["get", "k"][..], 1, "no value under k"),
        (&["cas", "k", "--absent", "a"], 0, "done by entry"),
        (&["cas", "k", "--absent", "b"], 1, "not done: what is under k is not null"),
        (&["cas", "k", "b", "c"], 1, "not done: what is under k is not b"),
        (&["cas", "k", "a", "c"], 0, "done by entry"),
        (&["append", "k", "d"], 0, "done by entry"),
        (&["get", "k"], 0, "cd"),
        (&["delete", "k"], 0, "done by entry"),
        (&["get", "k"], 1, "no value under k"),
        (&["snapshot"], 0, "n1 has a snapshot of all up to entry"),
        (&["transfer", "1"], 0, "n1 leads"),
        (&["transfer", "2"], 1, "the target is not a voter"),
        (&["promote", "7"], 1, "n7 is no learner; add it first, with add-learner 7 HOST:PORT"),
        (&["remove", "7"], 1, "n7 is no member"),
        (&["remove", "1"], 1, "voters: there are none"),
        (
            &["add-learner", "7", "127.0.0.1:1"],
            1,
            "start it first, as in raft-chaos node --id 7 --listen 127.0.0.1:1",
        ),
        (&["cas", "k", "a"], 64, "give what is there and what is to be there, or --absent"),
        (&["get", "k", "--cluster", "2"], 1, "n1 belongs to cluster 1, not to cluster 2"),
        (&["get", "k", "--servers", "nowhere"], 64, "servers: \"nowhere\" is no address"),
    ] {
        let said = nodes.ask(&[1], words);
        let told = if code == 0 { &said.out } else { &said.err };
        assert_eq!(said.code, code, "{words:?}: {told}");
        assert!(told.contains(out), "{words:?}: {told}");
    }
    assert!(nodes.done(&[1], &["status"]).contains("n1    "));
    let got = nodes.json(&[1], &["cas", "k", "--absent", "z"]);
    assert_eq!((&got["exit_code"], &got["swapped"], &got["schema"]), (&json!(0), &json!(true), &json!(1)));
    let address = nodes.address(1);
    nodes.kill(1);
    // Nobody took it: certainly not done.
    let said = nodes.tool.call(&["client", "--servers", &address, "--timeout", "300ms", "put", "k", "v"]);
    assert_eq!(said.code, 1, "{}", said.err);
}

#[test]
fn nodes_come_and_go_while_others_serve() {
    let mut nodes = Nodes::cluster(3);
    nodes.done(ALL, &["put", "a", "1"]);
    let (first, new) = (nodes.address(1), nodes.address(4));
    nodes.start(4, &["--join", &first]);
    nodes.lives(4);
    assert_eq!(
        nodes.done(ALL, &["add-learner", "4", &new]).split('#').next(),
        Some("the members are n1,n2,n3+n4")
    );
    nodes.is_ready(4);
    nodes.done(ALL, &["promote", "4"]);

    nodes.kill(2);
    nodes.done(&[1, 3], &["put", "a", "2"]);
    nodes.done(&[1, 3], &["remove", "2"]);
    let members = nodes.json(&[3], &["members"]);
    let voters = &members["membership"]["configured"]["configuration"]["voters"];
    let ids: Vec<_> = voters.as_array().unwrap().iter().map(|voter| voter["id"].as_u64().unwrap()).collect();
    assert_eq!(ids, [1, 3, 4]);
    assert!(nodes.done(&[3], &["members"]).contains("n4    voter  "));

    // All of them start again. The new one was told once where the others are, and they where it is.
    for id in [1, 3, 4] {
        assert_eq!(nodes.stop(id).code(), Some(0), "{}", nodes.log(id));
    }
    let peers = nodes.peers(3);
    nodes.start(4, &[]);
    nodes.start(3, &["--peers", &peers]);
    assert_eq!(nodes.done(&[4], &["get", "a"]), "2");
    nodes.start(1, &["--peers", &peers]);
    nodes.done(&[4], &["transfer", "4"]);
    assert_eq!(nodes.leader(&[1]), 4);
}

/// A command line of a node with the directory of n1, on addresses that are free.
fn on_n1(nodes: &mut Nodes, more: &[&str]) -> Said {
    let peers = nodes.peers(1);
    let (listen, http) = (nodes.address(9), nodes.http(9));
    let mut arguments = vec!["node", "--data", "n1", "--peers", &peers, "--listen", &listen, "--http", &http];
    arguments.extend(more);
    if !more.contains(&"--id") {
        arguments.extend(["--id", "1"]);
    }
    nodes.tool.call(&arguments)
}

fn assert_says(said: &Said, code: i32, what: &[&str]) {
    assert_eq!(said.code, code, "{}", said.err);
    what.iter().for_each(|what| assert!(said.err.contains(what), "{what:?} is not in {}", said.err));
}

/// What keeps a node from running it says, with the thing, the cure and the status.
#[test]
fn what_keeps_a_node_from_running_is_told_with_its_cure() {
    let mut nodes = Nodes::cluster(1);
    let taken = nodes.address(1);
    let at_taken = format!("2={taken}");
    let said = nodes.tool.call(&["node", "--id", "2", "--peers", &at_taken, "--data", "n2"]);
    assert_says(
        &said,
        69,
        &["listen", &taken, "another process listens there: stop it, or give another address"],
    );
    let said =
        nodes.tool.call(&["node", "--id", "2", "--peers", &at_taken, "--data", "n2", "--http", &taken]);
    assert_says(&said, 69, &[&format!("http: {taken}"), "another process listens there"]);
    let said = on_n1(&mut nodes, &[]);
    assert_says(&said, 69, &["directory n1: in use by another store; stop that one first"]);

    assert_eq!(nodes.stop(1).code(), Some(0));
    for (more, code, what) in [
        (&["--id", "2"][..], 64, "it is the directory of n1, not of n2"),
        (&["--cluster", "9"], 64, "the directory is of cluster 1; start the server in that one"),
        (&["--heartbeat", "100ms"], 64, "at most half the shortest election timeout"),
        (&["--disk-patience", "0s"], 64, "disk_patience: 0 is no time"),
        (&["--tls-ca", "ca.pem"], 64, "give all three, or none"),
        (&["--config", "no.toml"], 64, "config no.toml: "),
    ] {
        assert_says(&on_n1(&mut nodes, more), code, &[what]);
    }
    fs::write(nodes.tool.path("n1/CURRENT"), "MANIFEST-999999\n").unwrap();
    let cure = ["n1/CURRENT", "raft-chaos inspect n1 --verify", "raft-chaos recover"];
    assert_says(&on_n1(&mut nodes, &[]), 74, &cure);
}

/// A disk that takes no more ends the node, with what is to be done.
#[test]
#[cfg(target_os = "linux")]
fn a_node_whose_disk_refuses_has_a_status_of_its_own() {
    let mut nodes = Nodes::new();
    let (peers, value) = (nodes.peers(1), "v".repeat(100_000));
    nodes.start_on_a_small_disk(1, &["--peers", &peers]);
    nodes.is_ready(1);
    let refused = (0..20).map(|_| nodes.ask(&[1], &["put", "k", &value])).find(|said| said.code != 0);
    // The command is in the leader's log, which may come back.
    assert_eq!(refused.map(|said| said.code), Some(2));
    assert_eq!(nodes.ends(1).code(), Some(74), "{}", nodes.log(1));
    for what in ["raft-chaos: disk: ", "mend the disk, then start the server again"] {
        assert!(nodes.log(1).contains(what), "{what:?} is not in {}", nodes.log(1));
    }
}

/// Clients that come until they are refused leave room for peers, however few files a node may have: without the other node
/// neither is of use.
#[test]
fn clients_keep_no_peer_from_a_node() {
    let mut nodes = Nodes::new();
    let peers = nodes.peers(2);
    nodes.start_limited("ulimit -n 800", 1, &["--peers", &peers]);
    nodes.lives(1);
    let (address, clock) = (nodes.address(1), TokioEnvironment::new());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let connect = || {
        let deadline = clock.now().after(LIMIT);
        runtime.block_on(Client::connect(&TcpNet, clock, ClusterId(1), &address, deadline))
    };
    // There are 512 files for peers and the like, and 256 for those who have not said who they are.
    let clients: Vec<_> = (0..800 - 512 - 256).map(|_| connect().unwrap()).collect();
    let refused = connect().err().unwrap().to_string();
    assert!(
        refused.contains("n1 has 32 connections of clients, and takes no more (connections_max)"),
        "{refused}"
    );
    assert!(nodes.log(1).contains("raise ulimit -n"), "{}", nodes.log(1));
    nodes.start(2, &["--peers", &peers]);
    (1..=2).for_each(|id| nodes.is_ready(id));
    drop(clients);
    nodes.done(&[1, 2], &["put", "k", "v"]);
}

/// Flags win over the environment, and that over the file.
#[test]
fn a_node_is_told_by_flags_variables_and_a_file() {
    let tool = Tool::new();
    let said = |file: &str, variables: &[(&str, &str)], flags: &[&str]| {
        fs::write(tool.path("node.toml"), file).unwrap();
        let arguments = [&["node", "--config", "node.toml"][..], flags].concat();
        let said = tool.call_with(&arguments, variables);
        assert_eq!(said.code, 64, "{}", said.err);
        said.err
    };
    let whole = "id = 1\npeers = \"1=127.0.0.1:1\"\ndata = \"n1\"\nkind = \"file\"\n";
    assert!(said(whole, &[], &[]).contains("kind: there is no \"file\""));
    assert!(said(whole, &[("RAFT_NODE_KIND", "variable")], &[]).contains("there is no \"variable\""));
    let flag = said(whole, &[("RAFT_NODE_KIND", "variable")], &["--kind", "flag"]);
    assert!(flag.contains("there is no \"flag\""), "{flag}");
    let unknown = said("id = 1\nlisten-at = \"a:1\"\n", &[], &[]);
    for what in ["config node.toml", "line 2", "unknown field `listen-at`", "`listen`"] {
        assert!(unknown.contains(what), "{what:?} is not in {unknown}");
    }
}

/// What happens in a node stands in a file, as a simulation tells it, and what the state machine did.
#[test]
fn a_node_tells_what_happens_in_it() {
    let mut nodes = Nodes::new();
    let peers = nodes.peers(1);
    nodes.start(1, &["--peers", &peers, "--events", "n1.events"]);
    nodes.is_ready(1);
    nodes.done(&[1], &["put", "k", "v"]);
    nodes.done(&[1], &["get", "k"]);
    assert_eq!(nodes.stop(1).code(), Some(0));
    let text = fs::read_to_string(nodes.tool.path("n1.events")).unwrap();
    let lines: Vec<Line> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.is_sorted_by_key(|line| line.time_ns));
    let place = |what: &str, is: &dyn Fn(&Happening) -> bool| {
        lines.iter().position(|line| is(&line.happening)).unwrap_or_else(|| panic!("no {what} in\n{text}"))
    };
    let order = [
        place("start", &|event| matches!(event, Happening::Node(NodeEvent::Started { .. }))),
        place("leader", &|event| matches!(event, Happening::Raft(Event::Role { to: RoleName::Leader, .. }))),
        place("command", &|event| matches!(event, Happening::Node(NodeEvent::Applied { .. }))),
        place("query", &|event| matches!(event, Happening::Node(NodeEvent::Answered { .. }))),
        place("end", &|event| *event == Happening::Node(NodeEvent::Ended { status: 0, why: None })),
    ];
    assert!(order.is_sorted(), "{order:?}");
    assert_eq!(order[4] + 1, lines.len());
}

/// Every metric that the README lists is exposed, with its type, and no other is.
#[test]
fn the_metrics_are_those_of_the_list() {
    let mut nodes = Nodes::cluster(1);
    let (status, page) = nodes.get(1, "/metrics").unwrap();
    assert_eq!(status, 200);
    let exposed: BTreeMap<_, _> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .map(|(name, kind)| (name.to_owned(), kind.to_owned()))
        .collect();
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    let listed: BTreeMap<_, _> = readme
        .lines()
        .filter_map(|line| line.strip_prefix("| `raft_"))
        .map(|row| {
            let cells: Vec<_> = row.split(" | ").collect();
            let name = cells[0].trim_end_matches('`').split('{').next().unwrap();
            (format!("raft_{name}"), cells[1].to_owned())
        })
        .collect();
    assert_eq!(listed, exposed);
    assert_eq!(nodes.measured(1, "raft_role{role=\"leader\"}"), Ok(1.0));
    assert_eq!(nodes.get(1, "/nothing").unwrap().0, 404);
}
