//! Core Secret, ConfigMap and Namespace.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

use super::certificate::{Bundle, Derived, Flaw, KeyPair};
use super::meta::{Labels, ObjectMeta, Opaque};
use super::text::TextError;

/// What a Secret holds; never printed.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(from = "SecretText")]
pub struct Secret {
    pub metadata: ObjectMeta,
    pub secret_type: Option<Arc<str>>,
    /// Decoded; `stringData` wins over `data`, as in Kubernetes.
    pub data: BTreeMap<Arc<str>, Arc<[u8]>>,
    pub(super) key_pair: Derived<Result<KeyPair, Flaw>>,
    pub(super) authorities: Derived<Result<Bundle, Flaw>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SecretText {
    metadata: ObjectMeta,
    #[serde(rename = "type")]
    secret_type: Option<Arc<str>>,
    #[serde(default)]
    data: BTreeMap<Arc<str>, Base64>,
    #[serde(default)]
    string_data: Labels,
    #[serde(rename = "immutable")]
    _immutable: Option<bool>,
}

impl From<SecretText> for Secret {
    fn from(text: SecretText) -> Self {
        let encoded = text.data.into_iter().map(|(key, value)| (key, value.0));
        let plain = text
            .string_data
            .into_iter()
            .map(|(key, value)| (key, value.as_bytes().into()));
        Self {
            metadata: text.metadata,
            secret_type: text.secret_type,
            data: encoded.chain(plain).collect(),
            key_pair: Derived::default(),
            authorities: Derived::default(),
        }
    }
}

impl Secret {
    /// The same with more of its data; what is there by these keys is replaced.
    #[must_use]
    pub fn with_data<'k>(&self, more: impl IntoIterator<Item = (&'k str, Vec<u8>)>) -> Self {
        let more = more
            .into_iter()
            .map(|(key, bytes)| (key.into(), bytes.into()));
        Self {
            metadata: self.metadata.clone(),
            secret_type: self.secret_type.clone(),
            data: self.data.clone().into_iter().chain(more).collect(),
            key_pair: Derived::default(),
            authorities: Derived::default(),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret")
            .field("metadata", &self.metadata)
            .field("keys", &self.data.keys())
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(from = "ConfigMapText")]
pub struct ConfigMap {
    pub metadata: ObjectMeta,
    pub data: Labels,
    /// Decoded.
    pub binary_data: BTreeMap<Arc<str>, Arc<[u8]>>,
    pub(super) authorities: Derived<Result<Bundle, Flaw>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConfigMapText {
    metadata: ObjectMeta,
    #[serde(default)]
    data: Labels,
    #[serde(default)]
    binary_data: BTreeMap<Arc<str>, Base64>,
    #[serde(rename = "immutable")]
    _immutable: Option<bool>,
}

impl From<ConfigMapText> for ConfigMap {
    fn from(text: ConfigMapText) -> Self {
        let decoded = text
            .binary_data
            .into_iter()
            .map(|(key, value)| (key, value.0));
        Self {
            metadata: text.metadata,
            data: text.data,
            binary_data: decoded.collect(),
            authorities: Derived::default(),
        }
    }
}

/// Bytes from base64 text, line breaks in it left out.
struct Base64(Arc<[u8]>);

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut text = String::deserialize(deserializer)?;
        text.retain(|c| !c.is_ascii_whitespace());
        match STANDARD.decode(text.as_bytes()) {
            Ok(bytes) => Ok(Self(bytes.into())),
            Err(_) => Err(D::Error::custom(TextError::Base64)),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Namespace {
    pub metadata: ObjectMeta,
    pub spec: Option<Opaque>,
}
