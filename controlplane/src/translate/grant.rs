//! ReferenceGrants: whether a reference may cross into another namespace.

use ringgate_core::ir::ObjectName;

use crate::api::ObjectKind;
use crate::api::gateway::{GrantFrom, GrantTo};
use crate::store::Resources;

/// Whether an object of kind `from` in namespace `of` may refer to `target` of kind `to`. Within one
/// namespace always; else when a ReferenceGrant in the target's namespace says so.
pub(super) fn permits(
    resources: &Resources,
    (from, of): (ObjectKind, &str),
    (to, target): (ObjectKind, &ObjectName),
) -> bool {
    let is_from = |one: &GrantFrom| {
        one.group == *from.group() && one.kind == *from.as_str() && one.namespace == *of
    };
    let is_to = |one: &GrantTo| {
        one.group == *to.group()
            && one.kind == *to.as_str()
            && one.name.as_ref().is_none_or(|name| *name == *target.name)
    };
    *target.namespace == *of
        || grants_in(resources, &target.namespace)
            .any(|spec| spec.from.iter().any(is_from) && spec.to.iter().any(is_to))
}

/// Names are ordered by namespace first, so those of one namespace lie together.
fn grants_in<'r>(
    resources: &'r Resources,
    namespace: &'r str,
) -> impl Iterator<Item = &'r crate::api::gateway::ReferenceGrantSpec> {
    resources
        .reference_grants
        .iter_from(&ObjectName::new(namespace, ""))
        .take_while(move |(name, _)| *name.namespace == *namespace)
        .map(|(_, grant)| &grant.spec)
}
