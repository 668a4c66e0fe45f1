//! Certificates and authorities, made ready by the configuration thread for all shards: what each listener
//! terminates with, and what is spoken to each backend.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use ringgate_core::ir::{
    self, BackendProtocol, BackendTls, ClientValidation, Id, Kind, Object, Protocol, SubjectName,
    Termination, TlsVersion, Trust, Unverified,
};
use ringgate_core::table::{Compiler, Objects, Slot};
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ProducesTickets, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};

use super::resolve::{Certificates, Shown};
use super::tickets::{Bound, Parted, Shared};
use super::uses::Uses;
use super::verify;

/// What shards use; replaced as a whole.
#[derive(Debug, Default)]
pub(crate) struct Credentials {
    listeners: BySlot<ServerConfig>,
    backends: BySlot<ToBackend>,
}

type BySlot<T> = HashMap<Slot, Arc<T>, foldhash::fast::FixedState>;

/// How a backend is spoken to.
#[derive(Debug)]
pub(crate) struct ToBackend {
    pub(crate) name: ServerName<'static>,
    anonymous: Arc<ClientConfig>,
    /// By the certificate that we show.
    known: HashMap<Id, Arc<ClientConfig>>,
}

impl Credentials {
    pub(crate) fn termination(&self, listener: Slot) -> Option<&Arc<ServerConfig>> {
        self.listeners.get(&listener)
    }

    pub(crate) fn backend(&self, backend: Slot) -> Option<&Arc<ToBackend>> {
        self.backends.get(&backend)
    }
}

impl ToBackend {
    /// For nobody's requests: the first certificate by name is shown, if there is any and the backend asks.
    pub(crate) fn for_checks(&self) -> &Arc<ClientConfig> {
        let first = self.known.iter().min_by_key(|(id, _)| *id);
        first.map_or(&self.anonymous, |(_, config)| config)
    }

    /// `certificate` is shown if the backend asks and we have it.
    pub(crate) fn config(&self, certificate: Option<&Id>) -> &Arc<ClientConfig> {
        let known = certificate.and_then(|certificate| self.known.get(certificate));
        known.unwrap_or(&self.anonymous)
    }
}

/// What was made, and the object that each is of.
#[derive(Debug)]
struct Made<T> {
    slots: HashMap<Id, Slot>,
    made: BySlot<T>,
}

/// Makes credentials of the snapshot's objects, and remembers what it made.
pub(crate) struct Keeper {
    provider: Arc<CryptoProvider>,
    /// One for all listeners and shards: a session goes on whichever shard it comes to. With keys of this
    /// process alone, where none are given.
    ticketer: Option<Arc<dyn ProducesTickets>>,
    /// The keys that were given last.
    shared: Option<Arc<Shared>>,
    certificates: HashMap<Id, Arc<Shown>>,
    listeners: Made<ServerConfig>,
    backends: Made<ToBackend>,
    uses: Uses,
    /// The certificates that backends may be shown, by the listeners whose clients' requests come there.
    shown: HashMap<Id, Id>,
    failures: BTreeMap<Id, String>,
    system: Option<RootCertStore>,
    made: Arc<Credentials>,
}

impl Keeper {
    pub(crate) fn new() -> Self {
        let provider = Arc::new(aws_lc_rs::default_provider());
        Self {
            provider,
            ticketer: own_ticketer(),
            shared: None,
            certificates: HashMap::new(),
            listeners: Made::default(),
            backends: Made::default(),
            uses: Uses::default(),
            shown: HashMap::new(),
            failures: BTreeMap::new(),
            system: None,
            made: Arc::default(),
        }
    }

    pub(crate) fn made(&self) -> &Arc<Credentials> {
        &self.made
    }

    /// What can't be used, with the reason.
    pub(crate) fn failures(&self) -> impl Iterator<Item = (Id, String)> {
        let failures = self.failures.iter();
        failures.map(|(id, reason)| (id.clone(), reason.clone()))
    }

    /// Takes a change over: `changed` are the objects that were put or removed. Costs what these touch.
    pub(crate) fn update(&mut self, compiler: &Compiler, changed: &BTreeSet<Id>) {
        let objects = compiler.objects();
        let is_ours = |id: &&Id| match id.kind {
            Kind::Certificate | Kind::Authorities | Kind::TicketKeys | Kind::Listener => true,
            Kind::Backend => {
                self.backends.slots.contains_key(*id)
                    || matches!(objects.get(id), Some(Object::Backend(one)) if one.tls.is_some())
            }
            Kind::HttpRoute
            | Kind::GrpcRoute
            | Kind::TlsRoute
            | Kind::TcpRoute
            | Kind::UdpRoute => false,
        };
        let ours: BTreeSet<Id> = changed.iter().filter(is_ours).cloned().collect();
        if ours.is_empty() {
            return;
        }
        let mut unused = Vec::new();
        for id in &ours {
            self.failures.remove(id);
            unused.extend(self.uses.update(id, objects));
            if let Some(Object::Certificate(one)) = objects.get(id) {
                self.take_certificate(id, one);
            }
        }
        let mut touched = self.uses.touched(&ours);
        if ours.contains(&Id::ticket_keys()) {
            self.take_ticket_keys(objects);
            touched.extend(self.listeners.slots.keys().cloned());
        }
        for id in touched.iter().filter(|id| id.kind == Kind::Listener) {
            self.update_listener(id, compiler);
        }
        self.update_backends(compiler, &ours, touched);
        for id in unused.iter().chain(&ours) {
            if id.kind == Kind::Certificate && !self.uses.is_used(id) {
                self.certificates.remove(id);
            }
        }
        self.failures.retain(|id, _| objects.contains_key(id));
        self.made = Arc::new(Credentials {
            listeners: self.listeners.made.clone(),
            backends: self.backends.made.clone(),
        });
    }

    /// Those that can't be used leave the ones before in their place.
    fn take_ticket_keys(&mut self, objects: &Objects) {
        let id = Id::ticket_keys();
        let Some(Object::TicketKeys(keys)) = objects.get(&id) else {
            // A control plane that has just begun to lead may not know them yet.
            self.ticketer = match (own_ticketer(), self.shared.clone()) {
                (Some(own), Some(before)) => Some(Arc::new(Parted { own, before })),
                (own, _) => own,
            };
            return;
        };
        match Shared::new(keys) {
            Ok(shared) => {
                let shared = Arc::new(shared);
                self.shared = Some(shared.clone());
                self.ticketer = Some(shared);
            }
            Err(error) => {
                let reason = format!("session tickets can't be made by these keys: {error}");
                tracing::error!(%id, "{reason}");
                self.failures.insert(id, reason);
            }
        }
    }

    /// One that can't be used leaves the one before in its place.
    fn take_certificate(&mut self, id: &Id, certificate: &ir::Certificate) {
        match certified(&self.provider, certificate) {
            Ok(made) => {
                self.certificates.insert(id.clone(), Arc::new(made));
            }
            Err(reason) => {
                tracing::error!(%id, "{reason}");
                self.failures.insert(id.clone(), reason);
            }
        }
    }

    fn update_listener(&mut self, id: &Id, compiler: &Compiler) {
        let objects = compiler.objects();
        let listener = match objects.get(id) {
            Some(Object::Listener(listener)) => Some(listener),
            _ => None,
        };
        let termination = listener.and_then(|one| one.protocol.termination());
        let (Some(termination), Some(slot)) = (termination, compiler.slot_of(id)) else {
            self.listeners.remove(id);
            return;
        };
        let config = self.server_config(id, termination, objects);
        put(&mut self.listeners, &mut self.failures, id, slot, config);
    }

    fn server_config(
        &self,
        id: &Id,
        termination: &Termination,
        objects: &Objects,
    ) -> Result<ServerConfig, String> {
        let wanted = termination.certificates.iter();
        let certificates: Vec<_> = wanted
            .filter_map(|id| self.certificates.get(id).cloned())
            .collect();
        if certificates.is_empty() {
            return Err("none of its certificates can be used: no handshake succeeds".to_owned());
        }
        let builder = ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(versions(termination.minimum))
            .map_err(|error| error.to_string())?;
        let builder = match &termination.clients {
            None => builder.with_no_client_auth(),
            Some(clients) => builder.with_client_cert_verifier(self.verifier(clients, objects)?),
        };
        let mut config = builder.with_cert_resolver(Arc::new(Certificates::new(certificates)));
        config.alpn_protocols = protocols(objects.get(id));
        config.session_storage = Arc::new(NoServerSessionStorage {});
        if let Some(ticketer) = &self.ticketer {
            let clients = termination.clients.as_ref();
            let ticketer = Bound::new(ticketer.clone(), id, clients, objects);
            config.ticketer = Arc::new(ticketer);
        }
        Ok(config)
    }

    fn verifier(
        &self,
        clients: &ClientValidation,
        objects: &Objects,
    ) -> Result<Arc<dyn ClientCertVerifier>, String> {
        match clients.unverified {
            Unverified::LetIn => Ok(Arc::new(verify::AnyClient {
                algorithms: self.provider.signature_verification_algorithms,
            })),
            Unverified::Refuse => {
                let roots = Arc::new(roots(&clients.authorities, objects));
                let provider = self.provider.clone();
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
                verifier.map(|one| one as Arc<_>).map_err(|error| {
                    format!("clients' certificates can't be checked: {error}; no client is let in")
                })
            }
        }
    }

    /// `touched` are `changed` and whoever is made of these.
    fn update_backends(
        &mut self,
        compiler: &Compiler,
        changed: &BTreeSet<Id>,
        mut touched: BTreeSet<Id>,
    ) {
        let objects = compiler.objects();
        let before = self.ours();
        for id in changed.iter().filter(|id| id.kind == Kind::Listener) {
            match objects.get(id) {
                Some(Object::Listener(listener)) => match &listener.client_certificate {
                    Some(shown) => self.shown.insert(id.clone(), shown.clone()),
                    None => self.shown.remove(id),
                },
                _ => self.shown.remove(id),
            };
        }
        let ours = self.ours();
        // Another listener alone is no reason: sessions with backends could not be resumed.
        if ours != before || ours.iter().any(|id| changed.contains(id)) {
            touched.extend(
                objects
                    .keys()
                    .filter(|id| id.kind == Kind::Backend)
                    .cloned(),
            );
        }
        for id in touched.iter().filter(|id| id.kind == Kind::Backend) {
            let backend = match objects.get(id) {
                Some(Object::Backend(one)) => one.tls.as_ref().map(|tls| (tls, one.protocol)),
                _ => None,
            };
            let (Some((tls, protocol)), Some(slot)) = (backend, compiler.slot_of(id)) else {
                self.backends.remove(id);
                continue;
            };
            let alpn = match protocol {
                BackendProtocol::Http1 => Some(b"http/1.1".as_slice()),
                BackendProtocol::Http2 => Some(b"h2".as_slice()),
                BackendProtocol::Tcp | BackendProtocol::Udp => None,
            };
            let made = self.make_backend(tls, alpn, &ours, objects);
            put(&mut self.backends, &mut self.failures, id, slot, made);
        }
    }

    /// The certificates that backends may be shown.
    fn ours(&self) -> BTreeSet<Id> {
        self.shown.values().cloned().collect()
    }

    fn make_backend(
        &mut self,
        tls: &BackendTls,
        alpn: Option<&[u8]>,
        ours: &BTreeSet<Id>,
        objects: &Objects,
    ) -> Result<ToBackend, String> {
        let name = ServerName::try_from(tls.hostname.to_string())
            .map_err(|error| format!("{:?} is no server name: {error}", tls.hostname))?;
        let roots = match &tls.trust {
            Trust::System => self.system_roots().clone(),
            Trust::Authorities(ids) => roots(ids, objects),
        };
        let names = match tls.names.as_slice() {
            [] => vec![SubjectName::Dns(tls.hostname.clone())],
            names => names.to_vec(),
        };
        let verifier = verify::Backend {
            roots,
            names,
            algorithms: self.provider.signature_verification_algorithms,
        };
        let builder = ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(versions(TlsVersion::V1_2))
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut anonymous = builder.with_no_client_auth();
        anonymous.alpn_protocols = alpn.map(<[u8]>::to_vec).into_iter().collect();
        let known = ours.iter().filter_map(|id| {
            let certificate = self.certificates.get(id)?.clone();
            let mut config = anonymous.clone();
            let certificate = certificate.now().clone();
            config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(certificate));
            // A session is resumed as whom it was begun.
            config.resumption = Resumption::default();
            Some((id.clone(), Arc::new(config)))
        });
        Ok(ToBackend {
            name,
            known: known.collect(),
            anonymous: Arc::new(anonymous),
        })
    }

    /// Read once, when first asked for.
    fn system_roots(&mut self) -> &RootCertStore {
        self.system.get_or_insert_with(|| {
            let found = rustls_native_certs::load_native_certs();
            for error in &found.errors {
                tracing::warn!(%error, "authorities of the system can't be read");
            }
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(found.certs);
            roots
        })
    }
}

impl<T> Default for Made<T> {
    fn default() -> Self {
        Self {
            slots: HashMap::new(),
            made: BySlot::default(),
        }
    }
}

impl<T> Made<T> {
    fn insert(&mut self, id: &Id, slot: Slot, one: T) {
        // One that went and came back has another slot.
        self.remove(id);
        self.slots.insert(id.clone(), slot);
        self.made.insert(slot, Arc::new(one));
    }

    fn remove(&mut self, id: &Id) {
        if let Some(slot) = self.slots.remove(id) {
            self.made.remove(&slot);
        }
    }
}

/// With keys that change every six hours, and that nobody else has.
fn own_ticketer() -> Option<Arc<dyn ProducesTickets>> {
    let ticketer = aws_lc_rs::Ticketer::new();
    if let Err(error) = &ticketer {
        tracing::error!(%error, "there are no session tickets: each connection is a full handshake");
    }
    ticketer.ok()
}

/// What was made, or why it could not be.
fn put<T>(
    made: &mut Made<T>,
    failures: &mut BTreeMap<Id, String>,
    id: &Id,
    slot: Slot,
    result: Result<T, String>,
) {
    match result {
        Ok(one) => {
            failures.remove(id);
            made.insert(id, slot, one);
        }
        Err(reason) => {
            tracing::error!(%id, "{reason}");
            made.remove(id);
            failures.insert(id.clone(), reason);
        }
    }
}

/// What is offered by ALPN (RFC 7301). What is inside of TLS that carries no requests is not ours to agree on.
fn protocols(listener: Option<&Object>) -> Vec<Vec<u8>> {
    let names: &[&[u8]] = match listener {
        Some(Object::Listener(one)) if matches!(one.protocol, Protocol::Https(_)) => {
            match one.settings.http2 {
                true => &[b"h2", b"http/1.1"],
                false => &[b"http/1.1"],
            }
        }
        _ => &[],
    };
    names.iter().map(|name| name.to_vec()).collect()
}

static NEWEST: &[&SupportedProtocolVersion] = &[&TLS13];

/// The versions from `minimum` on.
fn versions(minimum: TlsVersion) -> &'static [&'static SupportedProtocolVersion] {
    match minimum {
        TlsVersion::V1_2 => rustls::ALL_VERSIONS,
        TlsVersion::V1_3 => NEWEST,
    }
}

/// Authorities that are no certificates are left out: the control plane has told of them.
fn roots(ids: &[Id], objects: &Objects) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    for id in ids {
        if let Some(Object::Authorities(authorities)) = objects.get(id) {
            let certificates = authorities.certificates.iter();
            roots.add_parsable_certificates(certificates.map(|der| CertificateDer::from(&*der.0)));
        }
    }
    roots
}

fn certified(provider: &CryptoProvider, certificate: &ir::Certificate) -> Result<Shown, String> {
    let key = PrivateKeyDer::try_from(certificate.key.0.to_vec())
        .map_err(|error| format!("the private key can't be read: {error}"))?;
    let key = provider
        .key_provider
        .load_private_key(key)
        .map_err(|error| format!("the private key can't be used: {error}"))?;
    let chain = certificate.chain.iter();
    let chain = chain.map(|der| CertificateDer::from(der.0.to_vec()));
    let mut made = CertifiedKey::new(chain.collect(), key);
    made.keys_match()
        .map_err(|error| format!("the private key is not that of the certificate: {error}"))?;
    let staple = certificate.staple.as_ref();
    made.ocsp = staple.map(|staple| staple.response.0.to_vec());
    Ok(Shown::new(made, staple.and_then(|staple| staple.ends)))
}

#[cfg(test)]
#[path = "credentials_tests.rs"]
mod tests;
