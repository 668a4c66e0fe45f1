//! Certificates for tests, and clients that believe them.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use ringgate_core::ir::{
    Authorities, Certificate, Der, Id, Object, PrivateKey, Termination, TlsVersion,
};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};

use super::name;

/// An authority, and what it signs.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) certificate: CertificateDer<'static>,
}

/// A certificate for some names, with its key.
pub(crate) struct Identity {
    pub(crate) chain: CertificateDer<'static>,
    key: KeyPair,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Self {
            issuer: Issuer::new(params, key),
            certificate,
        }
    }

    pub(crate) fn sign(&self, names: &[&str]) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names = names
            .iter()
            .map(|name| match name.contains("://") {
                true => SanType::URI((*name).try_into().unwrap()),
                false => SanType::DnsName((*name).try_into().unwrap()),
            })
            .collect();
        let chain = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        Identity { chain, key }
    }

    pub(crate) fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        roots
    }

    pub(crate) fn object(&self) -> Object {
        Object::Authorities(Authorities {
            certificates: vec![Der(self.certificate.as_ref().into())],
        })
    }
}

impl Identity {
    pub(crate) fn object(&self) -> Object {
        Object::Certificate(Certificate {
            chain: vec![Der(self.chain.as_ref().into())],
            key: PrivateKey(self.key.serialize_der().into()),
            staple: None,
        })
    }

    pub(crate) fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(self.key.serialize_der()).unwrap()
    }
}

pub(crate) fn terminate(certificates: &[&str]) -> Termination {
    let ids = certificates.iter().map(|one| Id::certificate(&name(one)));
    Termination {
        certificates: ids.collect(),
        minimum: TlsVersion::V1_2,
        clients: None,
    }
}

pub(crate) fn client_config(roots: RootCertStore) -> ClientConfig {
    client_of(roots, rustls::ALL_VERSIONS).with_no_client_auth()
}

pub(crate) fn client_of(
    roots: RootCertStore,
    versions: &[&'static SupportedProtocolVersion],
) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
    ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
}
