//! What a node makes of what it is told.

use super::*;

fn settings(text: &str) -> Settings {
    toml::from_str(text).unwrap()
}

const WHOLE: &str = r#"
    id = 2
    peers = "1=a:1,2=b:2,3=c:3"
    data = "d"
"#;

#[test]
fn little_has_to_be_said() {
    let node = settings(WHOLE).resolve().unwrap();
    assert_eq!((node.id, node.cluster), (NodeId::new(2), ClusterId(1)));
    assert_eq!((node.listen.as_str(), node.advertise.as_str()), ("b:2", "b:2"));
    assert_eq!(node.first.unwrap().to_string(), "n1,n2,n3");
    assert_eq!(node.election_timeout, (Duration::from_millis(150), Duration::from_millis(300)));
    assert_eq!((node.heartbeat, node.disk_patience), (Duration::from_millis(50), Duration::from_secs(1)));
}

#[test]
fn a_spare_begins_with_nobody() {
    let node = settings("voters = \"1,3\"").or(settings(WHOLE)).resolve().unwrap();
    assert_eq!((node.first, node.peers.len(), node.listen.as_str()), (None, 3, "b:2"));
}

#[test]
fn what_is_said_first_counts() {
    let whole = settings(&format!("{WHOLE}disk-patience = \"9s\"\nheartbeat = \"20ms\""));
    let said = "id = 3\nlog = \"debug\"\nlearners = \"1\"\nheartbeat = \"30ms\"";
    let said = settings(said).or(whole).resolve().unwrap();
    assert_eq!((said.id, said.log), (NodeId::new(3), (Level::Debug, LogFormat::Text)));
    assert_eq!((said.heartbeat, said.disk_patience), (Duration::from_millis(30), Duration::from_secs(9)));
    assert_eq!(said.first.unwrap().to_string(), "n2,n3+n1");
}

/// Each row: what is said first, and what is wrong with it.
#[test]
fn what_makes_no_sense_is_refused_by_name() {
    for (text, why) in [
        ("peers = \"1=a:1,1=b:2\"", "peers: n1 is there twice"),
        ("peers = \"a:1\"", "peers: \"a:1\" is no server; write ID=HOST:PORT"),
        ("peers = \"1=a\"", "peers: \"a\" is no address; write HOST:PORT"),
        ("join = \"a:1\"", "peers and join: give --peers to begin"),
        ("voters = \"1,4\"", "voters: n4 is not in --peers"),
        ("learners = \"1,2,3\"", "voters and learners: voters: there are none"),
        ("listen = \"b\"", "listen: \"b\" is no address"),
        ("kind = \"lab\"", "kind: there is no \"lab\"; give one of register, kv,"),
        ("election-timeout = \"1s\"", "election-timeout: \"1s\" is no range"),
        ("heartbeat = \"5\"", "heartbeat: \"5\" is no duration"),
        ("disk-patience = \"long\"", "disk-patience: \"long\" is no duration"),
        ("threads = 0", "threads: 0; give a number from 1 to 1024"),
        ("threads = 1025", "threads: 1025; give a number"),
        ("tls-ca = \"ca.pem\"", "tls: --tls-ca, --tls-cert and --tls-key go together"),
    ] {
        let error = settings(text).or(settings(WHOLE)).resolve().unwrap_err();
        assert_eq!(error.status, 64);
        assert!(error.why.starts_with(why), "{error}");
    }
    let error = Settings::default().resolve().unwrap_err();
    assert_eq!(error.why, "id: not given; give --id 1, RAFT_NODE_ID, or id in the file of --config");
}
