//! Which of a listener's certificates a client is shown.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::SignatureAlgorithm;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use webpki::EndEntityCert;

/// A certificate as it is shown: with its OCSP response for as long as that holds.
#[derive(Debug)]
pub(super) struct Shown {
    with_all: Arc<CertifiedKey>,
    /// Without the response, and from when on, since 1970.
    bare: Option<(Duration, Arc<CertifiedKey>)>,
}

impl Shown {
    /// `ends` in seconds since 1970; None: the response holds until it is replaced, or there is none.
    pub(super) fn new(key: CertifiedKey, ends: Option<i64>) -> Self {
        let bare = ends.map(|ends| {
            let bare = CertifiedKey {
                ocsp: None,
                ..key.clone()
            };
            let ends = u64::try_from(ends).unwrap_or_default();
            (Duration::from_secs(ends), Arc::new(bare))
        });
        Self {
            with_all: Arc::new(key),
            bare,
        }
    }

    pub(super) fn now(&self) -> &Arc<CertifiedKey> {
        match &self.bare {
            Some((ends, bare)) if since_1970() >= *ends => bare,
            _ => &self.with_all,
        }
    }
}

fn since_1970() -> Duration {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default()
}

/// The certificates of a listener, by the names in them.
#[derive(Debug)]
pub(super) struct Certificates {
    /// In their listener's order, but that quick keys come before slow ones.
    all: Vec<Arc<Shown>>,
    /// Lower case; `*.` in front as it stands in the certificate. Only where there is a choice.
    by_name: HashMap<Box<str>, Vec<Arc<Shown>>>,
}

impl Certificates {
    pub(super) fn new(mut all: Vec<Arc<Shown>>) -> Self {
        let mut by_name: HashMap<Box<str>, Vec<_>> = HashMap::new();
        if all.len() > 1 {
            all.sort_by_key(|one| one.with_all.key.algorithm() == SignatureAlgorithm::RSA);
            for one in &all {
                for name in names(&one.with_all) {
                    by_name.entry(name).or_default().push(one.clone());
                }
            }
        }
        Self { all, by_name }
    }

    /// Those that are for a name: exactly, by their wildcard, or else all.
    fn of(&self, name: &str) -> [&[Arc<Shown>]; 3] {
        let name = name.to_ascii_lowercase();
        let exact = self.by_name.get(&*name);
        let wildcard = name
            .split_once('.')
            .and_then(|(_, suffix)| self.by_name.get(&*format!("*.{suffix}")));
        [
            exact.map_or(&[], Vec::as_slice),
            wildcard.map_or(&[], Vec::as_slice),
            &self.all,
        ]
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if let [one] = self.all.as_slice() {
            return Some(one.now().clone());
        }
        let schemes = hello.signature_schemes();
        let candidates = self.of(hello.server_name().unwrap_or_default());
        let mut fitting = candidates
            .into_iter()
            .flatten()
            .filter(|one| one.with_all.key.choose_scheme(schemes).is_some());
        let chosen = fitting.next().or_else(|| self.all.first())?;
        Some(chosen.now().clone())
    }
}

fn names(certificate: &CertifiedKey) -> Vec<Box<str>> {
    let Some(leaf) = certificate.cert.first() else {
        return Vec::new();
    };
    match EndEntityCert::try_from(leaf) {
        Ok(leaf) => {
            let names = leaf.valid_dns_names();
            names.map(|name| name.to_ascii_lowercase().into()).collect()
        }
        // It can be shown all the same: clients judge it.
        Err(_) => Vec::new(),
    }
}
