//! Hostnames to something, from the most specific to the least: exact, wildcards by length, any.

use super::host_set::{Change, HasHost, HostSet};
use crate::ir::Hostname;
use crate::route::host;

#[derive(Clone, Debug)]
pub(super) struct HostMap<T> {
    exact: HostSet<T>,
    /// By what stands behind `*.`.
    wildcard: HostSet<T>,
    any: Option<T>,
}

impl<T> Default for HostMap<T> {
    fn default() -> Self {
        Self {
            exact: HostSet::default(),
            wildcard: HostSet::default(),
            any: None,
        }
    }
}

impl<T> HostMap<T> {
    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        let named = self.exact.iter().chain(self.wildcard.iter());
        named.chain(self.any.as_ref())
    }
}

impl<T: HasHost + Clone> HostMap<T> {
    /// `hostname` is that of the value.
    pub(super) fn insert(&mut self, hostname: &Hostname, value: T) {
        self.apply([(hostname, Some(value))]);
    }

    /// Puts values in their hostnames' places; none: the hostname goes. Each hostname comes once at most.
    pub(super) fn apply<'c>(
        &mut self,
        changes: impl IntoIterator<Item = (&'c Hostname, Option<T>)>,
    ) {
        let (mut exact, mut wildcard) = (Vec::new(), Vec::new());
        for (hostname, value) in changes {
            let (set, changes, host) = match hostname {
                Hostname::Any => {
                    self.any = value;
                    continue;
                }
                Hostname::Wildcard(suffix) => (&self.wildcard, &mut wildcard, suffix),
                Hostname::Exact(name) => (&self.exact, &mut exact, name),
            };
            if value.is_some() || !set.is_empty() {
                changes.push(Change::new(host, value));
            }
        }
        self.exact.apply(exact);
        self.wildcard.apply(wildcard);
    }

    /// What is there for a hostname itself.
    pub(super) fn get(&self, hostname: &Hostname) -> Option<&T> {
        match hostname {
            Hostname::Any => self.any.as_ref(),
            Hostname::Wildcard(suffix) => self.wildcard.get(suffix),
            Hostname::Exact(name) => self.exact.get(name),
        }
    }

    /// The first that `take` gives for what is there for a host, most specific first. Costs a hash per label
    /// at most.
    #[inline]
    pub(super) fn find_map<'m, R>(
        &'m self,
        host: &str,
        mut take: impl FnMut(&'m T) -> Option<R>,
    ) -> Option<R> {
        let exact = match self.exact.is_empty() {
            true => None,
            false => self.exact.get(host).and_then(&mut take),
        };
        if exact.is_some() {
            return exact;
        }
        let wildcard = match self.wildcard.is_empty() {
            true => None,
            false => host::suffixes(host)
                .filter_map(|suffix| self.wildcard.get(suffix))
                .find_map(&mut take),
        };
        wildcard.or_else(|| take(self.any.as_ref()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl HasHost for Hostname {
        fn host(&self) -> &[u8] {
            self.text().as_bytes()
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
            let mut found = Vec::new();
            map.find_map(host, |one| {
                found.push(one.to_string());
                None::<()>
            });
            found
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
    #[derive(Clone)]
    struct Counted {
        name: Hostname,
        looks: std::rc::Rc<std::cell::Cell<usize>>,
    }

    impl HasHost for Counted {
        fn host(&self) -> &[u8] {
            self.looks.set(self.looks.get() + 1);
            self.name.text().as_bytes()
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
                let is_there = |host: String| map.find_map(&host, Some).is_some();
                assert!(is_there(format!("site-{i}.example.com")));
                assert!(is_there(format!("a.site-{i}.example.org")));
                assert!(!is_there(format!("none-{i}.example.com")));
            }
            looks.get() as f64 / count as f64
        };
        let (few, many) = (looks(10), looks(10_000));
        // One for each that is found; now and then one whose hash is alike.
        assert!(few < 3.0 && many < 3.0, "{few} {many}");
    }
}
