//! Nodes and clients that prove who they are.

use std::fs;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};

use crate::nodes::{Nodes, until};
use crate::tool::{Said, Tool};

/// Whoever makes certificates.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// One whose own certificate is in `ca.pem`.
    fn new(tool: &Tool) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        fs::write(tool.path("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Self { issuer: Issuer::new(params, key) }
    }

    /// Makes a certificate of this name and its key, `FILE.pem` and `FILE.key`; how they are named on a command line.
    fn issue(&self, tool: &Tool, file: &str, name: &str) -> [String; 6] {
        let mut params = CertificateParams::new([]).unwrap();
        params.subject_alt_names.push(SanType::URI(name.try_into().unwrap()));
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        let (certificate_file, key_file) = (format!("{file}.pem"), format!("{file}.key"));
        fs::write(tool.path(&certificate_file), certificate).unwrap();
        fs::write(tool.path(&key_file), key.serialize_pem()).unwrap();
        let ca = ["--tls-ca".to_owned(), "ca.pem".to_owned()];
        let [flag, name] = ca;
        [flag, name, "--tls-cert".to_owned(), certificate_file, "--tls-key".to_owned(), key_file]
    }
}

fn with<'a>(words: &[&'a str], papers: &'a [String; 6]) -> Vec<&'a str> {
    words.iter().copied().chain(papers.iter().map(String::as_str)).collect()
}

#[test]
fn whoever_has_the_right_certificate_gets_through() {
    let mut nodes = Nodes::new();
    let authority = Authority::new(&nodes.tool);
    let [one, two] =
        [1, 2].map(|id| authority.issue(&nodes.tool, &format!("n{id}"), &format!("raft://1/node/{id}")));
    let [read, write, admin] = ["read", "write", "admin"]
        .map(|role| authority.issue(&nodes.tool, role, &format!("raft://1/client/{role}")));
    let peers = nodes.peers(1);
    nodes.start(1, &with(&["--peers", &peers], &one));
    nodes.is_ready(1);
    assert!(nodes.done(&[1], &with(&["put", "k", "v"], &admin)).starts_with("done"));
    assert_eq!(nodes.done(&[1], &with(&["get", "k"], &read)), "v");

    let server = nodes.address(1);
    let bench =
        ["bench", "--servers", &server, "--clients", "1", "--value", "1B", "--keys", "1", "--time", "300ms"];
    let measured = nodes.tool.call(&with(&bench, &admin));
    assert!(
        measured.code == 0 && measured.out.contains("over TLS on TCP"),
        "{}{}",
        measured.out,
        measured.err
    );
    let refused = nodes.tool.call(&with(&bench, &read));
    assert_eq!(refused.code, 69, "{}", refused.out);
    assert!(refused.err.contains("the keys cannot be filled"), "{}", refused.err);

    // A node that joins asks with its own certificate.
    let (first, new) = (nodes.address(1), nodes.address(2));
    nodes.start(2, &with(&["--join", &first], &two));
    until("n2 lives", || match nodes.get(2, "/health")? {
        (200, _) => Ok(()),
        (_, why) => Err(why),
    });
    nodes.done(&[1], &with(&["add-learner", "2", &new], &admin));
    nodes.is_ready(2);

    // Each row: what is asked with which papers, and why it is refused.
    let says = |said: Said, code: i32, why: &str| {
        assert_eq!(said.code, code, "{}", said.err);
        assert!(said.err.contains(why), "{why:?} is not in {}", said.err);
    };
    says(nodes.ask(&[1], &with(&["put", "k", "w"], &read)), 1, "may not write: its role is only to read");
    says(nodes.ask(&[1], &with(&["remove", "2"], &read)), 1, "may not give orders: its role is only to read");
    let elsewhere = ["add-learner", "2", &new];
    says(nodes.ask(&[1], &with(&elsewhere, &write)), 1, "may not give orders: its role is only to write");
    says(nodes.ask(&[1], &with(&["put", "k", "w"], &one)), 1, "take the certificate of a client");
    says(nodes.ask(&[1], &["get", "k", "--timeout", "1s"]), 1, "not done: ");
    let (http, listen) = (nodes.http(3), nodes.address(3));
    let three = ["node", "--id", "3", "--peers", &format!("3={listen}"), "--data", "n3", "--http", &http];
    says(nodes.tool.call(&with(&three, &one)), 64, "the certificate is that of n1 of cluster 1, not of n3");
    says(
        nodes.tool.call(&with(
            &three,
            &["--tls-ca", "no.pem", "--tls-cert", "n1.pem", "--tls-key", "n1.key"].map(str::to_owned),
        )),
        64,
        "tls-ca no.pem: ",
    );
}
