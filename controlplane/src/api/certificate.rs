//! Certificates, keys and authorities in Secrets and ConfigMaps: from PEM to what is served, each read
//! once per object, when it is asked for.
//!
//! Owns what makes them unusable (`staple`: what an OCSP response). Who may refer to them is translation's affair; the time isn't looked
//! at here, for an expired certificate is served like any other.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use memchr::memmem;
use ringgate_core::ir::{Authorities, Certificate, Der, Object, PrivateKey, Staple};
use ringgate_core::limits;
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error as TlsError, InconsistentKeys};
use thiserror::Error;
use x509_parser::parse_x509_certificate;

use super::backend_tls::ClusterTrustBundle;
use super::staple::{self, StapleFlaw};
use super::storage::{ConfigMap, Secret};

/// The type of Secrets that hold a certificate and its key.
pub const TLS_SECRET: &str = "kubernetes.io/tls";
pub const CERTIFICATE: &str = "tls.crt";
pub const PRIVATE_KEY: &str = "tls.key";
pub const AUTHORITIES: &str = "ca.crt";
/// An OCSP response in DER, by the name that Gloo gave it.
pub const STAPLE: &str = "tls.ocsp-staple";
/// What names a file with that. Without it the certificate is as good.
pub const STAPLE_FILE: &str = "ringgate.io/ocsp-file";
/// Annotations of Secrets that name files beside the YAML, in file mode, and the keys that these fill.
pub const NAMED_FILES: [(&str, &str); 4] = [
    ("ringgate.io/certificate-file", CERTIFICATE),
    ("ringgate.io/key-file", PRIVATE_KEY),
    ("ringgate.io/ca-file", AUTHORITIES),
    (STAPLE_FILE, STAPLE),
];
/// The field of a ClusterTrustBundle.
const TRUST_BUNDLE: &str = "trustBundle";

/// A certificate with its key, usable.
#[derive(Clone, Debug)]
pub struct KeyPair {
    /// As it is part of a snapshot.
    pub object: Arc<Object>,
    pub ends: Ends,
    /// Why the OCSP response that was given isn't stapled.
    pub unstapled: Option<StapleFlaw>,
}

/// When what a client is shown ends, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The leaf's validity.
    pub certificate: i64,
    /// That of the OCSP response, if one is stapled that says so.
    pub staple: Option<i64>,
}

/// Certificate authorities as they are part of a snapshot: at least one.
#[derive(Clone, Debug)]
pub struct Bundle {
    pub object: Arc<Object>,
}

/// Why no certificate, key or authority can be had. Shown without the object that it is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Error)]
pub enum Flaw {
    #[error("key {key} is missing")]
    NoKey { key: &'static str },
    #[error("{key} is no PEM: {reason}")]
    NotPem { key: &'static str, reason: String },
    #[error("{key} holds no certificate in PEM")]
    NoCertificate { key: &'static str },
    #[error("{key} holds no private key in PEM")]
    NoPrivateKey { key: &'static str },
    #[error("the private key in {key} is encrypted")]
    Encrypted { key: &'static str },
    #[error("certificate {number} in {key} can't be read: {reason}")]
    NotX509 {
        key: &'static str,
        /// From 1.
        number: usize,
        reason: String,
    },
    #[error("the private key in {key} is of a kind that can't be used")]
    KeyKind { key: &'static str },
    #[error("the private key in {PRIVATE_KEY} doesn't belong to the certificate in {CERTIFICATE}")]
    Mismatch,
    #[error("{key} holds more than {limit} certificates, or one of more than {} KiB", limits::DER_BYTES >> 10)]
    TooLarge { key: &'static str, limit: usize },
}

impl Flaw {
    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::NoKey { key } if *key == AUTHORITIES => {
                format!("add {key} with the authorities' certificates in PEM")
            }
            Self::NoKey { key } => format!("add {key}, as `kubectl create secret tls` does"),
            Self::NotPem { key, .. } | Self::NotX509 { key, .. } => {
                format!("put the PEM file into {key} as it was issued")
            }
            Self::NoCertificate { key } if [AUTHORITIES, TRUST_BUNDLE].contains(key) => {
                format!("put the authorities' certificates into {key}, in PEM")
            }
            Self::NoCertificate { key } => {
                format!("put the certificate into {key}, in PEM, and those of its chain behind it")
            }
            Self::NoPrivateKey { key } => {
                format!("put the certificate's private key into {key}, in PEM")
            }
            Self::Encrypted { .. } => {
                "decrypt it: `openssl pkey -in tls.key -out decrypted.key`".to_owned()
            }
            Self::KeyKind { .. } => {
                "use a key of RSA (2048 to 8192 bits), ECDSA (P-256, P-384, P-521) or Ed25519"
                    .to_owned()
            }
            Self::Mismatch => {
                "put the two that were issued together, and the leaf before its chain".to_owned()
            }
            Self::TooLarge { .. } => "leave out what isn't needed".to_owned(),
        }
    }
}

/// What follows from the rest of an object, worked out when it is asked for first. Takes no part in
/// comparisons.
#[derive(Clone, Debug)]
pub(super) struct Derived<T>(OnceLock<T>);

impl<T> Default for Derived<T> {
    fn default() -> Self {
        Self(OnceLock::new())
    }
}

impl<T> PartialEq for Derived<T> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Secret {
    /// # Errors
    /// [`Flaw`] says why there is none that could be served.
    pub fn key_pair(&self) -> Result<&KeyPair, &Flaw> {
        let read = || key_pair(&self.data);
        self.key_pair.0.get_or_init(read).as_ref()
    }

    /// Whether whoever refers to it comes to the same decision, by what can be used of it: the content may
    /// be another.
    #[must_use]
    pub fn is_as_usable_as(&self, other: &Self) -> bool {
        let flaw = |one: &Self| match one.key_pair() {
            Ok(pair) => (None, pair.unstapled.clone()),
            Err(flaw) => (Some(flaw.clone()), None),
        };
        flaw(self) == flaw(other) && self.authorities().err() == other.authorities().err()
    }

    /// What is wrong with it, if it is meant to hold a certificate or authorities: by its type, or by the
    /// files that it names.
    #[must_use]
    pub fn flaw(&self) -> Option<Flaw> {
        let names = |key: &str| {
            let mut files = NAMED_FILES.iter().filter(|(_, filled)| *filled == key);
            files.any(|(annotation, _)| self.metadata.annotations.contains_key(*annotation))
        };
        let is_pair = self.secret_type.as_deref() == Some(TLS_SECRET);
        let pair = is_pair || names(CERTIFICATE) || names(PRIVATE_KEY);
        let of_pair = pair.then(|| self.key_pair().err().cloned()).flatten();
        let of_authorities = || names(AUTHORITIES).then(|| self.authorities().err().cloned());
        of_pair.or_else(|| of_authorities().flatten())
    }

    /// # Errors
    /// [`Flaw`] says why there are none.
    pub fn authorities(&self) -> Result<&Bundle, &Flaw> {
        let read = || bundle(AUTHORITIES, value(&self.data, AUTHORITIES)?);
        self.authorities.0.get_or_init(read).as_ref()
    }
}

impl ConfigMap {
    /// # Errors
    /// [`Flaw`] says why there are none.
    pub fn authorities(&self) -> Result<&Bundle, &Flaw> {
        let read = || {
            let text = self.data.get(AUTHORITIES).map(|text| text.as_bytes());
            let bytes = || self.binary_data.get(AUTHORITIES).map(AsRef::as_ref);
            let key = AUTHORITIES;
            bundle(key, text.or_else(bytes).ok_or(Flaw::NoKey { key })?)
        };
        self.authorities.0.get_or_init(read).as_ref()
    }
}

impl ClusterTrustBundle {
    /// # Errors
    /// [`Flaw`] says why there are none.
    pub fn authorities(&self) -> Result<&Bundle, &Flaw> {
        let read = || bundle(TRUST_BUNDLE, self.spec.trust_bundle.as_bytes());
        self.authorities.0.get_or_init(read).as_ref()
    }
}

fn value<'d>(data: &'d BTreeMap<Arc<str>, Arc<[u8]>>, key: &'static str) -> Result<&'d [u8], Flaw> {
    let value = data.get(key).map(AsRef::as_ref);
    value.ok_or(Flaw::NoKey { key })
}

fn key_pair(data: &BTreeMap<Arc<str>, Arc<[u8]>>) -> Result<KeyPair, Flaw> {
    let chain = certificates(CERTIFICATE, value(data, CERTIFICATE)?, limits::CHAIN)?;
    let key = private_key(value(data, PRIVATE_KEY)?)?;
    let expires = expiry(CERTIFICATE, &chain)?;
    let kind = |_| Flaw::KeyKind { key: PRIVATE_KEY };
    let signing = any_supported_type(&key).map_err(kind)?;
    match CertifiedKey::new(chain.clone(), signing).keys_match() {
        // What can't be compared is taken on trust, as rustls does.
        Ok(()) | Err(TlsError::InconsistentKeys(InconsistentKeys::Unknown)) => {}
        Err(TlsError::InconsistentKeys(_)) => return Err(Flaw::Mismatch),
        Err(error) => return Err(not_x509(CERTIFICATE, 1, &error)),
    }
    let (staple, unstapled) = match data.get(STAPLE).map(|one| staple(one, &chain)) {
        None => (None, None),
        Some(Ok(staple)) => (Some(staple), None),
        Some(Err(flaw)) => (None, Some(flaw)),
    };
    let ends = Ends {
        certificate: expires,
        staple: staple.as_ref().and_then(|staple| staple.ends),
    };
    let certificate = Certificate {
        chain: chain.iter().map(der).collect(),
        key: PrivateKey(key.secret_der().into()),
        staple,
    };
    Ok(KeyPair {
        object: Arc::new(Object::Certificate(certificate)),
        ends,
        unstapled,
    })
}

/// An OCSP response for the leaf of this chain.
fn staple(response: &Arc<[u8]>, chain: &[CertificateDer<'_>]) -> Result<Staple, StapleFlaw> {
    let leaf = chain
        .first()
        .and_then(|leaf| parse_x509_certificate(leaf).ok());
    let (_, leaf) = leaf.ok_or(StapleFlaw::Foreign)?;
    Ok(Staple {
        ends: staple::ends(response, leaf.raw_serial())?,
        response: Der(response.clone()),
    })
}

/// The end of the leaf's validity; the others of the chain are only looked at.
fn expiry(key: &'static str, chain: &[CertificateDer<'_>]) -> Result<i64, Flaw> {
    let mut ends = Vec::with_capacity(chain.len());
    for (place, one) in chain.iter().enumerate() {
        let (_, parsed) =
            parse_x509_certificate(one).map_err(|error| not_x509(key, place + 1, &error))?;
        ends.push(parsed.validity().not_after.timestamp());
    }
    ends.first().copied().ok_or(Flaw::NoCertificate { key })
}

fn bundle(key: &'static str, pem: &[u8]) -> Result<Bundle, Flaw> {
    let all = certificates(key, pem, limits::AUTHORITIES)?;
    let mut store = RootCertStore::empty();
    for (place, one) in all.iter().enumerate() {
        let added = store.add(one.clone());
        added.map_err(|error| not_x509(key, place + 1, &error))?;
    }
    let authorities = Authorities {
        certificates: all.iter().map(der).collect(),
    };
    Ok(Bundle {
        object: Arc::new(Object::Authorities(authorities)),
    })
}

/// All certificates of a PEM text, in their order; other sections are passed over.
fn certificates(
    key: &'static str,
    pem: &[u8],
    limit: usize,
) -> Result<Vec<CertificateDer<'static>>, Flaw> {
    let mut all = Vec::new();
    for one in CertificateDer::pem_slice_iter(pem) {
        let one = one.map_err(|error| not_pem(key, &error))?;
        if all.len() == limit || one.len() > limits::DER_BYTES {
            return Err(Flaw::TooLarge { key, limit });
        }
        all.push(one);
    }
    match all.is_empty() {
        true => Err(Flaw::NoCertificate { key }),
        false => Ok(all),
    }
}

fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, Flaw> {
    let key = PRIVATE_KEY;
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| {
        if memmem::find(pem, b"ENCRYPTED").is_some() {
            return Flaw::Encrypted { key };
        }
        match error {
            pem::Error::NoItemsFound => Flaw::NoPrivateKey { key },
            error => not_pem(key, &error),
        }
    })
}

/// What the library says of it may show a line of the text, which may be of a key.
fn not_pem(key: &'static str, error: &pem::Error) -> Flaw {
    let reason = match error {
        pem::Error::MissingSectionEnd { .. } => "a section has no end",
        pem::Error::IllegalSectionStart { .. } => "a section's first line is malformed",
        pem::Error::Base64Decode(_) => "a section is not base64",
        pem::Error::SectionTooLarge => "a section is too large",
        _ => "it can't be read",
    };
    let reason = reason.to_owned();
    Flaw::NotPem { key, reason }
}

fn not_x509(key: &'static str, number: usize, error: &dyn std::fmt::Display) -> Flaw {
    Flaw::NotX509 {
        key,
        number,
        reason: error.to_string(),
    }
}

fn der(certificate: &CertificateDer<'_>) -> Der {
    Der(certificate.as_ref().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(data: &[(&str, &str)]) -> Secret {
        let text = data
            .iter()
            .map(|(key, text)| ((*key).to_owned(), (*text).into()));
        let text: serde_json::Map<String, serde_json::Value> = text.collect();
        let metadata = serde_json::json!({"name": "pair", "namespace": "default"});
        let secret = serde_json::json!({"metadata": metadata, "stringData": text});
        serde_json::from_value(secret).unwrap()
    }

    fn flaw(certificate: &str, key: &str) -> Flaw {
        let secret = secret(&[(CERTIFICATE, certificate), (PRIVATE_KEY, key)]);
        secret.key_pair().unwrap_err().clone()
    }

    const ECDSA: &str = include_str!("../../testdata/pem/ecdsa.crt");
    const ECDSA_KEY: &str = include_str!("../../testdata/pem/ecdsa.key");
    const RSA: &str = include_str!("../../testdata/pem/rsa.crt");
    const RSA_KEY: &str = include_str!("../../testdata/pem/rsa.key");
    const CA: &str = include_str!("../../testdata/pem/ca.crt");

    #[test]
    fn pairs_of_both_kinds_are_read_with_their_chain_and_end() {
        for (certificate, key) in [(ECDSA, ECDSA_KEY), (RSA, RSA_KEY)] {
            let chain = format!("{certificate}\nsome text\n{CA}");
            let secret = secret(&[(CERTIFICATE, &chain), (PRIVATE_KEY, key)]);
            let pair = secret.key_pair().unwrap();
            let Object::Certificate(read) = &*pair.object else {
                panic!("no certificate");
            };
            assert_eq!(read.chain.len(), 2);
            let year_2125 = (2125 - 1970) * 31_556_952;
            assert!(pair.ends.certificate > year_2125, "{:?}", pair.ends);
            assert!(std::ptr::eq(pair, secret.key_pair().unwrap()), "read once");
        }
    }

    #[test]
    fn what_cannot_be_served_is_told_apart() {
        let key = PRIVATE_KEY;
        assert_eq!(flaw(ECDSA, RSA_KEY), Flaw::Mismatch);
        assert_eq!(flaw(CA, ECDSA_KEY), Flaw::Mismatch);
        assert_eq!(
            flaw("Hello world", "Hello world"),
            Flaw::NoCertificate { key: CERTIFICATE }
        );
        assert_eq!(flaw(ECDSA, ECDSA), Flaw::NoPrivateKey { key });
        let encrypted = ECDSA_KEY.replace("EC PRIVATE", "ENCRYPTED PRIVATE");
        assert_eq!(flaw(ECDSA, &encrypted), Flaw::Encrypted { key });
        let cut = &ECDSA_KEY[..ECDSA_KEY.len() / 2];
        assert!(
            matches!(flaw(ECDSA, cut), Flaw::NotPem { key: PRIVATE_KEY, reason } if !reason.contains("MH"))
        );
        let nonsense = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        assert_eq!(flaw(ECDSA, nonsense), Flaw::KeyKind { key });
        let nonsense = nonsense.replace("PRIVATE KEY", "CERTIFICATE");
        let both = format!("{ECDSA}{nonsense}");
        assert!(matches!(
            flaw(&both, ECDSA_KEY),
            Flaw::NotX509 { number: 2, .. }
        ));
        let secret = secret(&[(CERTIFICATE, ECDSA)]);
        assert_eq!(secret.key_pair().unwrap_err(), &Flaw::NoKey { key });
    }

    #[test]
    fn authorities_are_all_certificates_of_their_key() {
        let authorities = |text: &str| secret(&[(AUTHORITIES, text)]);
        let all = authorities(&format!("{CA}{CA}"));
        let Object::Authorities(read) = &*all.authorities().unwrap().object else {
            panic!("no authorities");
        };
        assert_eq!(read.certificates.len(), 2);
        let key = AUTHORITIES;
        let none = authorities("");
        assert_eq!(
            none.authorities().unwrap_err(),
            &Flaw::NoCertificate { key }
        );
        let none = secret(&[]);
        assert_eq!(none.authorities().unwrap_err(), &Flaw::NoKey { key });
    }
}
