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

impl Resources {
    /// Those that are named and don't come by the watch of their kind.
    /// Secrets of type `kubernetes.io/tls` do.
    #[must_use]
    pub fn references(&self) -> BTreeSet<ObjectKey> {
        let mut references = Named::default();
        for (name, gateway) in self.gateways.iter().filter(|(_, one)| self.is_ours(one)) {
            references.add_listeners(&name.namespace, &gateway.spec.listeners);
            references.add_tls(&name.namespace, gateway);
        }
        for (name, set) in &self.listener_sets {
            let parent = set.spec.parent_ref.gateway(&name.namespace);
            let parent = parent.and_then(|parent| self.gateways.get(&parent));
            if parent.is_some_and(|one| self.is_ours(one)) {
                references.add_listeners(&name.namespace, &set.spec.listeners);
            }
        }
        if self.gateways.values().any(|one| self.is_ours(one)) {
            for (name, policy) in &self.backend_tls_policies {
                for one in &policy.spec.validation.ca_certificate_refs {
                    let namespace = name.namespace.clone();
                    references.add(&one.group, &one.kind, namespace, one.name.shared());
                }
            }
        }
        let mut references = references.0;
        references.retain(|key| !self.is_certificate(key));
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

#[derive(Default)]
struct Named(BTreeSet<ObjectKey>);

impl Named {
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
        let kinds = [ObjectKind::Secret, ObjectKind::ConfigMap];
        let kind = kinds.into_iter().find(|one| *kind == *one.as_str());
        self.0
            .extend(kind.filter(|_| group.is_empty()).map(|kind| ObjectKey {
                kind,
                name: ObjectName { namespace, name },
            }));
    }
}

fn configs(tls: &FrontendTls) -> impl Iterator<Item = &TlsConfig> {
    let per_port = tls.per_port.iter().map(|one| &one.tls);
    std::iter::once(&tls.default).chain(per_port)
}
