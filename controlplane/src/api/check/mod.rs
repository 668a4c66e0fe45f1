//! What the API asks of an object beyond its fields' types: the CRDs' bounds of lists and their CEL
//! rules (Gateway API v1.7.0, experimental channel). In a cluster the API server checks them.
//!
//! A check walks an object with its field path; what it finds gets its place from the document.

mod gateway;
mod grpc_route;
mod health;
mod http_filter;
mod http_route;
mod other;
mod route;
mod stream_route;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::hash::Hash;
use std::ops::RangeInclusive;

use crate::api::text::{is_label_key, is_subdomain};
use crate::problem::Severity;
use crate::yaml::{FieldPath, Finding, Node};

const SPEC: FieldPath<'static> = FieldPath::Field(&FieldPath::Root, "spec");

/// Has rules that its types don't keep.
pub(super) trait Check {
    fn check(&self, checker: &mut Checker<'_>);
}

/// Gathers what is found.
pub(super) struct Checker<'n> {
    node: &'n Node,
    findings: Vec<Finding>,
}

impl<'n> Checker<'n> {
    pub(super) fn new(node: &'n Node) -> Self {
        Self {
            node,
            findings: Vec::new(),
        }
    }

    pub(super) fn findings(self) -> Vec<Finding> {
        self.findings
    }

    fn error(&mut self, at: &FieldPath<'_>, message: impl fmt::Display, remedy: impl fmt::Display) {
        let field = at.to_string();
        self.findings.push(Finding {
            severity: Severity::Error,
            position: self.node.find(&field),
            field,
            message: message.to_string(),
            remedy: Some(remedy.to_string()),
        });
    }

    fn require(&mut self, holds: bool, at: &FieldPath<'_>, message: &str, remedy: &str) {
        if !holds {
            self.error(at, message, remedy);
        }
    }

    /// The list's length is within bounds.
    fn items<T>(&mut self, at: &FieldPath<'_>, items: &[T], bounds: RangeInclusive<usize>) {
        let (count, min, max) = (items.len(), bounds.start(), bounds.end());
        if count < *min {
            self.error(
                at,
                format_args!("needs at least {min}, has {count}"),
                "add one",
            );
        } else if count > *max {
            self.error(
                at,
                format_args!("takes at most {max}, has {count}"),
                "spread them over several objects",
            );
        }
    }

    /// The list's length is within bounds, and each of it is `checked`.
    fn each<T>(
        &mut self,
        at: &FieldPath<'_>,
        items: &[T],
        bounds: RangeInclusive<usize>,
        checked: impl Fn(&T, &FieldPath<'_>, &mut Self),
    ) {
        self.items(at, items, bounds);
        for (index, one) in items.iter().enumerate() {
            checked(one, &at.index(index), self);
        }
    }

    /// Of a union's fields the one that its discriminator asks for is there, and no other: `fields` are
    /// (wanted, there, name). `by` is the discriminator's name and value, `add` what follows a field's
    /// name in the remedy.
    fn union(
        &mut self,
        at: &FieldPath<'_>,
        by: (&str, &dyn fmt::Display),
        add: &str,
        fields: &[(bool, bool, &str)],
    ) {
        let (name, value) = by;
        for (wanted, there, field) in fields.iter().copied() {
            if wanted && !there {
                self.error(
                    at,
                    format_args!("{name} {value} needs the field `{field}`"),
                    format_args!("add `{field}{add}`"),
                );
            } else if there && !wanted {
                self.error(
                    &at.field(field),
                    format_args!("doesn't go with {name} {value}"),
                    format_args!("remove it, or change the {name}"),
                );
            }
        }
    }

    /// No two items have the same key (items without one don't count); told at the later one.
    fn unique<'t, T: 't, K: Eq + Hash + Ord>(
        &mut self,
        at: &FieldPath<'_>,
        items: impl IntoIterator<Item = &'t T>,
        what: &str,
        key: impl Fn(&'t T) -> Option<K>,
    ) {
        let mut seen = BTreeMap::new();
        for (index, item) in items.into_iter().enumerate() {
            let Some(key) = key(item) else {
                continue;
            };
            if let Some(first) = seen.get(&key) {
                self.error(
                    &at.index(index),
                    format_args!("{what} must be unique, is the same as in [{first}]"),
                    "change it, or remove one of both",
                );
            } else {
                seen.insert(key, index);
            }
        }
    }

    /// Keys have the form of label keys.
    fn label_keys<'k>(&mut self, at: &FieldPath<'_>, keys: impl Iterator<Item = &'k str>) {
        for key in keys.filter(|key| !is_label_key(key)) {
            self.error(&at.field(key), "the key has not the form of a label's key", "write `name` or `domain/name`, the name of at most 63 letters, digits, '-', '_' and '.'");
        }
    }
}

/// `domain/...` where the domain isn't Kubernetes' own.
fn is_foreign_path(text: &str) -> bool {
    text.split_once('/').is_some_and(|(domain, rest)| {
        let reserved = domain == "k8s.io" || domain.ends_with(".k8s.io");
        !rest.is_empty() && !reserved && is_subdomain(domain)
    })
}
