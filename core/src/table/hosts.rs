//! Hostnames to something, from the most specific to the least: exact, wildcards by length, any.

use std::collections::HashMap;
use std::sync::Arc;

use crate::ir::Hostname;
use crate::route::host;

/// Keys come from the configuration, never from a request, so a fixed fast hash is safe here.
type Map<T> = HashMap<Arc<str>, T, foldhash::fast::FixedState>;

#[derive(Clone, Debug)]
pub(super) struct HostMap<T> {
    exact: Map<T>,
    /// By what stands behind `*.`.
    wildcard: Map<T>,
    any: Option<T>,
}

impl<T> Default for HostMap<T> {
    fn default() -> Self {
        Self {
            exact: Map::default(),
            wildcard: Map::default(),
            any: None,
        }
    }
}

impl<T> HostMap<T> {
    pub(super) fn insert(&mut self, hostname: &Hostname, value: T) {
        match hostname {
            Hostname::Any => self.any = Some(value),
            Hostname::Wildcard(suffix) => {
                self.wildcard.insert(suffix.clone(), value);
            }
            Hostname::Exact(name) => {
                self.exact.insert(name.clone(), value);
            }
        }
    }

    pub(super) fn remove(&mut self, hostname: &Hostname) {
        match hostname {
            Hostname::Any => self.any = None,
            Hostname::Wildcard(suffix) => {
                self.wildcard.remove(suffix);
            }
            Hostname::Exact(name) => {
                self.exact.remove(name);
            }
        }
    }

    /// What is there for a host, most specific first. Costs a hash per label at most.
    pub(super) fn candidates(&self, host: &str) -> impl Iterator<Item = &T> {
        let exact = if self.exact.is_empty() {
            None
        } else {
            self.exact.get(host)
        };
        let suffixes = if self.wildcard.is_empty() { "" } else { host };
        let wildcards = host::suffixes(suffixes).filter_map(|suffix| self.wildcard.get(suffix));
        exact.into_iter().chain(wildcards).chain(self.any.as_ref())
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.exact
            .values()
            .chain(self.wildcard.values())
            .chain(self.any.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_come_from_the_most_specific_to_any() {
        let mut map = HostMap::default();
        for name in ["", "*.com", "*.example.com", "a.example.com"] {
            map.insert(&Hostname::parse(name).unwrap(), name);
        }
        let candidates = |host| map.candidates(host).copied().collect::<Vec<_>>();
        assert_eq!(
            candidates("a.example.com"),
            ["a.example.com", "*.example.com", "*.com", ""]
        );
        assert_eq!(
            candidates("b.a.example.com"),
            ["*.example.com", "*.com", ""]
        );
        assert_eq!(candidates("example.com"), ["*.com", ""]);
        assert_eq!(candidates("[::1]"), [""]);
    }
}
