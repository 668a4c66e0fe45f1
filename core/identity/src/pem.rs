//! Certificates, keys and authorities out of PEM.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;

/// The most that one of these files may have: a few hundred authorities.
pub const PEM_BYTES: u64 = 1 << 20;

/// Why a file, or a text that stands for one, is of no use.
#[derive(Debug, Error)]
pub enum PemError {
    #[error("{place} can't be read: {source}")]
    Read { place: String, source: io::Error },
    #[error(
        "{place} has more than {PEM_BYTES} bytes: certificates and keys in PEM have a few thousand"
    )]
    TooLong { place: String },
    #[error("{place} is not in PEM: {source}")]
    Pem { place: String, source: pem::Error },
    #[error("{place} has no certificate: it needs a PEM section `BEGIN CERTIFICATE`")]
    NoCertificate { place: String },
    #[error("{place} has no private key: it needs a PEM section `BEGIN PRIVATE KEY`")]
    NoKey { place: String },
}

/// A certificate, leaf first, with its key.
#[derive(Debug, PartialEq, Eq)]
pub struct Pair {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
}

impl Clone for Pair {
    fn clone(&self) -> Self {
        Self {
            chain: self.chain.clone(),
            key: self.key.clone_key(),
        }
    }
}

/// Where a process's own certificate and key lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl PairFiles {
    /// # Errors
    /// When a file can't be read, or doesn't have what it should.
    pub fn read(&self) -> Result<Pair, PemError> {
        let key_place = named("--tls-key", &self.key);
        Ok(Pair {
            chain: certificates("--tls-certificate", &self.certificate)?,
            key: key(&read(&key_place, &self.key)?, &key_place)?,
        })
    }
}

/// The certificates of `--tls-authority`: whoever has a certificate by one of them is believed.
///
/// # Errors
/// When the file can't be read, or has none.
pub fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, PemError> {
    certificates("--tls-authority", path)
}

fn certificates(flag: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let place = named(flag, path);
    parse_certificates(&read(&place, path)?, &place)
}

/// Every certificate of a text; `place` names it in errors.
///
/// # Errors
/// When it isn't PEM, or has none.
pub fn parse_certificates(
    bytes: &[u8],
    place: &str,
) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    let found = found.map_err(|source| PemError::Pem {
        place: place.to_owned(),
        source,
    })?;
    if found.is_empty() {
        let place = place.to_owned();
        return Err(PemError::NoCertificate { place });
    }
    Ok(found)
}

fn key(bytes: &[u8], place: &str) -> Result<PrivateKeyDer<'static>, PemError> {
    PrivateKeyDer::from_pem_slice(bytes).map_err(|source| match source {
        pem::Error::NoItemsFound => PemError::NoKey {
            place: place.to_owned(),
        },
        source => PemError::Pem {
            place: place.to_owned(),
            source,
        },
    })
}

fn named(flag: &str, path: &Path) -> String {
    format!("{flag} {}", path.display())
}

fn read(place: &str, path: &Path) -> Result<Vec<u8>, PemError> {
    let failed = |source| PemError::Read {
        place: place.to_owned(),
        source,
    };
    if fs::metadata(path).map_err(failed)?.len() > PEM_BYTES {
        let place = place.to_owned();
        return Err(PemError::TooLong { place });
    }
    fs::read(path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_file_is_told_with_its_flag_and_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let files = PairFiles {
            certificate: path("tls.crt"),
            key: path("tls.key"),
        };
        let told = || files.read().unwrap_err().to_string();
        assert!(told().starts_with("--tls-certificate "), "{}", told());

        fs::write(path("tls.crt"), "text").unwrap();
        assert!(told().contains("tls.crt has no certificate"), "{}", told());

        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        fs::write(path("tls.crt"), certificate.pem()).unwrap();
        fs::write(path("tls.key"), certificate.pem()).unwrap();
        assert!(told().contains("tls.key has no private key"), "{}", told());

        fs::write(path("tls.key"), key.serialize_pem()).unwrap();
        assert_eq!(files.read().unwrap().chain, [certificate.der().clone()]);
        let missing = authorities(&path("ca.crt")).unwrap_err().to_string();
        assert!(missing.starts_with("--tls-authority "), "{missing}");

        let long = vec![b'x'; usize::try_from(PEM_BYTES).unwrap() + 1];
        fs::write(path("tls.crt"), long).unwrap();
        assert!(matches!(files.read(), Err(PemError::TooLong { .. })));
    }
}
