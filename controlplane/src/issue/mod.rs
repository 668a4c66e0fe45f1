//! In a cluster the control plane issues the certificates of the stream to data planes itself: its own,
//! and those of data planes that show the token of a ServiceAccount which they are meant for.
//!
//! [`authority`] makes, rotates and signs (pure), [`keep`] keeps the authority in a Secret and publishes
//! its certificate in a ConfigMap, [`review`] asks the API server whose a token is, [`service`] answers
//! data planes, [`own`] is the control plane's own certificate. Certificates of listeners are no business
//! of this module.

pub mod authority;
pub mod keep;
pub mod own;
pub mod review;
pub mod service;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::watch;

use self::authority::Authorities;
use crate::limits::{AUTHORITY_LIFE, AUTHORITY_SPREAD, CERTIFICATE_LIFE};

/// The name of an object, and of its namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespacedName {
    pub namespace: String,
    pub name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("write NAMESPACE/NAME")]
pub struct NotNamespacedName;

impl FromStr for NamespacedName {
    type Err = NotNamespacedName;

    fn from_str(text: &str) -> Result<Self, NotNamespacedName> {
        match text.split_once('/') {
            Some((namespace, name))
                if !namespace.is_empty() && !name.is_empty() && !name.contains('/') =>
            {
                Ok(Self {
                    namespace: namespace.to_owned(),
                    name: name.to_owned(),
                })
            }
            _ => Err(NotNamespacedName),
        }
    }
}

impl fmt::Display for NamespacedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What is issued, and to whom.
#[derive(Clone, Debug)]
pub struct IssueConfig {
    /// ServiceAccounts of data planes.
    pub accounts: Vec<NamespacedName>,
    /// Names that the control plane's own certificate has, besides the address that it advertises.
    pub names: Vec<String>,
    /// The Secret and the ConfigMap; none is `ringgate-authority` in the namespace of our credentials.
    pub store: Option<NamespacedName>,
    pub periods: Periods,
}

/// For how long what is issued is of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Periods {
    /// An authority; the next is made when a third of it is left.
    pub authority: Duration,
    /// How long the next is published before it signs: until all data planes know it.
    pub spread: Duration,
    /// A certificate; the next is asked for when a third of it is left.
    pub certificate: Duration,
}

impl Default for Periods {
    fn default() -> Self {
        Self {
            authority: AUTHORITY_LIFE,
            spread: AUTHORITY_SPREAD,
            certificate: CERTIFICATE_LIFE,
        }
    }
}

/// What the Secret has; None: it isn't known yet.
pub type Known = watch::Receiver<Option<Arc<Authorities>>>;
