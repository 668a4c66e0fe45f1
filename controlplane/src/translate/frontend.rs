//! Validation of clients' certificates (GEP-91): what a Gateway says for all of its HTTPS listeners, or
//! for those of one port.

use ringgate_core::ir::{ClientValidation, Unverified};

use super::certificate;
use super::problem::{Fault, Finding, Purpose};
use crate::api::ObjectKey;
use crate::api::gateway::{FrontendTls, GatewayTls, TlsValidation, TlsValidationMode};
use crate::store::Resources;

/// How clients of one listener are validated.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ClientsDraft {
    /// What holds the authorities; empty: the listener isn't accepted.
    pub(super) authorities: Vec<ObjectKey>,
    unverified: Unverified,
}

impl ClientsDraft {
    pub(super) fn translate(&self) -> ClientValidation {
        let holders = self.authorities.iter();
        ClientValidation {
            authorities: holders.map(certificate::authorities_id).collect(),
            unverified: self.unverified,
        }
    }
}

/// What a Gateway says of its clients.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frontend<'g> {
    pub(super) gateway: &'g ObjectKey,
    pub(super) tls: Option<&'g GatewayTls>,
}

impl<'g> Frontend<'g> {
    /// For an HTTPS listener of this port. What is wrong with the references is the Gateway's, but
    /// stands in the listener's conditions.
    pub(super) fn clients(
        &self,
        port: u16,
        resources: &Resources,
        findings: &mut Vec<Finding>,
    ) -> Option<ClientsDraft> {
        let (field, validation) = self.validation(port)?;
        let mut report = |part: &str, fault| {
            let (kind, name) = (self.gateway.kind, &self.gateway.name);
            findings.push(Finding::new(kind, name, format!("{field}{part}"), fault));
        };
        let unverified = match &validation.mode {
            TlsValidationMode::AllowValidOnly => Unverified::Refuse,
            TlsValidationMode::AllowInsecureFallback => Unverified::LetIn,
            TlsValidationMode::Unknown(text) => {
                report(".mode", Fault::Value(text.clone()));
                Unverified::Refuse
            }
        };
        let mut authorities = Vec::new();
        for (place, reference) in validation.ca_certificate_refs.iter().enumerate() {
            let purpose = Purpose::ClientAuthority;
            match certificate::find_authorities(resources, self.gateway, purpose, reference) {
                Ok(found) if authorities.contains(&found) => {}
                Ok(found) => authorities.push(found),
                Err(fault) => report(&format!(".caCertificateRefs[{place}]"), fault),
            }
        }
        if authorities.is_empty() {
            report(".caCertificateRefs", Fault::NoAuthorities);
        }
        Some(ClientsDraft {
            authorities,
            unverified,
        })
    }

    /// A port's own configuration counts instead of the default, even where it validates nobody.
    fn validation(&self, port: u16) -> Option<(String, &'g TlsValidation)> {
        let frontend = self.tls?.frontend.as_ref()?;
        let mut ports = frontend.per_port.iter().enumerate();
        let (field, config) = match ports.find(|(_, one)| one.port.get() == port) {
            Some((place, one)) => (format!("perPort[{place}].tls"), &one.tls),
            None => ("default".to_owned(), &frontend.default),
        };
        let validation = config.validation.as_ref()?;
        Some((format!("spec.tls.frontend.{field}.validation"), validation))
    }
}

/// Whether clients without a valid certificate are let in anywhere.
pub(super) fn is_insecure(frontend: &FrontendTls) -> bool {
    let ports = frontend.per_port.iter().map(|one| &one.tls);
    let mut validations = std::iter::once(&frontend.default)
        .chain(ports)
        .filter_map(|one| one.validation.as_ref());
    validations.any(|one| one.mode == TlsValidationMode::AllowInsecureFallback)
}
