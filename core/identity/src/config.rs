//! What rustls needs for the stream between control plane and data planes.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::CertificateDer;
use rustls::server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use thiserror::Error;

use crate::pem::Pair;

/// Why certificates can't be used together.
#[derive(Debug, Error)]
pub enum ConfigError {
    #[error("an authority's certificate is of no use: {0}")]
    Authority(rustls::Error),
    #[error("no authority: whose certificates shall be believed?")]
    Verifier(#[from] VerifierBuilderError),
    #[error("the certificate and the key are of no use together: {0}")]
    Pair(rustls::Error),
    #[error("no TLS 1.3: {0}")]
    Version(rustls::Error),
}

/// Whether a client without a certificate is let in: where certificates are issued, it has to come
/// for its first one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificate {
    Required,
    Optional,
}

/// The control plane's side. A certificate that a client shows is always checked. Sessions aren't
/// resumed: a resumed one would outlive the client's certificate.
///
/// # Errors
/// When the certificates are of no use, or don't fit the key.
pub fn server(
    own: Pair,
    authorities: &[CertificateDer<'static>],
    clients: ClientCertificate,
) -> Result<Arc<ServerConfig>, ConfigError> {
    let roots = Arc::new(roots(authorities)?);
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
    let verifier = match clients {
        ClientCertificate::Required => verifier,
        ClientCertificate::Optional => verifier.allow_unauthenticated(),
    };
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(ConfigError::Version)?
        .with_client_cert_verifier(verifier.build()?)
        .with_single_cert(own.chain, own.key)
        .map_err(ConfigError::Pair)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

/// A data plane's side; without an own certificate it can only ask for one.
///
/// # Errors
/// When the certificates are of no use, or don't fit the key.
pub fn client(
    own: Option<Pair>,
    authorities: &[CertificateDer<'static>],
) -> Result<Arc<ClientConfig>, ConfigError> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(ConfigError::Version)?
        .with_root_certificates(roots(authorities)?);
    let mut config = match own {
        None => config.with_no_client_auth(),
        Some(own) => config
            .with_client_auth_cert(own.chain, own.key)
            .map_err(ConfigError::Pair)?,
    };
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

fn roots(authorities: &[CertificateDer<'static>]) -> Result<RootCertStore, ConfigError> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots
            .add(authority.clone())
            .map_err(ConfigError::Authority)?;
    }
    Ok(roots)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::PrivateKeyDer;

    use super::*;

    fn own(name: &str) -> Pair {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Pair {
            chain: vec![certificate.der().clone()],
            key: PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        }
    }

    #[test]
    fn a_key_of_another_certificate_is_refused_on_both_sides() {
        let (one, other) = (own("one.example"), own("other.example"));
        let authorities = one.chain.clone();
        let mixed = || Pair {
            chain: one.chain.clone(),
            key: other.key.clone_key(),
        };
        let required = ClientCertificate::Required;
        assert!(server(one.clone(), &authorities, required).is_ok());
        assert!(matches!(
            server(mixed(), &authorities, required),
            Err(ConfigError::Pair(_))
        ));
        assert!(matches!(
            client(Some(mixed()), &authorities),
            Err(ConfigError::Pair(_))
        ));
    }

    #[test]
    fn a_server_without_an_authority_is_refused() {
        let refused = server(own("one.example"), &[], ClientCertificate::Required);
        assert!(matches!(refused, Err(ConfigError::Verifier(_))));
        let broken = [CertificateDer::from(vec![1, 2, 3])];
        assert!(matches!(
            client(None, &broken),
            Err(ConfigError::Authority(_))
        ));
    }
}
