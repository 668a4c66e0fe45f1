//! Field paths, as problems print them: `spec.rules[0].matches[1]`, `metadata.labels["a.b/c"]`.

use std::fmt;

use super::{Node, Value};
use crate::problem::Position;

/// A path under way: each step knows the one before, so that nothing is allocated until it is printed.
#[derive(Clone, Copy, Debug)]
pub enum FieldPath<'p> {
    Root,
    Field(&'p Self, &'p str),
    Index(&'p Self, usize),
}

impl<'p> FieldPath<'p> {
    #[must_use]
    pub fn field(&'p self, name: &'p str) -> Self {
        FieldPath::Field(self, name)
    }

    #[must_use]
    pub fn index(&'p self, index: usize) -> Self {
        FieldPath::Index(self, index)
    }
}

impl fmt::Display for FieldPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Field(Self::Root, name) if is_simple(name) => f.write_str(name),
            Self::Field(before, name) if is_simple(name) => write!(f, "{before}.{name}"),
            Self::Field(before, name) => write!(f, "{before}[{name:?}]"),
            Self::Index(before, index) => write!(f, "{before}[{index}]"),
        }
    }
}

fn is_simple(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// One step of a printed path.
enum Step<'t> {
    Field(&'t str),
    /// As it was printed, with its escapes.
    Quoted(&'t str),
    Index(usize),
}

impl Node {
    /// Where the field is that a printed path names, or the nearest that encloses it.
    #[must_use]
    pub fn find(&self, path: &str) -> Position {
        let mut node = self;
        let mut position = self.position;
        let mut rest = path;
        while let Some((step, behind)) = next_step(rest) {
            let Some((next, place)) = node.step(&step) else {
                break;
            };
            (node, position, rest) = (next, place, behind);
        }
        position
    }

    fn step(&self, step: &Step<'_>) -> Option<(&Self, Position)> {
        match (step, &self.value) {
            (Step::Index(index), Value::Sequence(items)) => {
                let item = items.get(*index)?;
                Some((item, item.position))
            }
            (Step::Field(name), Value::Mapping(_)) => self.entry_value(|key| key == *name),
            (Step::Quoted(name), Value::Mapping(_)) => {
                self.entry_value(|key| format!("{key:?}") == *name)
            }
            _ => None,
        }
    }

    fn entry_value(&self, holds: impl Fn(&str) -> bool) -> Option<(&Self, Position)> {
        let Value::Mapping(entries) = &self.value else {
            return None;
        };
        let entry = entries.iter().find(|entry| holds(&entry.key))?;
        let place = match entry.value.value {
            Value::Scalar(_) => entry.value.position,
            // A block's first line says less than the key that it belongs to.
            _ => entry.key_position,
        };
        Some((&entry.value, place))
    }
}

fn next_step(path: &str) -> Option<(Step<'_>, &str)> {
    let path = path.strip_prefix('.').unwrap_or(path);
    if let Some(inner) = path.strip_prefix('[') {
        if inner.starts_with('"') {
            let (quoted, rest) = inner.split_at_checked(quoted_end(inner)?)?;
            return Some((Step::Quoted(quoted), rest.strip_prefix(']')?));
        }
        let (index, rest) = inner.split_once(']')?;
        return Some((Step::Index(index.parse().ok()?), rest));
    }
    let end = path.find(['.', '[']).unwrap_or(path.len());
    let (name, rest) = path.split_at(end);
    (!name.is_empty()).then_some((Step::Field(name), rest))
}

/// Behind the quote that ends a quoted text.
fn quoted_end(text: &str) -> Option<usize> {
    let mut escaped = false;
    let quote = text.char_indices().skip(1).find(|(_, c)| {
        let ends = *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        ends
    });
    quote.map(|(at, _)| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::parse;

    #[test]
    fn paths_print_as_the_api_writes_them() {
        let root = FieldPath::Root;
        let spec = root.field("spec");
        let rules = spec.field("rules");
        let rule = rules.index(3);
        assert_eq!(rule.field("name").to_string(), "spec.rules[3].name");
        assert_eq!(spec.field("a.b/c").to_string(), "spec[\"a.b/c\"]");
        assert_eq!(root.index(0).to_string(), "[0]");
    }

    #[test]
    fn a_printed_path_leads_to_its_place_or_the_nearest() {
        let text = "a:\n  b.c: 1\n  list:\n  - x\n  - y: 2\n";
        let root = parse(text).root.unwrap();
        for (path, line, column) in [
            ("", 1, 1),
            ("a", 1, 1),
            ("a[\"b.c\"]", 2, 8),
            ("a.list[0]", 4, 5),
            ("a.list[1].y", 5, 8),
            ("a.list[1].z", 5, 5),
            ("a.list[9]", 3, 3),
            ("nothing", 1, 1),
            ("a[", 1, 1),
            ("a[\"", 1, 1),
            ("a[\"b\\", 1, 1),
        ] {
            assert_eq!(root.find(path), Position { line, column }, "{path}");
        }
    }
}
