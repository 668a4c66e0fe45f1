//! Certificates that a test issues, as files.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};

pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        Self { issuer, pem }
    }

    /// A control plane's files, `NAME.crt` and `NAME.key`: it is at 127.0.0.1.
    pub(crate) fn server(&self, folder: &Path, name: &str) -> [PathBuf; 2] {
        let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(params, folder, name)
    }

    /// A data plane's, valid for an hour.
    pub(crate) fn client(&self, folder: &Path, name: &str) -> [PathBuf; 2] {
        self.client_until(folder, name, SystemTime::now() + Duration::from_hours(1))
    }

    pub(crate) fn client_until(&self, folder: &Path, name: &str, end: SystemTime) -> [PathBuf; 2] {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.not_after = end.into();
        self.issue(params, folder, name)
    }

    fn issue(&self, params: CertificateParams, folder: &Path, name: &str) -> [PathBuf; 2] {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let files = ["crt", "key"].map(|end| folder.join(format!("{name}.{end}")));
        replace(&files[0], &certificate.pem());
        replace(&files[1], &key.serialize_pem());
        files
    }
}

/// Whole or not at all, as whoever renews certificates does it.
pub(crate) fn replace(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    fs::write(&beside, text).unwrap();
    fs::rename(beside, path).unwrap();
}
