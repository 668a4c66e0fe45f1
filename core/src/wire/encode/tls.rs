//! Certificates and what is said about TLS, to messages.

use super::{id, proto, text};
use crate::ir;

pub(super) fn termination(termination: &ir::Termination) -> proto::Termination {
    use proto::termination::Version;
    proto::Termination {
        certificates: termination.certificates.iter().map(id).collect(),
        minimum: match termination.minimum {
            ir::TlsVersion::V1_2 => Version::Version12.into(),
            ir::TlsVersion::V1_3 => Version::Version13.into(),
        },
        clients: termination
            .clients
            .as_ref()
            .map(|clients| proto::ClientValidation {
                authorities: clients.authorities.iter().map(id).collect(),
                let_in_unverified: clients.unverified == ir::Unverified::LetIn,
            }),
    }
}

pub(super) fn certificate(certificate: &ir::Certificate) -> proto::Certificate {
    proto::Certificate {
        chain: certificate.chain.iter().map(der).collect(),
        key: certificate.key.0.to_vec(),
        staple: certificate.staple.as_ref().map(|staple| proto::Staple {
            response: der(&staple.response),
            ends: staple.ends,
        }),
    }
}

pub(super) fn authorities(authorities: &ir::Authorities) -> proto::Authorities {
    proto::Authorities {
        certificates: authorities.certificates.iter().map(der).collect(),
    }
}

pub(super) fn ticket_keys(keys: &ir::TicketKeys) -> proto::TicketKeys {
    proto::TicketKeys {
        keys: keys.keys.iter().map(|key| key.0.to_vec()).collect(),
    }
}

pub(super) fn backend(tls: &ir::BackendTls) -> proto::BackendTls {
    proto::BackendTls {
        hostname: text(&tls.hostname),
        system: tls.trust == ir::Trust::System,
        authorities: match &tls.trust {
            ir::Trust::System => Vec::new(),
            ir::Trust::Authorities(ids) => ids.iter().map(id).collect(),
        },
        names: tls.names.iter().map(subject_name).collect(),
    }
}

fn subject_name(name: &ir::SubjectName) -> proto::SubjectName {
    use proto::subject_name::Name;
    proto::SubjectName {
        name: Some(match name {
            ir::SubjectName::Dns(name) => Name::Dns(text(name)),
            ir::SubjectName::Uri(name) => Name::Uri(text(name)),
        }),
    }
}

fn der(der: &ir::Der) -> Vec<u8> {
    der.0.to_vec()
}
