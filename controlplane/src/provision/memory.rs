//! What was allocated to objects of files, which can't hold it themselves. Pure: text in, text out;
//! [`super::keep`] has the file.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ringgate_core::ir::ObjectName;
use serde::{Deserialize, Serialize};

use super::Provided;
use crate::api::{ObjectKey, ObjectKind};
use crate::limits::REMEMBERED;

/// The addresses of each Gateway and Service. Those of objects that are gone are kept, too: a file that can't be read
/// for a while costs nobody an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory(BTreeMap<ObjectKey, BTreeSet<IpAddr>>);

/// As it is written; names are `namespace/name`.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Text {
    gateways: BTreeMap<String, BTreeSet<IpAddr>>,
    services: BTreeMap<String, BTreeSet<IpAddr>>,
}

impl Memory {
    pub(super) fn of(&self, key: &ObjectKey) -> BTreeSet<IpAddr> {
        self.0.get(key).cloned().unwrap_or_default()
    }

    /// Of all, be they there or gone.
    pub(super) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.0.values().flatten().copied()
    }

    /// What is to be remembered from now on: an address that was given to another is forgotten of who is gone.
    #[must_use]
    pub fn after(&self, provided: &Provided) -> Self {
        let gateways = provided.claims.iter().map(|(name, claim)| {
            let addresses = claim.wanted.iter().copied().collect();
            (key(ObjectKind::Gateway, name), addresses)
        });
        let services = provided.load_balancers.iter();
        let services =
            services.map(|(name, one)| (key(ObjectKind::Service, name), one.wanted.clone()));
        // One that has nothing now may have had what it waits for.
        let known = gateways.chain(services).filter(|(_, one)| !one.is_empty());
        let known: BTreeMap<ObjectKey, BTreeSet<IpAddr>> = known.collect();
        let given: BTreeSet<IpAddr> = known.values().flatten().copied().collect();
        let gone = self.0.iter().filter(|(key, _)| !known.contains_key(key));
        let gone = gone.map(|(key, addresses)| (key.clone(), addresses - &given));
        let gone = gone.filter(|(_, addresses)| !addresses.is_empty());
        let room = REMEMBERED.saturating_sub(known.len());
        let gone: Vec<_> = gone.take(room).collect();
        Self(known.into_iter().chain(gone).collect())
    }

    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = Text::default();
        for (key, addresses) in &self.0 {
            let of_kind = match key.kind {
                ObjectKind::Gateway => &mut text.gateways,
                _ => &mut text.services,
            };
            of_kind.insert(key.name.to_string(), addresses.clone());
        }
        // Its keys are texts, so this can't fail.
        serde_json::to_string_pretty(&text).unwrap_or_default() + "\n"
    }

    /// # Errors
    /// When it isn't what [`Self::to_text`] makes.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        let Text { gateways, services } = serde_json::from_str(text)?;
        let of_kind = |kind, all: BTreeMap<String, BTreeSet<IpAddr>>| {
            let named = all.into_iter().filter_map(move |(text, addresses)| {
                let (namespace, name) = text.split_once('/')?;
                Some((ObjectKey::new(kind, namespace, name), addresses))
            });
            named.collect::<Vec<_>>()
        };
        let gateways = of_kind(ObjectKind::Gateway, gateways);
        let services = of_kind(ObjectKind::Service, services);
        Ok(Self(gateways.into_iter().chain(services).collect()))
    }
}

fn key(kind: ObjectKind, name: &ObjectName) -> ObjectKey {
    ObjectKey {
        kind,
        name: name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provision::{Claim, LoadBalanced, Parameters};

    fn addresses(texts: &[&str]) -> BTreeSet<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn served(wanted: &[&str]) -> LoadBalanced {
        LoadBalanced {
            wanted: addresses(wanted),
            ordered: Vec::new(),
            is_shown: true,
            is_stored: true,
            binds: None,
            sources: Vec::new(),
            findings: Vec::new(),
        }
    }

    #[test]
    fn what_the_gone_had_is_remembered_until_another_has_it() {
        let before = r#"{
            "gateways": {"default/web": ["192.0.2.1"], "default/gone": ["192.0.2.2", "192.0.2.3"]},
            "services": {"default/dns": ["192.0.2.4"], "default/waits": ["192.0.2.5"]}
        }"#;
        let web = Claim {
            service: ObjectName::new("default", "web-ringgate"),
            parameters: Parameters::default(),
            wanted: addresses(&["192.0.2.1", "192.0.2.3"]).into_iter().collect(),
            addresses: Vec::new(),
            binds: Vec::new(),
            bound_ports: None,
            is_ready: true,
            findings: Vec::new(),
        };
        let provided = Provided {
            claims: [(ObjectName::new("default", "web"), web)].into(),
            load_balancers: [
                (ObjectName::new("default", "dns"), served(&["192.0.2.6"])),
                (ObjectName::new("default", "waits"), served(&[])),
            ]
            .into(),
            ..Provided::default()
        };
        let after = r#"{
            "gateways": {"default/web": ["192.0.2.1", "192.0.2.3"], "default/gone": ["192.0.2.2"]},
            "services": {"default/dns": ["192.0.2.6"], "default/waits": ["192.0.2.5"]}
        }"#;
        let (before, after) = (
            Memory::parse(before).unwrap(),
            Memory::parse(after).unwrap(),
        );
        assert_eq!(before.after(&provided), after);
        assert_eq!(Memory::parse(&after.to_text()).unwrap(), after);
    }
}
