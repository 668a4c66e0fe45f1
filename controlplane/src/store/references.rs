//! Which Secrets and ConfigMaps the Gateways of our classes name, and policies for their backends: a
//! cluster is asked for those one by one, and for no others.

use std::collections::BTreeSet;
use std::sync::Arc;

use ringgate_core::ir::ObjectName;

use super::Resources;
use crate::api::certificate::TLS_SECRET;
use crate::api::gateway::{FrontendTls, Gateway, Listener, TlsConfig};
use crate::api::reference::SecretObjectReference;
use crate::api::text::{Group, KindName};
use crate::api::{CONTROLLER_NAME, ObjectKey, ObjectKind};

/// The references of all objects, looked for again when one that can name any is another.
#[derive(Debug, Default)]
pub(crate) struct References {
    from: Resources,
    known: Arc<BTreeSet<ObjectKey>>,
}

impl References {
    pub(crate) fn update(&mut self, resources: &Resources) -> &Arc<BTreeSet<ObjectKey>> {
        if !self.from.names_the_same(resources) {
            self.from = resources.naming();
            self.known = Arc::new(resources.references());
        }
        &self.known
    }
}

impl Resources {
    /// What names others, or decides whether that counts.
    fn naming(&self) -> Self {
        Self {
            gateway_classes: self.gateway_classes.clone(),
            gateways: self.gateways.clone(),
            listener_sets: self.listener_sets.clone(),
            backend_tls_policies: self.backend_tls_policies.clone(),
            secrets: self.secrets.clone(),
            ..Self::default()
        }
    }

    fn names_the_same(&self, other: &Self) -> bool {
        self.gateway_classes.is_same(&other.gateway_classes)
            && self.gateways.is_same(&other.gateways)
            && self.listener_sets.is_same(&other.listener_sets)
            && self
                .backend_tls_policies
                .is_same(&other.backend_tls_policies)
            && self.secrets.is_same(&other.secrets)
    }

    /// Those that are named and don't come by the watch of their kind.
    /// Secrets of type `kubernetes.io/tls` do.
    #[must_use]
    pub fn references(&self) -> BTreeSet<ObjectKey> {
        let mut references = Named::default();
        for (name, gateway) in self.gateways.iter().filter(|(_, one)| self.is_ours(one)) {
            references.add_gateway(name, gateway);
        }
        for (name, set) in &self.listener_sets {
            let parent = set.spec.parent_ref.gateway(&name.namespace);
            let parent = parent.and_then(|parent| self.gateways.get(&parent));
            if parent.is_some_and(|one| self.is_ours(one)) {
                references.add_listeners(&name.namespace, &set.spec.listeners);
            }
        }
        // Whether or not a route leads to their Services yet: the first one that does is served at once.
        if self.gateways.values().any(|one| self.is_ours(one)) {
            for (name, policy) in &self.backend_tls_policies {
                for one in &policy.spec.validation.ca_certificate_refs {
                    let namespace = name.namespace.clone();
                    references.add(&one.group, &one.kind, namespace, one.name.shared());
                }
            }
        }
        let mut references = references.0;
        references
            .retain(|key| key.kind != ObjectKind::ClusterTrustBundle && !self.is_certificate(key));
        references
    }

    fn is_ours(&self, gateway: &Gateway) -> bool {
        let class = ObjectName::new("", &gateway.spec.gateway_class_name);
        let class = self.gateway_classes.get(&class);
        class.is_some_and(|class| class.spec.controller_name == CONTROLLER_NAME)
    }

    fn is_certificate(&self, key: &ObjectKey) -> bool {
        let secret = self.secrets.get(&key.name);
        key.kind == ObjectKind::Secret
            && secret.is_some_and(|one| one.secret_type.as_deref() == Some(TLS_SECRET))
    }
}

/// What holds the certificates and authorities that something names.
#[derive(Debug, Default)]
pub(crate) struct Named(BTreeSet<ObjectKey>);

impl Named {
    /// By a Gateway and its own listeners.
    pub(crate) fn by_gateway(name: &ObjectName, gateway: &Gateway) -> Self {
        let mut named = Self::default();
        named.add_gateway(name, gateway);
        named
    }

    pub(crate) fn by_listeners(namespace: &Arc<str>, listeners: &[Listener]) -> Self {
        let mut named = Self::default();
        named.add_listeners(namespace, listeners);
        named
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &ObjectKey> {
        self.0.iter()
    }

    fn add_gateway(&mut self, name: &ObjectName, gateway: &Gateway) {
        self.add_listeners(&name.namespace, &gateway.spec.listeners);
        self.add_tls(&name.namespace, gateway);
    }

    fn add_listeners(&mut self, namespace: &Arc<str>, listeners: &[Listener]) {
        let tls = listeners.iter().filter_map(|one| one.tls.as_ref());
        for one in tls.flat_map(|tls| &tls.certificate_refs) {
            self.add_secret(namespace, one);
        }
    }

    fn add_tls(&mut self, namespace: &Arc<str>, gateway: &Gateway) {
        let Some(tls) = &gateway.spec.tls else {
            return;
        };
        let backend = tls.backend.as_ref();
        if let Some(one) = backend.and_then(|one| one.client_certificate_ref.as_ref()) {
            self.add_secret(namespace, one);
        }
        for config in tls.frontend.iter().flat_map(configs) {
            let validation = config.validation.iter();
            for one in validation.flat_map(|one| &one.ca_certificate_refs) {
                let own = one.namespace.as_ref().map(|own| own.shared());
                let namespace = own.unwrap_or_else(|| namespace.clone());
                self.add(&one.group, &one.kind, namespace, one.name.shared());
            }
        }
    }

    fn add_secret(&mut self, namespace: &Arc<str>, reference: &SecretObjectReference) {
        let own = reference.namespace.as_ref().map(|own| own.shared());
        let namespace = own.unwrap_or_else(|| namespace.clone());
        self.add(
            &reference.group,
            &reference.kind,
            namespace,
            reference.name.shared(),
        );
    }

    fn add(&mut self, group: &Group, kind: &KindName, namespace: Arc<str>, name: Arc<str>) {
        let kinds = [
            ObjectKind::Secret,
            ObjectKind::ConfigMap,
            ObjectKind::ClusterTrustBundle,
        ];
        let mut kinds = kinds.into_iter();
        let found = kinds.find(|one| *group == *one.group() && *kind == *one.as_str());
        self.0.extend(found.map(|kind| {
            let namespace = match kind.is_namespaced() {
                true => namespace,
                false => "".into(),
            };
            let name = ObjectName { namespace, name };
            ObjectKey { kind, name }
        }));
    }
}

fn configs(tls: &FrontendTls) -> impl Iterator<Item = &TlsConfig> {
    let per_port = tls.per_port.iter().map(|one| &one.tls);
    std::iter::once(&tls.default).chain(per_port)
}
