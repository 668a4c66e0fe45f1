use rcgen::{CertificateParams, KeyPair};
use ringgate_core::ir::{
    Certificate, Der, Hostname, Listener, ListenerSettings, ObjectName, PrivateKey, Version,
};

use super::*;

const MANY: usize = 300;

fn certificate(host: &str) -> Object {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new([host.to_owned()]).unwrap();
    let chain = params.self_signed(&key).unwrap().der().to_vec();
    Object::Certificate(Certificate {
        chain: vec![Der(chain.into())],
        key: PrivateKey(key.serialize_der().into()),
        staple: None,
    })
}

fn named(i: usize) -> (String, Id) {
    let host = format!("site-{i}.example");
    let secret = ObjectName::new("default", &host);
    (host, Id::certificate(&secret))
}

fn listener(i: usize) -> (Id, Object) {
    let (host, certificate) = named(i);
    let gateway = ObjectName::new("default", "web");
    let object = Object::Listener(Listener {
        gateway: gateway.clone(),
        name: host.as_str().into(),
        addresses: Vec::new(),
        port: 443,
        public_port: None,
        protocol: Protocol::Https(Termination {
            certificates: vec![certificate],
            minimum: TlsVersion::V1_2,
            clients: None,
        }),
        hostname: Hostname::parse(&host).unwrap(),
        client_certificate: None,
        settings: ListenerSettings::default(),
    });
    (Id::listener(&gateway, &host), object)
}

/// A Gateway with many listeners, each with a certificate of its own.
struct Site {
    compiler: Compiler,
    keeper: Keeper,
}

impl Site {
    fn new() -> Self {
        let mut site = Self {
            compiler: Compiler::default(),
            keeper: Keeper::new(),
        };
        let all = (0..MANY).flat_map(|i| [listener(i), site_certificate(i)]);
        site.update(all.collect(), Vec::new());
        site
    }

    fn update(&mut self, upsert: Vec<(Id, Object)>, remove: Vec<Id>) {
        let changed = upsert.iter().map(|(id, _)| id).chain(&remove);
        let changed = changed.cloned().collect();
        self.compiler.update(Version::default(), upsert, remove);
        self.keeper.update(&self.compiler, &changed);
    }

    fn termination(&self, i: usize) -> Option<Arc<ServerConfig>> {
        let slot = self.compiler.slot_of(&listener(i).0)?;
        self.keeper.made().termination(slot).cloned()
    }
}

fn site_certificate(i: usize) -> (Id, Object) {
    let (host, id) = named(i);
    (id, certificate(&host))
}

#[test]
fn a_renewed_certificate_among_many_makes_its_own_listener_anew_and_no_other() {
    let mut site = Site::new();
    let configs =
        |site: &Site| -> Vec<_> { (0..MANY).map(|i| site.termination(i).unwrap()).collect() };
    let (before, keys) = (configs(&site), site.keeper.certificates.clone());
    site.update(vec![site_certificate(7)], Vec::new());
    let is_kept = |i: &usize| Arc::ptr_eq(&before[*i], &configs(&site)[*i]);
    let renewed: Vec<usize> = (0..MANY).filter(|i| !is_kept(i)).collect();
    assert_eq!(renewed, [7]);
    let mut parsed = site.keeper.certificates.iter();
    let parsed: Vec<_> = parsed
        .by_ref()
        .filter(|(id, now)| !Arc::ptr_eq(&keys[*id], now))
        .map(|(id, _)| id.clone())
        .collect();
    assert_eq!(parsed, [named(7).1]);
}

#[test]
fn what_goes_leaves_nothing_behind_and_what_is_named_on_stays() {
    let mut site = Site::new();
    // The control plane takes back what it can't read any more; its listener names it on.
    site.update(Vec::new(), vec![named(1).1]);
    assert!(site.keeper.certificates.contains_key(&named(1).1));
    assert!(site.termination(1).is_some());
    site.update(Vec::new(), vec![listener(1).0, listener(2).0, named(2).1]);
    assert_eq!(site.keeper.certificates.len(), MANY - 2);
    assert_eq!(site.keeper.listeners.made.len(), MANY - 2);
    assert!(!site.keeper.uses.is_used(&named(1).1));

    let (id, mut plain) = listener(3);
    if let Object::Listener(listener) = &mut plain {
        listener.protocol = Protocol::Http;
    }
    site.update(vec![(id, plain)], Vec::new());
    assert!(site.termination(3).is_none());
    assert!(!site.keeper.certificates.contains_key(&named(3).1));
}

#[test]
fn a_certificate_that_cannot_be_used_leaves_the_one_before_in_its_place() {
    let mut site = Site::new();
    let before = site.termination(5).unwrap();
    let (id, mut flawed) = site_certificate(5);
    if let Object::Certificate(one) = &mut flawed {
        one.key = PrivateKey((*b"nonsense").into());
    }
    site.update(vec![(id.clone(), flawed)], Vec::new());
    let told: Vec<_> = site.keeper.failures().collect();
    assert!(told.len() == 1 && told[0].0 == id, "{told:?}");
    assert!(site.termination(5).is_some());
    site.update(vec![site_certificate(5)], Vec::new());
    assert_eq!(site.keeper.failures().count(), 0);
    assert!(!Arc::ptr_eq(&before, &site.termination(5).unwrap()));
}
