//! Header modifiers. A rule's and a backend's filters are one list of edits, and a list of edits is
//! one set of names to drop and one list of fields to append: merged once, when a table is compiled.

use std::sync::Arc;

use crate::ir::{HeaderEdits, HeaderField};

/// Drop fields of these names, then append these fields. Names are lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    drop: Vec<Arc<str>>,
    append: Vec<HeaderField>,
    /// A `host` that is set: it replaces the request's authority instead of standing beside it.
    host: Option<Arc<str>>,
}

/// Whether a field belongs to the connection or to framing, where an edit would make the message lie
/// (RFC 9110, section 7.6.1; RFC 9112, section 6).
#[must_use]
pub fn forbidden(name: &str) -> bool {
    const NAMES: [&str; 8] = [
        "connection",
        "content-length",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    NAMES.iter().any(|one| one.eq_ignore_ascii_case(name)) || name.starts_with(':')
}

impl Edits {
    /// Appends one filter: it removes, then sets, then adds (Gateway API, HTTPHeaderFilter).
    pub fn extend(&mut self, with: &HeaderEdits) {
        for name in &with.remove {
            self.forget(&lower_case(name));
        }
        for field in &with.set {
            let name = lower_case(&field.name);
            if &*name == "host" {
                self.host = Some(field.value.clone());
                continue;
            }
            self.forget(&name);
            self.append.push(HeaderField {
                name,
                value: field.value.clone(),
            });
        }
        for field in with
            .add
            .iter()
            .filter(|field| !field.name.eq_ignore_ascii_case("host"))
        {
            let name = lower_case(&field.name);
            self.append.push(HeaderField {
                name,
                value: field.value.clone(),
            });
        }
    }

    fn forget(&mut self, name: &Arc<str>) {
        self.append.retain(|field| field.name != *name);
        if &**name != "host" && !self.drop.contains(name) {
            self.drop.push(name.clone());
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.drop.is_empty() && self.append.is_empty() && self.host.is_none()
    }

    /// Whether a field of this name, in any case, is dropped.
    #[must_use]
    pub fn drops(&self, name: &[u8]) -> bool {
        self.drop
            .iter()
            .any(|one| one.as_bytes().eq_ignore_ascii_case(name))
    }

    pub fn appended(&self) -> impl Iterator<Item = (&str, &str)> {
        self.append
            .iter()
            .map(|field| (&*field.name, &*field.value))
    }

    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }
}

fn lower_case(name: &Arc<str>) -> Arc<str> {
    name.to_ascii_lowercase().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, value: &str) -> HeaderField {
        HeaderField {
            name: name.into(),
            value: value.into(),
        }
    }

    #[test]
    fn later_filters_see_what_earlier_ones_left() {
        let mut edits = Edits::default();
        edits.extend(&HeaderEdits {
            set: vec![field("A", "1")],
            add: vec![field("b", "2"), field("c", "3")],
            remove: vec!["D".into()],
        });
        edits.extend(&HeaderEdits {
            set: vec![field("b", "4"), field("Host", "h.example")],
            add: vec![field("a", "5")],
            remove: vec!["c".into()],
        });
        let appended: Vec<_> = edits.appended().collect();
        assert_eq!(appended, [("a", "1"), ("b", "4"), ("a", "5")]);
        for (name, dropped) in [
            ("a", true),
            ("B", true),
            ("C", true),
            ("d", true),
            ("host", false),
        ] {
            assert_eq!(edits.drops(name.as_bytes()), dropped, "{name}");
        }
        assert_eq!(edits.host(), Some("h.example"));
    }
}
