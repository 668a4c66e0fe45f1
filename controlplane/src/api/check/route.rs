//! Rules that routes of every kind have. Those of one kind stand in its module.

use std::ops::RangeInclusive;

use super::gateway::backend_ref;
use super::{Check, Checker, SPEC};
use crate::api::reference::{BackendRef, ParentReference};
use crate::api::route::{Route, RouteRule};
use crate::yaml::FieldPath;

/// The bounds of a kind of routes, and of its rules.
pub(super) trait CheckedRule: RouteRule {
    const HOSTNAMES: RangeInclusive<usize>;
    const RULES: RangeInclusive<usize>;

    /// How many matches it has.
    fn matches(&self) -> usize;

    fn check(&self, at: &FieldPath<'_>, checker: &mut Checker<'_>);
}

impl<R: CheckedRule> Check for Route<R> {
    fn check(&self, checker: &mut Checker<'_>) {
        parents(&self.spec.parent_refs, checker);
        let hostnames = &self.spec.hostnames;
        checker.items(&SPEC.field("hostnames"), hostnames, R::HOSTNAMES);
        let (at, rules) = (SPEC.field("rules"), &self.spec.rules);
        checker.each(&at, rules, R::RULES, R::check);
        checker.unique(&at, rules, "a rule's name", R::name);
        let matches: usize = rules.iter().map(R::matches).sum();
        if matches > 128 {
            checker.error(
                &at,
                format_args!("have {matches} matches together, 128 are allowed"),
                "spread the rules over several routes",
            );
        }
    }
}

/// Several references to one parent must differ by section or port, and all of them have the same of both.
fn parents(parents: &[ParentReference], checker: &mut Checker<'_>) {
    let at = SPEC.field("parentRefs");
    checker.items(&at, parents, 0..=32);
    checker.unique(&at, parents, "a parentRef", Some);
    let object = |one: &ParentReference| {
        (
            one.group.clone(),
            one.kind.clone(),
            one.namespace.clone(),
            one.name.clone(),
        )
    };
    for (index, one) in parents.iter().enumerate() {
        let first = parents.iter().find(|other| object(other) == object(one));
        let alike = first.is_none_or(|first| {
            first.section_name.is_some() == one.section_name.is_some()
                && first.port.is_some() == one.port.is_some()
        });
        checker.require(
            alike,
            &at.index(index),
            "must name sectionName or port like the other references to the same parent",
            "name the section (or port) in each of them",
        );
    }
}

/// Those of the rule at `rule`. `filters` looks at one's filters.
pub(super) fn backends<F>(
    backends: &[BackendRef<F>],
    rule: &FieldPath<'_>,
    bounds: RangeInclusive<usize>,
    checker: &mut Checker<'_>,
    filters: impl Fn(&[F], &FieldPath<'_>, &mut Checker<'_>),
) {
    let at = rule.field("backendRefs");
    checker.each(&at, backends, bounds, |one, at, checker| {
        backend_ref(&one.reference, at, checker);
        filters(&one.filters, &at.field("filters"), checker);
    });
}
