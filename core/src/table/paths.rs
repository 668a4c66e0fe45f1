//! The routes of one host at one listener, in three cache lines that lie side by side.
//!
//! With many hosts a request's host is in no cache, and each further place that is read costs as much as all
//! the work of a lookup. So a host with a few matches by path, as nearly all are, stands here whole: its name
//! and its paths in front, as a rule all in the first line, then the rules. Whatever is longer or rarer stands
//! aside ([`Aside`], [`MatchList`]), and only such hosts pay for it. No more than a path's bytes are compared:
//! picking it by a few of them, without branches, took longer than a walk.

use std::sync::Arc;

use super::host_set::HasHost;
use super::match_list::{self, Candidate, MatchList, ends_element};
use super::rule::{MatchedRule, Rule};
use crate::ir;
use crate::route::{Fields, PathRank, Request, Residual};

/// Matches of a host that stand in [`HostRoutes`] itself: those that no index would make faster.
const FEW: usize = match_list::INDEX_FROM - 1;
/// Bytes of host and paths there: what is left of three cache lines.
const TEXT: usize = 3 * 64 - 4 - FEW - (FEW + 1) * size_of::<usize>();

/// All matches for one hostname at one listener, in the order of precedence.
#[derive(Clone, Debug)]
#[repr(C)]
pub struct HostRoutes {
    /// At most 253 bytes, as [`ir::Hostname`] has it; longer than [`TEXT`]: the host is aside.
    host_length: u8,
    /// One bit each: whether the path is an exact one, no prefix.
    exact: u8,
    has_aside: bool,
    /// How many matches are here.
    count: u8,
    /// Of each path.
    lengths: [u8; FEW],
    /// The host, then the paths behind one another.
    text: [u8; TEXT],
    rules: [Option<Arc<Rule>>; FEW],
    aside: Option<Arc<Aside>>,
}

const _: () = assert!(size_of::<HostRoutes>() == 3 * 64);

/// What few hosts have; what most of these few have it for, in front.
#[derive(Debug, Default)]
#[repr(C)]
struct Aside {
    /// Behind those that stand with the host: all if they are no few plain ones, else those of routes that
    /// name the host less specifically.
    others: Option<MatchList>,
    /// Of GRPCRoutes: asked first, for requests of gRPC.
    grpc: Option<MatchList>,
    /// Of the matches that stand with the host.
    residuals: [Option<Arc<Residual>>; FEW],
    /// One that is too long for its place.
    host: Box<str>,
}

impl HasHost for HostRoutes {
    #[inline]
    fn host(&self) -> &[u8] {
        let here = self.text.get(..self.host_length.into());
        here.unwrap_or_else(|| self.aside.as_ref().map_or(&[], |one| one.host.as_bytes()))
    }
}

impl HostRoutes {
    /// Merges no rules of GRPCRoutes with those of HTTPRoutes, as the API has it.
    pub(super) fn build(hostname: &ir::Hostname, mut candidates: Vec<Candidate>) -> Self {
        match_list::sort(&mut candidates);
        let is_grpc = |one: &Candidate| one.protocol == ir::RouteProtocol::Grpc;
        let (grpc, mut http): (Vec<_>, Vec<_>) = candidates.into_iter().partition(is_grpc);
        let others = http.split_off(Self::fitting(hostname.text(), &http));
        let mut aside = Aside {
            grpc: MatchList::build(grpc),
            others: MatchList::build(others),
            ..Aside::default()
        };
        let mut built = Self::without_matches(hostname.text(), &mut aside);
        let mut end = hostname.text().len();
        for (place, one) in http.into_iter().enumerate() {
            end = built.put(place, one, end, &mut aside);
        }
        built.has_aside = !aside.is_empty();
        built.aside = built.has_aside.then(|| Arc::new(aside));
        built
    }

    /// How many of the first of these can stand with the host: all whose routes name the host as the first
    /// one's does, else none.
    fn fitting(host: &str, candidates: &[Candidate]) -> usize {
        let alike = candidates.chunk_by(|a, b| a.written == b.written).next();
        let alike = alike.unwrap_or_default();
        let paths: Option<usize> = alike.iter().map(|one| Some(plain_path(one)?.1.len())).sum();
        let fits = paths.is_some_and(|length| host.len() + length <= TEXT);
        if fits && alike.len() <= FEW {
            alike.len()
        } else {
            0
        }
    }

    fn without_matches(host: &str, aside: &mut Aside) -> Self {
        let mut text = [0; TEXT];
        match text.get_mut(..host.len()) {
            Some(place) => place.copy_from_slice(host.as_bytes()),
            None => aside.host = host.into(),
        }
        Self {
            host_length: u8::try_from(host.len()).unwrap_or(u8::MAX),
            exact: 0,
            has_aside: false,
            count: 0,
            lengths: [0; FEW],
            text,
            rules: [const { None }; FEW],
            aside: None,
        }
    }

    /// Puts a match that fits here, its path behind `start` bytes of text; gives where that ends.
    fn put(&mut self, place: usize, one: Candidate, start: usize, aside: &mut Aside) -> usize {
        let Some((is_exact, path)) = plain_path(&one) else {
            return start;
        };
        let end = start + path.len();
        if let Some(text) = self.text.get_mut(start..end) {
            text.copy_from_slice(path.as_bytes());
        }
        self.exact |= u8::from(is_exact) << place;
        self.count += 1;
        self.lengths[place] = u8::try_from(path.len()).unwrap_or(u8::MAX);
        self.rules[place] = Some(one.rule);
        aside.residuals[place] = one.residual;
        end
    }

    /// Every rule that is reachable here; one with several matches comes several times.
    pub fn rules(&self) -> impl Iterator<Item = &Arc<Rule>> {
        let aside = self.aside.as_deref();
        let lists = aside.into_iter().flat_map(|one| [&one.others, &one.grpc]);
        let lists = lists.flatten().flat_map(|list| list.rules());
        self.rules.iter().flatten().chain(lists)
    }

    #[inline]
    pub(super) fn find<F: Fields>(&self, request: &Request<'_, F>) -> Option<MatchedRule<'_>> {
        if self.has_aside {
            self.find_with(self.aside.as_deref()?, request)
        } else {
            self.find_here(request, |_| true)
        }
    }

    fn find_with<'t, F: Fields>(
        &'t self,
        aside: &'t Aside,
        request: &Request<'_, F>,
    ) -> Option<MatchedRule<'t>> {
        let holds = |place: usize| match aside.residuals.get(place) {
            Some(Some(residual)) => residual.holds(request),
            _ => true,
        };
        let grpc = aside.grpc.as_ref().filter(|_| request.is_grpc());
        grpc.and_then(|grpc| grpc.find(request))
            .or_else(|| self.find_here(request, holds))
            .or_else(|| aside.others.as_ref()?.find(request))
    }

    #[inline]
    fn find_here<F: Fields>(
        &self,
        request: &Request<'_, F>,
        holds: impl Fn(usize) -> bool,
    ) -> Option<MatchedRule<'_>> {
        let mut start = usize::from(self.host_length);
        for place in 0..usize::from(self.count) {
            let length = usize::from(*self.lengths.get(place)?);
            let path = self.text.get(start..start + length)?;
            start += length;
            let ends = match self.exact >> place & 1 {
                0 => ends_element(request.path, length),
                _ => request.path.len() == length,
            };
            let found = ends && request.path.as_bytes().get(..length) == Some(path);
            if found && holds(place) {
                return Some(MatchedRule {
                    rule: self.rules.get(place)?.as_ref()?,
                    prefix_length: length,
                });
            }
        }
        None
    }
}

impl Aside {
    fn is_empty(&self) -> bool {
        let has_matches = self.grpc.is_some() || self.others.is_some();
        self.host.is_empty() && !has_matches && self.residuals.iter().all(Option::is_none)
    }
}

/// A match's path and whether it is an exact one, unless it is an expression.
fn plain_path(one: &Candidate) -> Option<(bool, &str)> {
    match (&one.precedence.path, &one.regex) {
        (PathRank::Exact(path), None) => Some((true, path)),
        (PathRank::Prefix(_, path), None) => Some((false, path)),
        _ => None,
    }
}
