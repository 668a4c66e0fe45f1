//! References to certificates and authorities: what they lead to, and whether it can be used.

use std::sync::Arc;

use ringgate_core::ir::{Id, ObjectName};

use super::grant;
use super::problem::{Fault, Purpose, Unusable};
use crate::api::certificate::{Bundle, Flaw};
use crate::api::reference::{ObjectReference, SecretObjectReference};
use crate::api::{ObjectKey, ObjectKind};
use crate::store::Resources;

/// A Secret that may be referred to, and what is wrong with the certificate in it.
pub(super) struct Found {
    pub(super) secret: ObjectName,
    pub(super) fault: Option<Fault>,
    /// About what is given to be stapled to it.
    pub(super) advice: Option<Fault>,
}

/// What a reference in `owner` leads to.
pub(super) fn find(
    resources: &Resources,
    owner: &ObjectKey,
    purpose: Purpose,
    reference: &SecretObjectReference,
) -> Result<Found, Fault> {
    let kind = ObjectKind::Secret;
    let fault = |why| Fault::Certificate { purpose, why };
    if reference.group != *kind.group() || reference.kind != *kind.as_str() {
        let (group, kind) = (&reference.group, &reference.kind);
        return Err(fault(Unusable::Kind(full_kind(group, kind))));
    }
    let namespace = reference.namespace.as_ref();
    let name = ObjectName {
        namespace: namespace.map_or_else(|| owner.name.namespace.clone(), |one| one.shared()),
        name: reference.name.shared(),
    };
    let key = ObjectKey { kind, name };
    require_grant(resources, owner, &key)?;
    let Some(secret) = resources.secrets.get(&key.name) else {
        return Err(fault(Unusable::Missing(key)));
    };
    let (flaw, unstapled) = match secret.key_pair() {
        Ok(pair) => (None, pair.unstapled.clone()),
        Err(flaw) => (Some(flaw.clone()), None),
    };
    let secret = key.name.clone();
    Ok(Found {
        secret: secret.clone(),
        advice: unstapled.map(|flaw| Fault::Unstapled { secret, flaw }),
        fault: flaw.map(|flaw| fault(Unusable::Flawed { holder: key, flaw })),
    })
}

/// The object that holds the authorities which a reference in `owner` leads to.
pub(super) fn find_authorities(
    resources: &Resources,
    owner: &ObjectKey,
    purpose: Purpose,
    reference: &ObjectReference,
) -> Result<ObjectKey, Fault> {
    let fault = |why| Fault::Certificate { purpose, why };
    let (group, kind) = (&reference.group, &reference.kind);
    let kinds = [
        ObjectKind::ConfigMap,
        ObjectKind::Secret,
        ObjectKind::ClusterTrustBundle,
    ];
    let found = kinds
        .iter()
        .find(|one| *group == *one.group() && *kind == *one.as_str());
    let Some(kind) = found else {
        return Err(fault(Unusable::Kind(full_kind(group, kind))));
    };
    let namespace = match (kind.is_namespaced(), &reference.namespace) {
        (false, _) => "".into(),
        (true, None) => owner.name.namespace.clone(),
        (true, Some(one)) => one.shared(),
    };
    let name = reference.name.shared();
    let key = ObjectKey {
        kind: *kind,
        name: ObjectName { namespace, name },
    };
    if kind.is_namespaced() {
        require_grant(resources, owner, &key)?;
    }
    match authorities(resources, &key) {
        None => Err(fault(Unusable::Missing(key))),
        Some(Ok(_)) => Ok(key),
        Some(Err(flaw)) => {
            let flaw = flaw.clone();
            Err(fault(Unusable::Flawed { holder: key, flaw }))
        }
    }
}

/// None: there is no such object.
pub(super) fn authorities<'r>(
    resources: &'r Resources,
    holder: &ObjectKey,
) -> Option<Result<&'r Bundle, &'r Flaw>> {
    match holder.kind {
        ObjectKind::ConfigMap => Some(resources.config_maps.get(&holder.name)?.authorities()),
        ObjectKind::Secret => Some(resources.secrets.get(&holder.name)?.authorities()),
        ObjectKind::ClusterTrustBundle => {
            let bundle = resources.cluster_trust_bundles.get(&holder.name)?;
            Some(bundle.authorities())
        }
        _ => None,
    }
}

/// What authorities are in a snapshot, by what holds them.
pub(super) fn authorities_id(holder: &ObjectKey) -> Id {
    Id::authorities(holder.kind.as_str(), &holder.name)
}

fn require_grant(resources: &Resources, owner: &ObjectKey, to: &ObjectKey) -> Result<(), Fault> {
    let from = (owner.kind, &*owner.name.namespace);
    match grant::permits(resources, from, (to.kind, &to.name)) {
        true => Ok(()),
        false => Err(Fault::NotGranted {
            from: owner.kind,
            to: to.clone(),
        }),
    }
}

/// `Kind.group`, as people tell kinds apart.
fn full_kind(group: &str, kind: &str) -> Arc<str> {
    match group {
        "" => kind.into(),
        group => format!("{kind}.{group}").into(),
    }
}
