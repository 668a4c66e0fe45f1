//! A document's node to objects: which kind it is, what isn't for us, `kind: List`.

use std::rc::Rc;
use std::sync::Arc;

use super::check::Checker;
use super::meta::ObjectMeta;
use super::object::{ForKind, Typed};
use super::reference::GATEWAY_GROUP;
use super::text::{is_label, is_subdomain};
use super::{Object, ObjectKey, ObjectKind};
use crate::problem::{Position, Severity};
use crate::yaml::{Finding, Node, Reading, Value, decode, nearest};

/// Where an object without a namespace is.
pub const DEFAULT_NAMESPACE: &str = "default";

/// One object of a document, as far as it could be read.
#[derive(Clone, Debug)]
pub struct Item {
    /// Its place in a `kind: List`.
    pub index: Option<u32>,
    /// Where it begins, in the document's text.
    pub position: Position,
    /// None: not one of our kinds, or without a name.
    pub key: Option<ObjectKey>,
    /// None: not one of our kinds, or with errors.
    pub object: Option<Object>,
    /// It can't be told which object it is meant to be: it may be any that was here before.
    pub unidentified: bool,
    /// Fields are relative to the object, positions to the document's text.
    pub findings: Vec<Finding>,
}

/// Reads the root of a document.
#[must_use]
pub fn read(root: &Node) -> Vec<Item> {
    match list_items(root) {
        Some(items) => items
            .iter()
            .zip(0..)
            .map(|(node, index)| read_object(node, Some(index)))
            .collect(),
        None => vec![read_object(root, None)],
    }
}

/// The node of an item, given what [`read`] said its index is.
#[must_use]
pub fn item_node(root: &Node, index: Option<u32>) -> Option<&Node> {
    match index {
        None => Some(root),
        Some(index) => list_items(root)?
            .get(usize::try_from(index).ok()?)
            .map(Rc::as_ref),
    }
}

fn list_items(root: &Node) -> Option<&[Rc<Node>]> {
    let (version, kind) = (root.text_of("apiVersion")?, root.text_of("kind")?);
    let (group, _) = group_and_version(version);
    // `kubectl get` writes List; the API itself HTTPRouteList, ServiceList and so on.
    let ours = ObjectKind::ALL
        .iter()
        .any(|one| one.group() == group && kind.strip_suffix("List") == Some(one.as_str()));
    if kind != "List" && !ours {
        return None;
    }
    match &root.get("items")?.value {
        Value::Sequence(items) => Some(items),
        _ => None,
    }
}

fn read_object(node: &Node, index: Option<u32>) -> Item {
    match identify(node) {
        Ok(kind) => kind.give(ReadNode { node, kind, index }),
        Err(finding) => Item {
            index,
            position: node.position,
            key: None,
            object: None,
            unidentified: finding.severity == Severity::Error && !is_not_carried_out(node),
            findings: vec![finding],
        },
    }
}

fn group_and_version(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

/// Which of our kinds it is, else what to say of it.
fn identify(node: &Node) -> Result<ObjectKind, Finding> {
    if !matches!(node.value, Value::Mapping(_)) {
        return Err(finding(
            node,
            Severity::Error,
            "",
            "no Kubernetes object: not a mapping",
            "write apiVersion, kind, metadata and spec",
        ));
    }
    let header = |field: &str| {
        let missing = format!("no Kubernetes object: `{field}` is missing");
        let text = node.text_of(field).filter(|text| !text.is_empty());
        text.ok_or_else(|| {
            finding(
                node,
                Severity::Error,
                "",
                &missing,
                &format!("add `{field}:`"),
            )
        })
    };
    let (kind, api_version) = (header("kind")?, header("apiVersion")?);
    let (group, version) = group_and_version(api_version);
    let ours = ObjectKind::ALL
        .iter()
        .find(|one| one.as_str() == kind && one.group() == group);
    match ours {
        Some(one) if one.versions().contains(&version) => Ok(*one),
        Some(one) => {
            let message = format!("{kind} has no version {api_version:?} here");
            Err(finding(
                node,
                Severity::Error,
                "apiVersion",
                &message,
                &format!("write `{}`", api_version_of(*one)),
            ))
        }
        None => Err(foreign(node, kind, api_version, group)),
    }
}

fn api_version_of(kind: ObjectKind) -> String {
    let version = kind.versions().first().copied().unwrap_or("v1");
    match kind.group() {
        "" => version.to_owned(),
        group => format!("{group}/{version}"),
    }
}

/// Kinds of Gateway API that nothing is done with yet.
const NOT_CARRIED_OUT: &[&str] = &[
    "BackendLBPolicy",
    "XListenerSet",
    "XBackend",
    "XBackendTrafficPolicy",
    "XMesh",
    "XTelemetryPolicy",
];

/// Kinds of the core group that are spelt like ours, so that they aren't taken for a slip.
const CORE_NEIGHBOURS: &[&str] = &[
    "ServiceAccount",
    "Endpoints",
    "Event",
    "Node",
    "Pod",
    "Secret",
];

/// What is to be said of a kind that isn't ours: in our groups an error (traffic was meant to flow by
/// it), elsewhere a note, for folders hold Deployments too.
fn foreign(node: &Node, kind: &str, api_version: &str, group: &str) -> Finding {
    let of_gateway_api = is_of_gateway_api(group);
    if is_not_carried_out(node) {
        let message = format!("{kind} is not carried out yet");
        return finding(
            node,
            Severity::Error,
            "kind",
            &message,
            "take it out, or describe the traffic by HTTPRoutes",
        );
    }
    let named = ObjectKind::ALL.iter().find(|one| one.as_str() == kind);
    if let Some(one) =
        named.filter(|one| of_gateway_api || group.is_empty() || one.group() == GATEWAY_GROUP)
    {
        let message = format!("there is no {kind} in {api_version:?}");
        return finding(
            node,
            Severity::Error,
            "apiVersion",
            &message,
            &format!("write `{}`", api_version_of(*one)),
        );
    }
    let in_group = ObjectKind::ALL.iter().filter(|one| one.group() == group);
    let near = nearest(kind, in_group.map(|one| one.as_str()));
    let ours = of_gateway_api || group == "ringgate.io";
    match near {
        Some(near) if ours || !CORE_NEIGHBOURS.contains(&kind) => {
            let message = format!("there is no {kind} in {api_version:?}");
            finding(
                node,
                Severity::Error,
                "kind",
                &message,
                &format!("did you mean {near}?"),
            )
        }
        _ if ours => {
            let message = format!("there is no {kind} in {api_version:?}");
            finding(
                node,
                Severity::Error,
                "kind",
                &message,
                "look the kind up in the reference of Gateway API",
            )
        }
        _ => {
            let message = format!("{kind} of {api_version:?} is not for Ringgate, and is ignored");
            let mut note = finding(node, Severity::Note, "", &message, "");
            note.remedy = None;
            note
        }
    }
}

fn is_of_gateway_api(group: &str) -> bool {
    group == GATEWAY_GROUP || group == "gateway.networking.x-k8s.io"
}

fn is_not_carried_out(node: &Node) -> bool {
    let (group, _) = group_and_version(node.text_of("apiVersion").unwrap_or_default());
    is_of_gateway_api(group) && NOT_CARRIED_OUT.contains(&node.text_of("kind").unwrap_or_default())
}

fn finding(node: &Node, severity: Severity, field: &str, message: &str, remedy: &str) -> Finding {
    Finding {
        severity,
        position: node.find(field),
        field: field.to_owned(),
        message: message.to_owned(),
        remedy: Some(remedy.to_owned()),
    }
}

struct ReadNode<'n> {
    node: &'n Node,
    kind: ObjectKind,
    index: Option<u32>,
}

impl ForKind for ReadNode<'_> {
    type Output = Item;

    fn of<T: Typed>(self) -> Item {
        let Self { node, kind, index } = self;
        let reading = Reading {
            ignored: &["apiVersion", "kind", "status"],
            secret: kind == ObjectKind::Secret,
        };
        let decoded = decode::<T>(node, reading);
        let mut findings = decoded.findings;
        let key = key_of(node, kind);
        findings.extend(key.findings);
        let object = decoded.value.map(|mut value| {
            complete(value.metadata_mut(), key.key.as_ref());
            let mut checker = Checker::new(node);
            value.check(&mut checker);
            findings.extend(checker.findings());
            value.into()
        });
        let failed = findings.iter().any(|one| one.severity == Severity::Error);
        Item {
            index,
            position: node.position,
            unidentified: key.key.is_none(),
            key: key.key,
            object: object.filter(|_| !failed),
            findings,
        }
    }
}

fn complete(metadata: &mut ObjectMeta, key: Option<&ObjectKey>) {
    if let Some(key) = key {
        metadata.name = key.name.name.clone();
        let namespace = &key.name.namespace;
        metadata.namespace = (!namespace.is_empty()).then(|| namespace.clone());
    }
}

struct KeyFound {
    key: Option<ObjectKey>,
    findings: Vec<Finding>,
}

/// The key can be told even where the rest has errors: it says whose last good version stays.
fn key_of(node: &Node, kind: ObjectKind) -> KeyFound {
    let metadata = node.get("metadata");
    let text = |field| {
        metadata
            .and_then(|one| one.text_of(field))
            .filter(|text| !text.is_empty())
    };
    let mut findings = Vec::new();
    let namespace = match (kind.is_namespaced(), text("namespace")) {
        (true, Some(namespace)) => namespace,
        (true, None) => DEFAULT_NAMESPACE,
        (false, Some(_)) => {
            let message = format!("a {kind} has no namespace");
            findings.push(finding(
                node,
                Severity::Warning,
                "metadata.namespace",
                &message,
                "remove it",
            ));
            ""
        }
        (false, None) => "",
    };
    let fits = namespace.is_empty() || (namespace.len() <= 63 && is_label(namespace));
    if !fits {
        let message = format!("{namespace:?} is no name of a namespace");
        findings.push(finding(
            node,
            Severity::Error,
            "metadata.namespace",
            &message,
            "use at most 63 of a-z, 0-9 and inner hyphens",
        ));
    }
    let name = text("name");
    match name {
        Some(name) if name.len() <= 253 && is_subdomain(name) => {}
        Some(name) => {
            let message = format!("{name:?} is no name of an object");
            findings.push(finding(
                node,
                Severity::Error,
                "metadata.name",
                &message,
                "use at most 253 of a-z, 0-9, inner hyphens and dots",
            ));
        }
        // Without metadata at all that is told already.
        None if metadata.is_none() => {}
        None => findings.push(finding(
            node,
            Severity::Error,
            "metadata",
            "field `name` is missing",
            "add `name:`",
        )),
    }
    let key = name.map(|name| ObjectKey {
        kind,
        name: ringgate_core::ir::ObjectName {
            namespace: Arc::from(namespace),
            name: Arc::from(name),
        },
    });
    KeyFound { key, findings }
}

#[cfg(test)]
#[path = "document_tests.rs"]
pub(crate) mod tests;
