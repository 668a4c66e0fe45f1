//! What every object has: metadata, and label selectors over it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use super::choice::choice;
use super::text::Timestamp;

/// A part of an object that nothing is done with here: it is passed over, whatever it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Opaque;

impl<'de> Deserialize<'de> for Opaque {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer)?;
        Ok(Self)
    }
}

pub type Labels = BTreeMap<Arc<str>, Arc<str>>;

/// Kubernetes ObjectMeta.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectMeta {
    /// Never empty once a document has been read.
    pub name: Arc<str>,
    pub generate_name: Option<Arc<str>>,
    /// Set for every namespaced object once a document has been read.
    pub namespace: Option<Arc<str>>,
    pub labels: Labels,
    pub annotations: Labels,
    pub creation_timestamp: Option<Timestamp>,
    pub deletion_timestamp: Option<Timestamp>,
    pub deletion_grace_period_seconds: Option<i64>,
    pub generation: Option<i64>,
    pub uid: Option<Arc<str>>,
    pub resource_version: Option<Arc<str>>,
    pub owner_references: Option<Opaque>,
    pub finalizers: Option<Opaque>,
    pub managed_fields: Option<Opaque>,
    pub self_link: Option<Opaque>,
}

choice!(SelectorOperator {
    In = "In",
    NotIn = "NotIn",
    Exists = "Exists",
    DoesNotExist = "DoesNotExist",
});

/// Kubernetes LabelSelector; empty selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LabelSelector {
    pub match_labels: Labels,
    pub match_expressions: Vec<SelectorRequirement>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SelectorRequirement {
    pub key: Arc<str>,
    pub operator: SelectorOperator,
    #[serde(default)]
    pub values: Vec<Arc<str>>,
}

impl LabelSelector {
    /// Whether all of it holds; an unknown operator selects nothing.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.match_labels
            .iter()
            .all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(|one| one.matches(labels))
    }
}

impl SelectorRequirement {
    fn matches(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        let listed = || value.is_some_and(|value| self.values.contains(value));
        match self.operator {
            SelectorOperator::In => listed(),
            SelectorOperator::NotIn => !listed(),
            SelectorOperator::Exists => value.is_some(),
            SelectorOperator::DoesNotExist => value.is_none(),
            SelectorOperator::Unknown(_) => false,
        }
    }
}
