//! Hostnames to something, from the most specific to the least: exact, wildcards by length, any.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::ir::Hostname;
use crate::route::host;

/// What stands in a [`HostMap`] knows its host itself: a lookup compares where it will read anyway.
pub(super) trait HasHost {
    /// As [`Hostname::text`].
    fn host(&self) -> &str;
}

impl<T: HasHost> HasHost for Arc<T> {
    fn host(&self) -> &str {
        T::host(self)
    }
}

/// Keys come from the configuration, never from a request, so a fixed fast hash is safe here.
type Set<T> = HashSet<ByHost<T>, foldhash::fast::FixedState>;

#[derive(Clone, Debug)]
pub(super) struct HostMap<T> {
    exact: Set<T>,
    /// By what stands behind `*.`.
    wildcard: Set<T>,
    any: Option<T>,
}

#[derive(Clone, Debug)]
struct ByHost<T>(T);

impl<T: HasHost> Borrow<str> for ByHost<T> {
    fn borrow(&self) -> &str {
        self.0.host()
    }
}

impl<T: HasHost> Hash for ByHost<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.host().hash(state);
    }
}

impl<T: HasHost> PartialEq for ByHost<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0.host() == other.0.host()
    }
}

impl<T: HasHost> Eq for ByHost<T> {}

impl<T> Default for HostMap<T> {
    fn default() -> Self {
        Self {
            exact: Set::default(),
            wildcard: Set::default(),
            any: None,
        }
    }
}

impl<T: HasHost> HostMap<T> {
    /// `hostname` is that of the value.
    pub(super) fn insert(&mut self, hostname: &Hostname, value: T) {
        match hostname {
            Hostname::Any => self.any = Some(value),
            Hostname::Wildcard(_) => {
                self.wildcard.replace(ByHost(value));
            }
            Hostname::Exact(_) => {
                self.exact.replace(ByHost(value));
            }
        }
    }

    pub(super) fn remove(&mut self, hostname: &Hostname) {
        match hostname {
            Hostname::Any => self.any = None,
            Hostname::Wildcard(suffix) => {
                self.wildcard.remove(&**suffix);
            }
            Hostname::Exact(name) => {
                self.exact.remove(&**name);
            }
        }
    }

    /// What is there for a hostname itself.
    pub(super) fn get(&self, hostname: &Hostname) -> Option<&T> {
        let named = match hostname {
            Hostname::Any => return self.any.as_ref(),
            Hostname::Wildcard(suffix) => self.wildcard.get(&**suffix),
            Hostname::Exact(name) => self.exact.get(&**name),
        };
        named.map(|one| &one.0)
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
        let named = exact.into_iter().chain(wildcards).map(|one| &one.0);
        named.chain(self.any.as_ref())
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        let named = self.exact.iter().chain(&self.wildcard).map(|one| &one.0);
        named.chain(self.any.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl HasHost for Hostname {
        fn host(&self) -> &str {
            self.text()
        }
    }

    #[test]
    fn candidates_come_from_the_most_specific_to_any() {
        let mut map = HostMap::default();
        for name in ["", "*.com", "*.example.com", "a.example.com"] {
            let name = Hostname::parse(name).unwrap();
            map.insert(&name.clone(), name);
        }
        let candidates = |host| {
            let found = map.candidates(host).map(ToString::to_string);
            found.collect::<Vec<_>>()
        };
        assert_eq!(
            candidates("a.example.com"),
            ["a.example.com", "*.example.com", "*.com", "*"]
        );
        assert_eq!(
            candidates("b.a.example.com"),
            ["*.example.com", "*.com", "*"]
        );
        assert_eq!(candidates("example.com"), ["*.com", "*"]);
        assert_eq!(candidates("[::1]"), ["*"]);
    }

    /// Counts how often it is looked at.
    struct Counted {
        name: Hostname,
        looks: std::rc::Rc<std::cell::Cell<usize>>,
    }

    impl HasHost for Counted {
        fn host(&self) -> &str {
            self.looks.set(self.looks.get() + 1);
            self.name.text()
        }
    }

    #[test]
    fn a_lookup_among_ten_thousand_looks_at_no_more_than_one_among_ten() {
        let looks = |count: usize| {
            let looks = std::rc::Rc::<std::cell::Cell<usize>>::default();
            let mut map = HostMap::default();
            for i in 0..count {
                for form in [
                    format!("site-{i}.example.com"),
                    format!("*.site-{i}.example.org"),
                ] {
                    let name = Hostname::parse(&form).unwrap();
                    let looks = looks.clone();
                    map.insert(&name.clone(), Counted { name, looks });
                }
            }
            looks.set(0);
            for i in 0..count {
                assert!(
                    map.candidates(&format!("site-{i}.example.com"))
                        .next()
                        .is_some()
                );
                let below = format!("a.site-{i}.example.org");
                assert!(map.candidates(&below).next().is_some());
                assert!(
                    map.candidates(&format!("none-{i}.example.com"))
                        .next()
                        .is_none()
                );
            }
            looks.get() as f64 / count as f64
        };
        let (few, many) = (looks(10), looks(10_000));
        // One for each that is found; now and then one whose hash is alike.
        assert!(few < 3.0 && many < 3.0, "{few} {many}");
    }
}
