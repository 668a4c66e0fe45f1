//! A rule, compiled: what happens to a request that it takes, with all filters merged into plans.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, LazyLock};

use super::{CompileError, Slot};
use crate::filter::{Edits, forbidden};
use crate::ir;

/// One rule of one route, shared by all hosts that lead to it. With many rules each is cold when its
/// request comes, so what a request needs stands together in front, in two cache lines.
#[derive(Debug)]
#[repr(C)]
pub struct Rule {
    pub slot: Slot,
    pub action: Action,
    /// For local replies, and before a backend is chosen: the rule's own filters.
    pub plan: Arc<Plan>,
    pub timeouts: ir::Timeouts,
    pub retry: Option<Box<ir::Retry>>,
    pub route: ir::ObjectName,
    pub protocol: ir::RouteProtocol,
    pub name: RuleName,
}

/// A rule's name, else its place in the route from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleName {
    Given(Arc<str>),
    Place(usize),
}

impl fmt::Display for RuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(name) => f.write_str(name),
            Self::Place(place) => place.fmt(f),
        }
    }
}

#[derive(Debug)]
pub enum Action {
    /// To one of these by weight; none answers 500.
    Forward(Targets),
    Redirect(Box<ir::Redirect>),
    /// The rule can't be carried out.
    Broken,
}

/// A list of targets; nearly always of one, which then needs no memory of its own.
#[derive(Debug)]
pub enum Targets {
    One(WeightedTarget),
    Many(Box<[WeightedTarget]>),
}

impl Deref for Targets {
    type Target = [WeightedTarget];

    fn deref(&self) -> &[WeightedTarget] {
        match self {
            Self::One(target) => std::slice::from_ref(target),
            Self::Many(targets) => targets,
        }
    }
}

impl FromIterator<WeightedTarget> for Targets {
    fn from_iter<I: IntoIterator<Item = WeightedTarget>>(targets: I) -> Self {
        let mut targets: Vec<_> = targets.into_iter().collect();
        match targets.pop() {
            Some(one) if targets.is_empty() => Self::One(one),
            last => Self::Many(targets.into_iter().chain(last).collect()),
        }
    }
}

#[derive(Debug)]
pub struct WeightedTarget {
    pub target: Target,
    pub weight: u32,
    /// The rule's filters and this backend's behind them.
    pub plan: Arc<Plan>,
    /// A redirect among the backend's own filters.
    pub redirect: Option<Box<ir::Redirect>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Backend(Slot),
    /// 500, as the API says for a reference that is not valid.
    Invalid,
}

/// What is done to a request and its response on the way.
#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    pub request: Edits,
    pub response: Edits,
    pub rewrite: ir::Rewrite,
    pub mirrors: Box<[MirrorTarget]>,
    pub cors: Option<Box<ir::Cors>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorTarget {
    pub backend: Slot,
    pub numerator: u32,
    pub denominator: u32,
}

/// A rule that takes a request, and how much of the path its prefix took.
#[derive(Clone, Copy, Debug)]
pub struct MatchedRule<'t> {
    pub rule: &'t Arc<Rule>,
    pub prefix_length: usize,
}

/// What a rule refers to by id, as slots.
pub(super) trait Slots {
    fn backend(&self, id: &ir::Id) -> Option<Slot>;
}

/// The filters of a rule or backend: a plan, and the redirect that may stand among them.
struct Filters {
    plan: Plan,
    redirect: Option<Box<ir::Redirect>>,
}

impl Plan {
    fn extend(&mut self, filter: &ir::Filter, slots: &impl Slots) -> Result<(), CompileError> {
        match filter {
            ir::Filter::RequestHeaders(edits) => extend(&mut self.request, edits)?,
            ir::Filter::ResponseHeaders(edits) => extend(&mut self.response, edits)?,
            ir::Filter::Rewrite(rewrite) => {
                self.rewrite.hostname = rewrite
                    .hostname
                    .clone()
                    .or_else(|| self.rewrite.hostname.take());
                self.rewrite.path = rewrite.path.clone().or_else(|| self.rewrite.path.take());
            }
            ir::Filter::Mirror(mirror) => {
                let backend =
                    slots
                        .backend(&mirror.backend)
                        .ok_or_else(|| CompileError::MissingBackend {
                            id: mirror.backend.clone(),
                        })?;
                let (numerator, denominator) = (mirror.numerator, mirror.denominator.max(1));
                let target = MirrorTarget {
                    backend,
                    numerator,
                    denominator,
                };
                let mirrors = std::mem::take(&mut self.mirrors);
                self.mirrors = mirrors.into_iter().chain([target]).collect();
            }
            ir::Filter::Cors(cors) => self.cors = Some(Box::new(cors.clone())),
            ir::Filter::Redirect(_) => {}
        }
        Ok(())
    }
}

fn extend(edits: &mut Edits, with: &ir::HeaderEdits) -> Result<(), CompileError> {
    let names = with
        .set
        .iter()
        .chain(&with.add)
        .map(|field| &field.name)
        .chain(&with.remove);
    if let Some(name) = names.into_iter().find(|name| forbidden(name)) {
        return Err(CompileError::ForbiddenHeader {
            name: name.to_string(),
        });
    }
    edits.extend(with);
    Ok(())
}

impl Filters {
    /// The plan to share: nearly all rules have none of their own, and then one serves all of them, which
    /// stays in every core's cache.
    fn plan(plan: Plan) -> Arc<Plan> {
        static EMPTY: LazyLock<Arc<Plan>> = LazyLock::new(Arc::default);
        if plan == **EMPTY {
            EMPTY.clone()
        } else {
            Arc::new(plan)
        }
    }

    fn compile(filters: &[&[ir::Filter]], slots: &impl Slots) -> Result<Self, CompileError> {
        let mut plan = Plan::default();
        let mut redirect = None;
        for filter in filters.iter().copied().flatten() {
            plan.extend(filter, slots)?;
            if let ir::Filter::Redirect(one) = filter {
                redirect = Some(Box::new(one.clone()));
            }
        }
        Ok(Self { plan, redirect })
    }
}

impl Rule {
    /// Compiles one rule; where that fails, the rule answers with 500 and the error says why.
    pub(super) fn compile(
        route: &ir::HttpRoute,
        place: usize,
        rule: &ir::Rule,
        slot: Slot,
        slots: &impl Slots,
    ) -> (Self, Option<CompileError>) {
        let (plan, action, error) = match Self::plan_and_action(rule, slots) {
            Ok((plan, action)) => (plan, action, None),
            Err(error) => (Filters::plan(Plan::default()), Action::Broken, Some(error)),
        };
        let compiled = Self {
            slot,
            route: route.name.clone(),
            protocol: route.protocol,
            name: match &rule.name {
                Some(name) => RuleName::Given(name.clone()),
                None => RuleName::Place(place),
            },
            action,
            plan,
            timeouts: rule.timeouts,
            retry: rule.retry.clone().map(Box::new),
        };
        (compiled, error)
    }

    fn plan_and_action(
        rule: &ir::Rule,
        slots: &impl Slots,
    ) -> Result<(Arc<Plan>, Action), CompileError> {
        let own = Filters::compile(&[&rule.filters], slots)?;
        let plan = Filters::plan(own.plan);
        if rule.broken {
            return Ok((plan, Action::Broken));
        }
        if let Some(redirect) = own.redirect {
            return Ok((plan, Action::Redirect(redirect)));
        }
        let targets = rule
            .backends
            .iter()
            .map(|backend| WeightedTarget::compile(backend, &rule.filters, &plan, slots));
        let targets = targets.collect::<Result<_, _>>()?;
        Ok((plan, Action::Forward(targets)))
    }
}

impl Target {
    pub(super) fn compile(
        target: &ir::BackendTarget,
        slots: &impl Slots,
    ) -> Result<Self, CompileError> {
        match target {
            ir::BackendTarget::Invalid => Ok(Self::Invalid),
            ir::BackendTarget::Backend(id) => slots
                .backend(id)
                .map(Self::Backend)
                .ok_or_else(|| CompileError::MissingBackend { id: id.clone() }),
        }
    }
}

impl WeightedTarget {
    fn compile(
        backend: &ir::WeightedBackend,
        rule_filters: &[ir::Filter],
        rule_plan: &Arc<Plan>,
        slots: &impl Slots,
    ) -> Result<Self, CompileError> {
        let target = Target::compile(&backend.target, slots)?;
        let (plan, redirect) = if backend.filters.is_empty() {
            (rule_plan.clone(), None)
        } else {
            let both = Filters::compile(&[rule_filters, &backend.filters], slots)?;
            (Filters::plan(both.plan), both.redirect)
        };
        Ok(Self {
            target,
            weight: backend.weight,
            plan,
            redirect,
        })
    }
}
