//! OCSP responses from files, as clients get them.

use std::fs;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use crate::stage::{PATIENCE, Stage, free_port, repository, until};

/// Remembers the response that came with the certificate.
#[derive(Debug)]
struct Stapled {
    verifier: Arc<WebPkiServerVerifier>,
    response: Mutex<Vec<u8>>,
}

impl ServerCertVerifier for Stapled {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        *self.response.lock().unwrap() = response.to_vec();
        let verifier = &self.verifier;
        verifier.verify_server_cert(end_entity, intermediates, name, response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

fn pem(name: &str) -> Vec<u8> {
    fs::read(repository().join("controlplane/testdata/pem").join(name)).unwrap()
}

/// What is stapled to the certificate of `example.org`; none: no handshake succeeds.
fn stapled(port: u16) -> Option<Vec<u8>> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(&pem("ca.crt")).unwrap())
        .unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider.clone());
    let stapled = Arc::new(Stapled {
        verifier: verifier.build().unwrap(),
        response: Mutex::default(),
    });
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(stapled.clone())
        .with_no_client_auth();
    let name = "example.org".try_into().unwrap();
    let mut session = ClientConnection::new(config.into(), name).unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    while session.is_handshaking() {
        session.complete_io(&mut stream).ok()?;
    }
    let response = stapled.response.lock().unwrap().clone();
    Some(response)
}

#[test]
fn an_ocsp_response_is_stapled_while_it_holds_for_the_certificate_and_the_rest_is_told() {
    let stage = Stage::new();
    let port = free_port();
    let put = |name: &str, text: &[u8]| fs::write(stage.site().join(name), text).unwrap();
    put("site.crt", &pem("ecdsa.crt"));
    put("site.key", &pem("ecdsa.key"));
    put("site.ocsp", &pem("ecdsa.ocsp"));
    let site = format!(
        "\
apiVersion: v1
kind: Secret
metadata:
  name: site
  annotations:
    ringgate.io/certificate-file: site.crt
    ringgate.io/key-file: site.key
    ringgate.io/ocsp-file: site.ocsp
type: kubernetes.io/tls
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: web}}
spec:
  gatewayClassName: ringgate
  listeners:
  - {{name: https, protocol: HTTPS, port: {port}, tls: {{certificateRefs: [{{name: site}}]}}}}
"
    );
    stage.write("site.yaml", &site);
    let run = stage.run(&[]);
    let good = pem("ecdsa.ocsp");
    assert_eq!(until("a handshake", || stapled(port)), good);

    for (name, text, told) in [
        ("ecdsa-revoked.ocsp", None, "the certificate is revoked"),
        ("", Some(b"nonsense"), "no OCSP response in DER"),
        ("ecdsa-ended.ocsp", None, "its OCSP response ended at 2026-"),
    ] {
        put(
            "site.ocsp",
            &text.map_or_else(|| pem(name), |text| text.to_vec()),
        );
        run.wait_for_line(told);
        until("no response", || (stapled(port)? == b"").then_some(()));
        put("site.ocsp", &good);
        until("the response", || (stapled(port)? == good).then_some(()));
    }

    // A renewed certificate doesn't wait for the response that it needs.
    fs::remove_file(stage.site().join("site.ocsp")).unwrap();
    run.wait_for_line("site.ocsp: no such file");
    until("no response", || (stapled(port)? == b"").then_some(()));
    put("site.crt", &pem("rsa.crt"));
    put("site.key", &pem("rsa.key"));
    put("site.ocsp", &good);
    run.wait_for_line("it is for another certificate");
    assert_eq!(stapled(port), Some(Vec::new()));
    run.end();
}
