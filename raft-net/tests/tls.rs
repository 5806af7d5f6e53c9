//! Mutual TLS: who has the right certificate gets through, and everybody else is refused with a reason that both ends
//! have.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use raft_core::node::{Environment, SystemEnvironment, Transport};
use raft_core::{ClusterId, Envelope, GroupId, Incarnation, Message, NodeId, Session, Term};
use raft_net::{
    Client, Counters, Inlet, Net, NetError, Outcome, Peers, PeersConfig, Request, Responder, TcpNet, Tls,
    TlsNet, Whole,
};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType, date_time_ymd};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(30);
const CLUSTER: ClusterId = ClusterId(1);
const A: NodeId = NodeId::new(1);
const B: NodeId = NodeId::new(2);

/// Whoever makes certificates.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key.
struct Papers {
    chain: String,
    key: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    fn issue(&self, name: &str) -> Papers {
        self.issue_for(name, 1975..4000)
    }

    /// Good for these years.
    fn issue_for(&self, name: &str, years: Range<i32>) -> Papers {
        let mut params = CertificateParams::new([]).unwrap();
        params.subject_alt_names.push(SanType::URI(name.try_into().unwrap()));
        (params.not_before, params.not_after) =
            (date_time_ymd(years.start, 1, 1), date_time_ymd(years.end, 1, 1));
        let key = KeyPair::generate().unwrap();
        let chain = params.signed_by(&key, &self.issuer).unwrap().pem();
        Papers { chain, key: key.serialize_pem() }
    }

    /// One end with these papers, which believes this authority.
    fn tls(&self, papers: &Papers) -> Tls {
        Tls::from_pem(self.pem.as_bytes(), papers.chain.as_bytes(), papers.key.as_bytes()).unwrap()
    }

    fn net(&self, name: &str) -> TlsNet {
        TlsNet::new(self.tls(&self.issue(name)))
    }
}

/// A transport that runs, and what comes out of it.
struct Up {
    peers: Peers,
    counters: Arc<Counters>,
    inbox: mpsc::Receiver<Envelope>,
    requests: mpsc::Receiver<(Request, Responder)>,
}

fn start<N: Net>(net: &N, listener: N::Listener, id: NodeId, peers: &[(NodeId, &str)]) -> Up {
    let peers = peers.iter().map(|(id, address)| (*id, (*address).to_owned())).collect::<BTreeMap<_, _>>();
    let (messages, inbox) = mpsc::channel(16);
    let (requests_in, requests) = mpsc::channel(16);
    let inlet = Inlet { messages, requests: requests_in };
    let mut config = PeersConfig::new(id, peers);
    config.needs_admin = |command| command.starts_with(b"limit");
    let peers = Peers::start(net.clone(), listener, SystemEnvironment::new(), Whole, config, inlet);
    Up { counters: peers.counters(), peers, inbox, requests }
}

/// The server B, and where it listens.
async fn listening<N: Net>(net: &N) -> (Up, String) {
    let listener = net.listen("127.0.0.1:0").await.unwrap();
    let address = net.local_address(&listener).unwrap();
    (start(net, listener, B, &[]), address)
}

/// The server A, which dials B there.
async fn dialling<N: Net>(net: &N, address: &str) -> Up {
    let listener = net.listen("127.0.0.1:0").await.unwrap();
    start(net, listener, A, &[(B, address)])
}

/// Waits until both ends have refused, and returns why, as each has it.
async fn refusals(dialled: &Up, accepted: &Up) -> (String, String) {
    let both = async {
        loop {
            if let (Some(one), Some(other)) =
                (dialled.counters.last_refusal(), accepted.counters.last_refusal())
            {
                return (one, other);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waiting = || (dialled.counters.last_refusal(), accepted.counters.last_refusal());
    timeout(LIMIT, both).await.unwrap_or_else(|_| panic!("one end has no reason: {:?}", waiting()))
}

fn message() -> Envelope {
    Envelope {
        cluster: CLUSTER,
        group: GroupId(0),
        from: A,
        incarnation: Incarnation(A.get()),
        to: B,
        term: Term::new(1),
        session: Session(7),
        message: Message::TimeoutNow,
    }
}

#[tokio::test]
async fn servers_with_certificates_of_one_authority_hear_each_other() {
    let authority = Authority::new("ours");
    let (mut b, address) = listening(&authority.net("raft://1/node/2")).await;
    let mut a = dialling(&authority.net("raft://1/node/1"), &address).await;
    a.peers.send(message());
    assert_eq!(timeout(LIMIT, b.inbox.recv()).await.unwrap(), Some(message()));
    assert_eq!((a.counters.last_refusal(), b.counters.last_refusal()), (None, None));
}

/// Each row: the papers of who dials and of who is dialled, and what each end says of it.
#[tokio::test]
async fn who_is_not_who_he_should_be_is_refused_and_both_ends_say_why() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let (good_a, good_b) = (ours.issue("raft://1/node/1"), ours.issue("raft://1/node/2"));
    for (what, a, b, at_a, at_b) in [
        (
            "the dialler's authority is another one",
            ours.tls(&theirs.issue("raft://1/node/1")),
            ours.tls(&good_b),
            "UnknownCA",
            "UnknownIssuer",
        ),
        (
            "the authority of who is dialled is another one",
            ours.tls(&good_a),
            ours.tls(&theirs.issue("raft://1/node/2")),
            "UnknownIssuer",
            "UnknownCA",
        ),
        (
            "the dialler's certificate has expired",
            ours.tls(&ours.issue_for("raft://1/node/1", 1975..2020)),
            ours.tls(&good_b),
            "CertificateExpired (this end needs a new one, or the other machine's clock is wrong)",
            "(the other end needs a new one, or this machine's clock is wrong)",
        ),
        (
            "the dialler's certificate is not valid yet, as if the clock of who is dialled had stopped",
            ours.tls(&ours.issue_for("raft://1/node/1", 3000..4000)),
            ours.tls(&good_b),
            "CertificateExpired (this end needs a new one, or the other machine's clock is wrong)",
            "(the other end needs a new one, or this machine's clock is wrong)",
        ),
        (
            "the certificate of who is dialled has expired",
            ours.tls(&good_a),
            ours.tls(&ours.issue_for("raft://1/node/2", 1975..2020)),
            "certificate expired: ",
            "CertificateExpired (this end needs a new one, or the other machine's clock is wrong)",
        ),
        (
            "another server dials",
            ours.tls(&ours.issue("raft://1/node/3")),
            ours.tls(&good_b),
            "the certificate is that of n3 of cluster 1, not of n1 of cluster 1",
            "the certificate is that of n3 of cluster 1, not of n1 of cluster 1",
        ),
        (
            "another server is dialled",
            ours.tls(&good_a),
            ours.tls(&ours.issue("raft://1/node/3")),
            "the certificate is that of n3 of cluster 1, not of n2 of cluster 1",
            "the certificate is that of n3 of cluster 1, not of n2 of cluster 1",
        ),
        (
            "a server of another cluster dials",
            ours.tls(&ours.issue("raft://2/node/1")),
            ours.tls(&good_b),
            "the certificate is that of n1 of cluster 2, not of n1 of cluster 1",
            "the certificate is that of n1 of cluster 2, not of n1 of cluster 1",
        ),
        (
            "a client says that it is a server",
            ours.tls(&ours.issue("raft://1/client/admin")),
            ours.tls(&good_b),
            "a client of cluster 1 with the role admin, not of n1",
            "a client of cluster 1 with the role admin, not of n1",
        ),
    ] {
        let (mut accepted, address) = listening(&TlsNet::new(b)).await;
        let mut dialled = dialling(&TlsNet::new(a), &address).await;
        let (one, other) = refusals(&dialled, &accepted).await;
        assert!(one.contains(at_a) && other.contains(at_b), "{what}:\n{one}\n{other}");
        dialled.peers.send(message());
        assert!(dialled.counters.handshakes_refused.get() > 0 && accepted.counters.received.get() == 0);
        assert!(accepted.inbox.try_recv().is_err(), "{what}");
    }
}

#[tokio::test]
async fn plain_text_is_refused_where_there_is_tls() {
    let authority = Authority::new("ours");
    let (b, address) = listening(&authority.net("raft://1/node/2")).await;
    let a = dialling(&TcpNet, &address).await;
    let (at_a, at_b) = refusals(&a, &b).await;
    assert_eq!(at_a, "TLS: the other end speaks it, and this one does not");
    assert!(at_b.starts_with("TLS: received corrupt message"), "{at_b}");

    // Somebody who is not of us at all, and who waits for an answer: it is an alert, and then the end.
    let mut stranger = tokio::net::TcpStream::connect(&address).await.unwrap();
    stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    timeout(LIMIT, stranger.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert_eq!(answer.first(), Some(&0x15));
}

/// Clients by their roles, and those that are none.
#[tokio::test]
async fn clients_may_what_their_certificate_says() {
    let authority = Authority::new("ours");
    let (mut b, address) = listening(&authority.net("raft://1/node/2")).await;
    tokio::spawn(async move {
        while let Some((_, responder)) = b.requests.recv().await {
            responder.answer(Outcome::Committed("done".into()));
        }
    });
    let clock = SystemEnvironment::new();
    let deadline = clock.now().after(LIMIT);
    let connect =
        async |name: &str| Client::connect(&authority.net(name), clock, CLUSTER, &address, deadline).await;
    let command = || Bytes::from_static(b"x");

    let mut reader = connect("raft://1/client/read").await.unwrap();
    assert_eq!(reader.read(command(), deadline).await.unwrap(), Outcome::Committed("done".into()));
    let reason =
        "a client of cluster 1 with the role read may not write: its role is only to read".to_owned();
    let refused = Outcome::NotApplied { reason: reason.clone(), leader_hint: None };
    assert_eq!(reader.request(command(), deadline).await.unwrap(), refused);
    assert_eq!(b.counters.last_refusal(), Some(reason));
    assert_eq!(reader.read(command(), deadline).await.unwrap(), Outcome::Committed("done".into()));
    for role in ["write", "admin"] {
        let mut client = connect(&format!("raft://1/client/{role}")).await.unwrap();
        assert_eq!(client.request(command(), deadline).await.unwrap(), Outcome::Committed("done".into()));
        let limit = client.request(Bytes::from_static(b"limit 7"), deadline).await.unwrap();
        let admin = matches!(&limit, Outcome::Committed(_));
        assert!(
            admin
                || b.counters
                    .last_refusal()
                    .unwrap()
                    .contains("with the role write may not send this command")
        );
        assert_eq!(admin, role == "admin", "{limit:?}");
    }

    let mut server = connect("raft://1/node/1").await.unwrap();
    let Outcome::NotApplied { reason, .. } = server.read(command(), deadline).await.unwrap() else {
        panic!("a server is no client")
    };
    assert!(reason.contains("may only ask how servers are"), "{reason}");
    for (name, why) in [
        ("raft://2/node/1", "the certificate is that of n1 of cluster 2, not of a client of cluster 1"),
        ("raft://2/client/admin", "with the role admin, not of a client of cluster 1"),
    ] {
        let Err(NetError::Refused { reason }) = connect(name).await else { panic!("{name} got in") };
        assert!(reason.contains(why), "{reason}");
        assert_eq!(b.counters.last_refusal(), Some(reason));
    }
    let plain = Client::connect(&TcpNet, clock, CLUSTER, &address, deadline).await;
    assert!(matches!(plain, Err(NetError::Insecure { .. })), "{plain:?}");
}

/// Each row: papers that are of no use, and what is wrong with them.
#[test]
fn papers_that_are_of_no_use_are_told_at_once() {
    let authority = Authority::new("ours");
    let (good, nameless) = (authority.issue("raft://1/node/1"), authority.issue("https://example.org"));
    let ca = authority.pem.as_str();
    for (ca, chain, key, why) in [
        ("", &good.chain, &good.key, "authority: there is no certificate in the PEM"),
        (ca, &good.key, &good.key, "certificate: there is no certificate in the PEM"),
        (ca, &good.chain, &good.chain, "key: "),
        (ca, &good.chain, &nameless.key, "certificate and key: "),
        (ca, &nameless.chain, &nameless.key, "certificate: the certificate has no name of a cluster"),
    ] {
        let error = Tls::from_pem(ca.as_bytes(), chain.as_bytes(), key.as_bytes()).unwrap_err();
        assert!(error.to_string().starts_with(why), "{error}");
    }
}
