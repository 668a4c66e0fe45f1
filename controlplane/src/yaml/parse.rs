//! Events of the YAML parser to a tree of nodes, within bounds.

use std::collections::HashMap;
use std::rc::Rc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, Tag};
use thiserror::Error;

use super::{Entry, Finding, Node, Scalar, Value};
use crate::limits;
use crate::problem::{Position, Severity};

/// One document's text, read.
#[derive(Debug, Default)]
pub struct Parsed {
    /// None: it isn't YAML (the findings say why), or holds nothing.
    pub root: Option<Rc<Node>>,
    pub findings: Vec<Finding>,
}

/// Reads the text of one document.
#[must_use]
pub fn parse(text: &str) -> Parsed {
    let mut builder = Builder::default();
    match builder.run(text) {
        Ok(root) => Parsed {
            root,
            findings: builder.findings,
        },
        Err((position, error)) => {
            builder.find(position, &error);
            Parsed {
                root: None,
                findings: builder.findings,
            }
        }
    }
}

/// Why a text is no document for us.
#[derive(Debug, Error)]
enum SyntaxError {
    #[error("not YAML: {reason}")]
    Scan { reason: String, tab: bool },
    #[error("more than one document")]
    Several,
    #[error("nested deeper than {} levels", limits::DOCUMENT_DEPTH)]
    Depth,
    #[error("too large, aliases expanded")]
    Size,
    #[error("an alias of something that isn't complete yet, or not there")]
    Alias,
    #[error("a key must be a plain text")]
    Key,
    #[error("key `{key}` is there twice; the first is in line {line} of the document")]
    Duplicate { key: Rc<str>, line: u32 },
    #[error("tag `{tag}` is not known here")]
    Tag { tag: String },
    #[error("`<<` takes a mapping or a list of mappings")]
    Merge,
}

impl SyntaxError {
    fn remedy(&self) -> String {
        match self {
            Self::Scan { tab: true, .. } => "indent with blanks, YAML doesn't allow tabs".into(),
            Self::Scan { .. } => {
                "look at the indentation, colons and quotes here and in the line above".into()
            }
            Self::Several => "begin each document with a line `---`".into(),
            Self::Depth => "make it flatter; no object of the API needs as many levels".into(),
            Self::Size => "split it into several documents, and use fewer aliases".into(),
            Self::Alias => "define the anchor (&name) before its alias (*name)".into(),
            Self::Key => "write `key: value` with a text as the key".into(),
            Self::Duplicate { .. } => "remove one of them".into(),
            Self::Tag { .. } => "remove the tag".into(),
            Self::Merge => "write `<<: *name`, where `&name` marks a mapping".into(),
        }
    }
}

type Located<T> = Result<T, (Position, SyntaxError)>;

/// A collection whose end isn't reached.
struct Frame {
    position: Position,
    anchor: usize,
    units: u64,
    height: usize,
    open: Open,
}

enum Open {
    Sequence(Vec<Rc<Node>>),
    Mapping {
        entries: Vec<Entry>,
        lines: HashMap<Rc<str>, u32>,
        key: Option<(Rc<str>, Position)>,
        merges: Vec<(Position, Rc<Node>)>,
    },
}

#[derive(Default)]
struct Builder {
    frames: Vec<Frame>,
    anchors: HashMap<usize, Rc<Node>>,
    root: Option<Rc<Node>>,
    /// Of the whole document so far.
    units: u64,
    /// Of the text.
    end: Position,
    findings: Vec<Finding>,
}

impl Builder {
    fn run(&mut self, text: &str) -> Located<Option<Rc<Node>>> {
        let lines = yaml_lines(text);
        let last = lines.last().map_or(0, |last| last.chars().count());
        self.end = position_of(lines.len(), last);
        let mut parser = Parser::new_from_str(text);
        while let Some(next) = parser.next_event() {
            let (event, span) = next.map_err(|error| self.scan_error(&lines, &error))?;
            self.take(event, &span)?;
        }
        Ok(self.root.take())
    }

    fn take(&mut self, event: Event<'_>, span: &Span) -> Located<()> {
        let position = self.position(&span.start);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = is_plain(style, tag.as_deref()).map_err(|error| (position, error))?;
                self.scalar(&text, plain, position, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                check_tag(tag.as_deref(), "seq").map_err(|error| (position, error))?;
                self.open(Open::Sequence(Vec::new()), position, anchor)
            }
            Event::MappingStart(anchor, tag) => {
                check_tag(tag.as_deref(), "map").map_err(|error| (position, error))?;
                let open = Open::Mapping {
                    entries: Vec::new(),
                    lines: HashMap::new(),
                    key: None,
                    merges: Vec::new(),
                };
                self.open(open, position, anchor)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(anchor) => {
                let target = self.anchors.get(&anchor).cloned();
                let target = target.ok_or((position, SyntaxError::Alias))?;
                self.weigh(target.units, position)?;
                self.add(target, position)
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    fn scalar(
        &mut self,
        text: &str,
        plain: bool,
        position: Position,
        anchor: usize,
    ) -> Located<()> {
        let units = 1 + text.len() as u64 / limits::TEXT_UNIT_BYTES;
        self.weigh(units, position)?;
        let node = Rc::new(Node {
            position,
            value: Value::Scalar(Scalar {
                text: text.into(),
                plain,
            }),
            units,
            height: 1,
        });
        self.remember(anchor, &node);
        self.add(node, position)
    }

    fn open(&mut self, open: Open, position: Position, anchor: usize) -> Located<()> {
        if self.frames.len() >= limits::DOCUMENT_DEPTH {
            return Err((position, SyntaxError::Depth));
        }
        self.weigh(1, position)?;
        self.frames.push(Frame {
            position,
            anchor,
            units: 1,
            height: 1,
            open,
        });
        Ok(())
    }

    fn close(&mut self) -> Located<()> {
        let Some(frame) = self.frames.pop() else {
            return Ok(());
        };
        let (position, anchor) = (frame.position, frame.anchor);
        let (value, units) = match frame.open {
            Open::Sequence(items) => (Value::Sequence(items), frame.units),
            Open::Mapping {
                mut entries,
                lines,
                merges,
                ..
            } => {
                let merged = self.merge(&mut entries, lines, merges)?;
                (Value::Mapping(entries), frame.units + merged)
            }
        };
        let node = Rc::new(Node {
            position,
            value,
            units,
            height: frame.height,
        });
        self.remember(anchor, &node);
        self.add(node, position)
    }

    /// Adds what `<<` brings: entries whose key isn't there. Returns their weight.
    fn merge(
        &mut self,
        entries: &mut Vec<Entry>,
        mut lines: HashMap<Rc<str>, u32>,
        merges: Vec<(Position, Rc<Node>)>,
    ) -> Located<u64> {
        let mut units = 0;
        for (position, node) in merges {
            let sources = match &node.value {
                Value::Mapping(_) => std::slice::from_ref(&node),
                Value::Sequence(items) => items.as_slice(),
                Value::Scalar(_) => return Err((position, SyntaxError::Merge)),
            };
            for source in sources {
                let Value::Mapping(merged) = &source.value else {
                    return Err((position, SyntaxError::Merge));
                };
                for entry in merged {
                    if lines.insert(entry.key.clone(), position.line).is_none() {
                        units += entry.value.units;
                        self.weigh(entry.value.units, position)?;
                        entries.push(entry.clone());
                    }
                }
            }
        }
        Ok(units)
    }

    /// Puts a complete node where it belongs: into the innermost open collection.
    fn add(&mut self, node: Rc<Node>, position: Position) -> Located<()> {
        let depth = self.frames.len();
        let Some(frame) = self.frames.last_mut() else {
            if self.root.replace(node).is_some() {
                return Err((position, SyntaxError::Several));
            }
            return Ok(());
        };
        if depth + node.height > limits::DOCUMENT_DEPTH {
            return Err((position, SyntaxError::Depth));
        }
        frame.units += node.units;
        frame.height = frame.height.max(node.height + 1);
        match &mut frame.open {
            Open::Sequence(items) => items.push(node),
            Open::Mapping {
                key: key @ None, ..
            } => match &node.value {
                Value::Scalar(scalar) => *key = Some((scalar.text.as_ref().into(), position)),
                _ => return Err((position, SyntaxError::Key)),
            },
            Open::Mapping {
                entries,
                lines,
                key,
                merges,
            } => {
                let Some((key, key_position)) = key.take() else {
                    return Ok(());
                };
                if &*key == "<<" {
                    merges.push((key_position, node));
                    return Ok(());
                }
                if let Some(line) = lines.get(&key).copied() {
                    self.find(key_position, &SyntaxError::Duplicate { key, line });
                    return Ok(());
                }
                lines.insert(key.clone(), key_position.line);
                entries.push(Entry {
                    key,
                    key_position,
                    value: node,
                });
            }
        }
        Ok(())
    }

    fn remember(&mut self, anchor: usize, node: &Rc<Node>) {
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
    }

    fn weigh(&mut self, units: u64, position: Position) -> Located<()> {
        self.units = self.units.saturating_add(units);
        if self.units > limits::DOCUMENT_UNITS {
            return Err((position, SyntaxError::Size));
        }
        Ok(())
    }

    /// The parser counts a line more than there is when the last one has no break.
    fn position(&self, marker: &Marker) -> Position {
        position_of(marker.line(), marker.col()).min(self.end)
    }

    fn scan_error(&self, lines: &[&str], error: &ScanError) -> (Position, SyntaxError) {
        let line = error.marker().line().saturating_sub(1);
        let written = lines.get(line).copied().unwrap_or_default();
        let indent = written.len() - written.trim_start().len();
        let tab = written
            .get(..indent)
            .is_some_and(|indent| indent.contains('\t'));
        let reason = error.info().to_owned();
        (
            self.position(error.marker()),
            SyntaxError::Scan { reason, tab },
        )
    }

    fn find(&mut self, position: Position, error: &SyntaxError) {
        if self.findings.len() < limits::PROBLEMS_PER_OBJECT {
            self.findings.push(Finding {
                severity: Severity::Error,
                position,
                field: String::new(),
                message: error.to_string(),
                remedy: Some(error.remedy()),
            });
        }
    }
}

fn position_of(line: usize, column: usize) -> Position {
    Position {
        line: u32::try_from(line).unwrap_or(u32::MAX),
        column: u32::try_from(column).unwrap_or(u32::MAX).saturating_add(1),
    }
}

/// The lines of a text, by YAML's line breaks; never none.
fn yaml_lines(text: &str) -> Vec<&str> {
    let by_line_feed = text
        .split('\n')
        .map(|line| line.strip_suffix('\r').unwrap_or(line));
    by_line_feed.flat_map(|line| line.split('\r')).collect()
}

/// Whether the scalar may be something else than text.
fn is_plain(style: ScalarStyle, tag: Option<&Tag>) -> Result<bool, SyntaxError> {
    match tag {
        None => Ok(style == ScalarStyle::Plain),
        // The tag `!` alone: not to be resolved.
        Some(tag) if tag.handle.is_empty() && tag.suffix == "!" => Ok(false),
        Some(tag) if tag.is_yaml_core_schema() => match tag.suffix.as_str() {
            "str" => Ok(false),
            "int" | "bool" | "float" | "null" => Ok(true),
            _ => Err(unknown_tag(tag)),
        },
        Some(tag) => Err(unknown_tag(tag)),
    }
}

fn check_tag(tag: Option<&Tag>, wanted: &str) -> Result<(), SyntaxError> {
    match tag {
        Some(tag) if !tag.is_yaml_core_schema() || tag.suffix != wanted => Err(unknown_tag(tag)),
        _ => Ok(()),
    }
}

fn unknown_tag(tag: &Tag) -> SyntaxError {
    SyntaxError::Tag {
        tag: format!("{}{}", tag.handle, tag.suffix),
    }
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
