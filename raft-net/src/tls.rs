//! Mutual TLS 1.3: both ends of every connection prove who they are by certificates of one authority.

use std::fmt;
use std::sync::Arc;

use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, ServerConfig, SignatureScheme,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use webpki::EndEntityCert;

use crate::identity::Identity;

/// What a server or a client needs to prove who it is, and to have it proved: its certificate and key, and the authority
/// that made all certificates of the cluster. Certificates are read once; a server with new ones is started again.
///
/// Which end a certificate is of stands in it as a name, `raft://CLUSTER/node/ID` or `raft://CLUSTER/client/ROLE`; host
/// names in it say nothing. Whoever has no certificate of the authority, an expired one, or that of somebody else is
/// refused before a message is read, and both ends count it, say why and log it.
#[derive(Clone)]
pub struct Tls {
    pub(crate) acceptor: TlsAcceptor,
    pub(crate) connector: TlsConnector,
    /// Who this end is.
    pub(crate) identity: Identity,
}

/// Why certificates and keys are of no use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsError {
    what: &'static str,
    why: String,
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}

impl std::error::Error for TlsError {}

fn wrong<E: fmt::Display>(what: &'static str) -> impl Fn(E) -> TlsError {
    move |why| TlsError { what, why: why.to_string() }
}

impl Tls {
    /// From what stands in PEM files: the certificates of the authority, one's own certificate with those between it and the
    /// authority behind it, and its key.
    ///
    /// # Errors
    ///
    /// One of them is none, they do not belong together, or one's own certificate does not say whose it is.
    pub fn from_pem(authority: &[u8], chain: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for root in certificates("authority", authority)? {
            roots.add(root).map_err(wrong("authority"))?;
        }
        let (roots, chain) = (Arc::new(roots), certificates("certificate", chain)?);
        let identity = identity(chain.first());
        if let Identity::Nobody { why } = identity {
            return Err(TlsError { what: "certificate", why });
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(wrong("key"))?;
        let provider = Arc::new(ring::default_provider());
        let acceptor = accepting(&provider, Arc::clone(&roots), chain.clone(), key.clone_key())?;
        let connector = connecting(&provider, roots, chain, key)?;
        Ok(Self { acceptor, connector, identity })
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("identity", &self.identity).finish_non_exhaustive()
    }
}

fn certificates(what: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = certificates.map_err(wrong(what))?;
    if certificates.is_empty() {
        return Err(wrong(what)("there is no certificate in the PEM"));
    }
    Ok(certificates)
}

fn accepting(
    provider: &Arc<CryptoProvider>,
    roots: Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<TlsAcceptor, TlsError> {
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider)).build();
    let mut config = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13])
        .map_err(wrong("TLS 1.3"))?
        .with_client_cert_verifier(verifier.map_err(wrong("authority"))?)
        .with_single_cert(chain, key)
        .map_err(wrong("certificate and key"))?;
    // Every connection proves anew who is there.
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config).into())
}

fn connecting(
    provider: &Arc<CryptoProvider>,
    roots: Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<TlsConnector, TlsError> {
    let algorithms = provider.signature_verification_algorithms;
    let mut config = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13])
        .map_err(wrong("TLS 1.3"))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(OfAuthority { roots, algorithms }))
        .with_client_auth_cert(chain, key)
        .map_err(wrong("certificate and key"))?;
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    Ok(Arc::new(config).into())
}

/// Whoever has a certificate of the authority that is good now. The name in it is compared by whoever dialled, who knows
/// which server it wants; a host's name says nothing of that.
#[derive(Debug)]
struct OfAuthority {
    roots: Arc<RootCertStore>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for OfAuthority {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let certificate = ParsedCertificate::try_from(certificate)?;
        let algorithms = self.algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&certificate, &self.roots, between, now, algorithms)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Whose certificate this is. It has been verified.
pub(crate) fn identity(certificate: Option<&CertificateDer<'_>>) -> Identity {
    let nobody = |why: &str| Identity::Nobody { why: why.to_owned() };
    let Some(certificate) = certificate else { return nobody("there is no certificate") };
    let Ok(certificate) = EndEntityCert::try_from(certificate) else {
        return nobody("the certificate cannot be read");
    };
    let mut names = certificate.valid_uri_names().filter_map(Identity::named);
    match (names.next(), names.next()) {
        (Some(identity), None) => identity,
        (Some(_), Some(_)) => nobody("the certificate has more than one name of a cluster"),
        (None, _) => nobody(
            "the certificate has no name of a cluster: give it the URI raft://CLUSTER/node/ID or \
             raft://CLUSTER/client/read, /write or /admin",
        ),
    }
}
