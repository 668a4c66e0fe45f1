//! Matches in the order of precedence, of any number and kind, and an index by path above them.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::rule::{MatchedRule, Rule};
use crate::ir;
use crate::route::{Fields, PathRank, Pattern, Precedence, Request, Residual};

/// Below this many matches, walking the list is as fast as hashing the path, and smaller.
pub(super) const INDEX_FROM: usize = 8;

/// Those of one host that name it equally, then those that name it less specifically.
#[derive(Debug)]
pub(super) struct MatchList {
    /// All paths behind one another, so that a walk stays in a few cache lines.
    text: Box<str>,
    entries: Box<[Entry]>,
    /// Boxed: most lists are short, and have none.
    index: Option<Box<Index>>,
    /// For requests that none of these takes.
    less_specific: Option<Box<Self>>,
}

#[derive(Debug)]
struct Entry {
    path: Path,
    residual: Option<Arc<Residual>>,
    rule: Arc<Rule>,
}

/// Exact paths and prefixes are places in [`MatchList::text`].
#[derive(Debug)]
enum Path {
    Exact(Place),
    Prefix(Place),
    Regex(Box<Pattern>),
}

#[derive(Clone, Copy, Debug)]
struct Place {
    start: u32,
    end: u32,
}

impl Place {
    /// Appends a path; none of a host's texts comes near 4 GiB, for objects are bounded.
    fn append(path: &str, text: &mut String) -> Self {
        let start = Self::length(text);
        text.push_str(path);
        Self {
            start,
            end: Self::length(text),
        }
    }

    fn length(text: &str) -> u32 {
        u32::try_from(text.len()).unwrap_or(u32::MAX)
    }

    fn of(self, text: &str) -> &str {
        text.get(self.start as usize..self.end as usize)
            .unwrap_or_default()
    }
}

/// Where the entries of a path are. Equal paths stand together, for [`Precedence`] orders by path first.
#[derive(Debug, Default)]
struct Index {
    exact: HashMap<Arc<str>, Range<usize>, foldhash::fast::FixedState>,
    regex: Range<usize>,
    prefix: HashMap<Arc<str>, Range<usize>, foldhash::fast::FixedState>,
    /// The lengths that occur among prefixes, descending: at most 1024, as the API bounds a path.
    prefix_lengths: Box<[usize]>,
    /// gRPC's that are no path: behind all others.
    rpc: Range<usize>,
}

/// A match that shall be compiled into a host's routes.
pub(super) struct Candidate {
    pub(super) protocol: ir::RouteProtocol,
    /// The route's own hostname.
    pub(super) written: ir::Hostname,
    pub(super) precedence: Precedence,
    pub(super) residual: Option<Arc<Residual>>,
    pub(super) regex: Option<Pattern>,
    pub(super) rule: Arc<Rule>,
}

/// Orders matches of one host as they are tried. Routes' own hostnames that have a host in common contain each
/// other, so that equal specificity means that they are equal.
pub(super) fn sort(candidates: &mut [Candidate]) {
    candidates.sort_by(|a, b| {
        let specificity = |one: &Candidate| Reverse(one.written.specificity());
        (specificity(a), &a.precedence).cmp(&(specificity(b), &b.precedence))
    });
}

impl MatchList {
    /// Of matches in order; none of none.
    pub(super) fn build(mut candidates: Vec<Candidate>) -> Option<Self> {
        let mut built: Option<Self> = None;
        while let Some(last) = candidates.last() {
            let start = candidates.partition_point(|one| one.written != last.written);
            let group = candidates.split_off(start);
            built = Some(Self::build_group(group, built.map(Box::new)));
        }
        built
    }

    fn build_group(candidates: Vec<Candidate>, less_specific: Option<Box<Self>>) -> Self {
        let index = (candidates.len() >= INDEX_FROM).then(|| Box::new(Index::build(&candidates)));
        let mut text = String::new();
        let entries = candidates
            .into_iter()
            .map(|one| Entry::build(one, &mut text))
            .collect();
        Self {
            text: text.into(),
            entries,
            index,
            less_specific,
        }
    }

    /// One with several matches comes several times.
    pub(super) fn rules(&self) -> impl Iterator<Item = &Arc<Rule>> {
        let groups = std::iter::successors(Some(self), |one| one.less_specific.as_deref());
        groups.flat_map(|group| group.entries.iter().map(|entry| &entry.rule))
    }

    pub(super) fn find<F: Fields>(&self, request: &Request<'_, F>) -> Option<MatchedRule<'_>> {
        self.find_here(request)
            .or_else(|| self.less_specific.as_ref()?.find(request))
    }

    fn find_here<F: Fields>(&self, request: &Request<'_, F>) -> Option<MatchedRule<'_>> {
        match &self.index {
            None => self
                .entries
                .iter()
                .find_map(|entry| entry.check(&self.text, request)),
            Some(index) => index.find(request, |range| {
                let entries = self.entries.get(range).unwrap_or_default();
                entries
                    .iter()
                    .find_map(|entry| entry.check(&self.text, request))
            }),
        }
    }
}

impl Index {
    fn build(candidates: &[Candidate]) -> Self {
        let mut index = Self::default();
        let mut lengths = Vec::new();
        let groups = candidates.chunk_by(|a, b| a.precedence.path == b.precedence.path);
        let mut start = 0;
        for group in groups {
            let range = start..start + group.len();
            start = range.end;
            match group.first().map(|first| &first.precedence.path) {
                Some(PathRank::Exact(path)) => {
                    index.exact.insert(path.clone(), range);
                }
                Some(PathRank::Regex(..)) if index.regex.is_empty() => index.regex = range,
                Some(PathRank::Regex(..)) => index.regex.end = range.end,
                Some(PathRank::Prefix(_, path)) => {
                    lengths.push(path.len());
                    index.prefix.insert(path.clone(), range);
                }
                Some(PathRank::Rpc(..)) if index.rpc.is_empty() => index.rpc = range,
                Some(PathRank::Rpc(..)) => index.rpc.end = range.end,
                None => {}
            }
        }
        lengths.dedup();
        index.prefix_lengths = lengths.into();
        index
    }

    fn find<'t, F: Fields>(
        &self,
        request: &Request<'_, F>,
        check: impl Fn(Range<usize>) -> Option<MatchedRule<'t>>,
    ) -> Option<MatchedRule<'t>> {
        let exact = self
            .exact
            .get(request.path)
            .and_then(|range| check(range.clone()));
        if exact.is_some() {
            return exact;
        }
        let regex = check(self.regex.clone());
        if regex.is_some() {
            return regex;
        }
        let prefix = self.prefix_lengths.iter().find_map(|length| {
            let prefix = element_prefix(request.path, *length)?;
            check(self.prefix.get(prefix)?.clone())
        });
        prefix.or_else(|| check(self.rpc.clone()))
    }
}

impl Entry {
    fn build(candidate: Candidate, text: &mut String) -> Self {
        let path = match (&candidate.precedence.path, candidate.regex) {
            (_, Some(regex)) => Path::Regex(Box::new(regex)),
            (PathRank::Prefix(_, path), None) => Path::Prefix(Place::append(path, text)),
            (PathRank::Exact(path) | PathRank::Regex(_, path), None) => {
                Path::Exact(Place::append(path, text))
            }
            // Every service and method.
            (PathRank::Rpc(..), None) => Path::Prefix(Place::append("", text)),
        };
        Self {
            path,
            residual: candidate.residual,
            rule: candidate.rule,
        }
    }

    fn check<F: Fields>(&self, text: &str, request: &Request<'_, F>) -> Option<MatchedRule<'_>> {
        let prefix_length = match &self.path {
            Path::Exact(path) => (path.of(text) == request.path).then_some(request.path.len()),
            Path::Prefix(prefix) => {
                let prefix = prefix.of(text);
                let found = element_prefix(request.path, prefix.len());
                (found == Some(prefix)).then_some(prefix.len())
            }
            Path::Regex(regex) => regex.matches(request.path.as_bytes()).then_some(0),
        }?;
        let holds = self
            .residual
            .as_ref()
            .is_none_or(|residual| residual.holds(request));
        holds.then_some(MatchedRule {
            rule: &self.rule,
            prefix_length,
        })
    }
}

/// The first `length` bytes of a path, if an element ends there: `/abc` of `/abc/d` and of `/abc`, but
/// not of `/abcd`. A prefix `/` is the empty text.
fn element_prefix(path: &str, length: usize) -> Option<&str> {
    ends_element(path, length).then(|| path.get(..length))?
}

/// Whether the first `length` bytes of a path are whole elements.
pub(super) fn ends_element(path: &str, length: usize) -> bool {
    match path.as_bytes().get(length) {
        None => path.len() == length,
        Some(byte) => *byte == b'/',
    }
}
