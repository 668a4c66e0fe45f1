//! What a listener terminates TLS with: its certificates, and what its options say. How it validates
//! clients stands in `frontend`.

use std::collections::BTreeMap;
use std::sync::Arc;

use ringgate_core::ir::{Id, ObjectName, Termination, TlsVersion};

use super::certificate;
use super::frontend::ClientsDraft;
use super::problem::{Fault, Purpose};
use crate::api::ObjectKey;
use crate::api::gateway::{Listener, ListenerProtocol, ListenerTls, TlsMode};
use crate::api::text::AnnotationValue;
use crate::store::Resources;

/// Options with this in front are ours.
const OURS: &str = "ringgate.io/";
const MINIMUM_VERSION: &str = "ringgate.io/minimum-tls-version";

/// How a listener terminates TLS.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct TlsDraft {
    /// Secrets with a certificate, and those whose certificate can't be read: a data plane that has an
    /// earlier one goes on with that.
    pub(super) certificates: Vec<ObjectName>,
    /// Whether the certificate of one of them can be read.
    pub(super) has_usable: bool,
    minimum: TlsVersion,
    /// None: clients aren't asked for a certificate.
    pub(super) clients: Option<ClientsDraft>,
}

impl TlsDraft {
    pub(super) fn translate(&self) -> Termination {
        Termination {
            certificates: self.certificates.iter().map(Id::certificate).collect(),
            minimum: self.minimum,
            clients: self.clients.as_ref().map(ClientsDraft::translate),
        }
    }
}

/// Whether the listener terminates TLS, or is meant to in a way that isn't known.
pub(super) fn ends(listener: &Listener) -> bool {
    let passes = listener
        .tls
        .as_ref()
        .is_some_and(|tls| tls.mode == TlsMode::Passthrough);
    match listener.protocol {
        ListenerProtocol::Https => true,
        ListenerProtocol::Tls => !passes,
        _ => false,
    }
}

/// `report` takes faults with the part of the listener that each is about.
pub(super) fn decide(
    owner: &ObjectKey,
    listener: &Listener,
    resources: &Resources,
    report: &mut dyn FnMut(&str, Fault),
) -> TlsDraft {
    let mut draft = TlsDraft::default();
    let Some(tls) = &listener.tls else {
        report("tls", Fault::NoCertificates);
        return draft;
    };
    if tls.mode != TlsMode::Terminate {
        report("tls.mode", Fault::Value(tls.mode.to_string().into()));
        return draft;
    }
    if tls.certificate_refs.is_empty() {
        report("tls.certificateRefs", Fault::NoCertificates);
    }
    draft.find_certificates(owner, tls, resources, report);
    draft.take_options(&tls.options, report);
    draft
}

impl TlsDraft {
    fn find_certificates(
        &mut self,
        owner: &ObjectKey,
        tls: &ListenerTls,
        resources: &Resources,
        report: &mut dyn FnMut(&str, Fault),
    ) {
        for (place, reference) in tls.certificate_refs.iter().enumerate() {
            let part = format!("tls.certificateRefs[{place}]");
            match certificate::find(resources, owner, Purpose::Serving, reference) {
                Ok(found) => {
                    self.has_usable |= found.fault.is_none();
                    if !self.certificates.contains(&found.secret) {
                        self.certificates.push(found.secret);
                    }
                    let faults = found.fault.into_iter().chain(found.advice);
                    faults.for_each(|fault| report(&part, fault));
                }
                Err(fault) => report(&part, fault),
            }
        }
    }

    fn take_options(
        &mut self,
        options: &BTreeMap<Arc<str>, AnnotationValue>,
        report: &mut dyn FnMut(&str, Fault),
    ) {
        for (key, value) in options {
            let part = format!("tls.options[{key:?}]");
            match (&**key, value.as_str()) {
                (MINIMUM_VERSION, "1.2") => self.minimum = TlsVersion::V1_2,
                (MINIMUM_VERSION, "1.3") => self.minimum = TlsVersion::V1_3,
                (MINIMUM_VERSION, _) => report(&part, Fault::TlsVersion(value.shared())),
                _ => report(&part, unknown_option(key)),
            }
        }
    }
}

/// What is wrong with an option that has no meaning where it stands.
pub(super) fn unknown_option(key: &Arc<str>) -> Fault {
    match key.starts_with(OURS) {
        true => Fault::TlsOption(key.clone()),
        false => Fault::ForeignTlsOption(key.clone()),
    }
}
