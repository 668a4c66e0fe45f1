//! Certificates and what is said about TLS, from messages. Whether a certificate is one is for those who
//! can read it: the data plane says so in its ack.

use super::{DecodeError, Result, id, list, proto, text};
use crate::{ir, limits};

pub(super) fn termination(termination: Option<&proto::Termination>) -> Result<ir::Termination> {
    use proto::termination::Version;
    let termination = termination.ok_or(DecodeError::Missing("termination"))?;
    Ok(ir::Termination {
        certificates: ids(
            "certificates",
            limits::CERTIFICATES,
            &termination.certificates,
        )?,
        minimum: match termination.minimum() {
            Version::Unspecified | Version::Version12 => ir::TlsVersion::V1_2,
            Version::Version13 => ir::TlsVersion::V1_3,
        },
        clients: termination.clients.as_ref().map(clients).transpose()?,
    })
}

fn clients(clients: &proto::ClientValidation) -> Result<ir::ClientValidation> {
    Ok(ir::ClientValidation {
        authorities: ids("authorities", limits::AUTHORITY_REFS, &clients.authorities)?,
        unverified: if clients.let_in_unverified {
            ir::Unverified::LetIn
        } else {
            ir::Unverified::Refuse
        },
    })
}

pub(super) fn certificate(certificate: &proto::Certificate) -> Result<ir::Certificate> {
    Ok(ir::Certificate {
        chain: list("chain", limits::CHAIN, &certificate.chain, |one| {
            der("chain", one)
        })?,
        key: ir::PrivateKey(der("key", &certificate.key)?.0),
        staple: certificate.staple.as_ref().map(staple).transpose()?,
    })
}

fn staple(staple: &proto::Staple) -> Result<ir::Staple> {
    Ok(ir::Staple {
        response: der("response", &staple.response)?,
        ends: staple.ends,
    })
}

pub(super) fn authorities(authorities: &proto::Authorities) -> Result<ir::Authorities> {
    let certificates = &authorities.certificates;
    Ok(ir::Authorities {
        certificates: list("certificates", limits::AUTHORITIES, certificates, |one| {
            der("certificates", one)
        })?,
    })
}

pub(super) fn ticket_keys(keys: &proto::TicketKeys) -> Result<ir::TicketKeys> {
    let keys = list("keys", limits::TICKET_KEYS, &keys.keys, |key| {
        within("keys", limits::TICKET_KEY_BYTES, key).map(|key| ir::TicketKey(key.into()))
    })?;
    match keys.is_empty() {
        true => Err(DecodeError::Missing("keys")),
        false => Ok(ir::TicketKeys { keys }),
    }
}

pub(super) fn backend(tls: &proto::BackendTls) -> Result<ir::BackendTls> {
    Ok(ir::BackendTls {
        hostname: text(&tls.hostname),
        trust: if tls.system {
            ir::Trust::System
        } else {
            let authorities = &tls.authorities;
            ir::Trust::Authorities(ids("authorities", limits::AUTHORITY_REFS, authorities)?)
        },
        names: list("names", limits::SUBJECT_NAMES, &tls.names, subject_name)?,
    })
}

fn subject_name(name: &proto::SubjectName) -> Result<ir::SubjectName> {
    use proto::subject_name::Name;
    let name = name.name.as_ref().ok_or(DecodeError::Missing("name"))?;
    Ok(match name {
        Name::Dns(name) => ir::SubjectName::Dns(text(name)),
        Name::Uri(name) => ir::SubjectName::Uri(text(name)),
    })
}

fn ids(field: &'static str, limit: usize, ids: &[proto::ObjectId]) -> Result<Vec<ir::Id>> {
    list(field, limit, ids, |one| id(Some(one)))
}

fn der(field: &'static str, bytes: &[u8]) -> Result<ir::Der> {
    within(field, limits::DER_BYTES, bytes).map(|bytes| ir::Der(bytes.into()))
}

fn within<'b>(field: &'static str, limit: usize, bytes: &'b [u8]) -> Result<&'b [u8]> {
    if bytes.len() > limit {
        return Err(DecodeError::TooMany {
            field,
            length: bytes.len(),
            limit,
        });
    }
    Ok(bytes)
}
