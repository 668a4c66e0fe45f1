//! TLS: what a listener terminates with, what is spoken to a backend, and the certificates of both.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::Id;

/// How a listener terminates TLS (Gateway API, `tls` of a Gateway's listener and `tls.frontend`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Termination {
    /// Certificates to choose from: by the client's server name, then by what its signature algorithms
    /// allow; the first is for those that no name fits.
    pub certificates: Vec<Id>,
    pub minimum: TlsVersion,
    /// None: clients aren't asked for a certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clients: Option<ClientValidation>,
}

/// The least version that is spoken. Older ones than these are not spoken at all (RFC 8996).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum TlsVersion {
    #[default]
    V1_2,
    V1_3,
}

/// Which clients are let in (GEP-91).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClientValidation {
    /// [`Authorities`] objects; a client's certificate may come from any of them.
    pub authorities: Vec<Id>,
    pub unverified: Unverified,
}

/// What happens to a client without a certificate that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Unverified {
    /// `AllowValidOnly`: no handshake.
    Refuse,
    /// `AllowInsecureFallback`: let in all the same; the backend decides.
    LetIn,
}

/// A certificate chain with its private key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Certificate {
    /// The leaf first.
    pub chain: Vec<Der>,
    pub key: PrivateKey,
    /// If one was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub staple: Option<Staple>,
}

/// An OCSP response for clients that ask for one (RFC 6066, section 8).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Staple {
    pub response: Der,
    /// From when on it isn't shown any more (RFC 6960, `nextUpdate`), in seconds since 1970. None: it holds
    /// until it is replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends: Option<i64>,
}

/// Keys of session tickets that data planes have in common: a session goes on at whichever its client
/// comes to. Without them each makes its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TicketKeys {
    /// The first makes tickets, all open them. At least one.
    pub keys: Vec<TicketKey>,
}

/// Certificate authorities that a peer's certificate is checked against.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Authorities {
    pub certificates: Vec<Der>,
}

/// TLS to a backend (BackendTLSPolicy).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BackendTls {
    /// Sent as server name; what the backend's certificate must be for, unless `names` says otherwise.
    pub hostname: Arc<str>,
    pub trust: Trust,
    /// If there are any, one of these must stand in the certificate instead of `hostname`.
    pub names: Vec<SubjectName>,
}

/// Whose certificates are believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Trust {
    /// The data plane's system has them.
    System,
    /// [`Authorities`] objects; none: nobody is believed.
    Authorities(Vec<Id>),
}

/// A name in a certificate (RFC 5280, section 4.2.1.6).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum SubjectName {
    /// Lower case; `*.` in front stands for one label.
    Dns(Arc<str>),
    Uri(Arc<str>),
}

/// A certificate or an OCSP response in DER. Shown by its length only.
#[derive(Clone, PartialEq, Eq)]
pub struct Der(pub Arc<[u8]>);

/// A private key in DER: PKCS #8, PKCS #1 or SEC 1. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct PrivateKey(pub Arc<[u8]>);

/// Random bytes that a key is derived from. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct TicketKey(pub Arc<[u8]>);

impl fmt::Display for Der {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl fmt::Debug for Der {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Der({self})")
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(withheld)")
    }
}

impl fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketKey(withheld)")
    }
}

impl Serialize for Der {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for PrivateKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("withheld")
    }
}

impl Serialize for TicketKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("withheld")
    }
}
