//! What is left to check of a match once host and path have led to it: method, headers, query.

use std::sync::Arc;

use regex::bytes::{Regex, RegexBuilder};

use super::{Fields, Request, query};
use crate::{ir, limits};

/// A text or an expression that must match a whole value.
#[derive(Clone, Debug)]
pub(crate) enum Pattern {
    Exact(Arc<str>),
    Regex(Arc<Regex>),
}

impl Pattern {
    pub(crate) fn compile(text: &ir::TextMatch) -> Result<Self, regex::Error> {
        Ok(match text {
            ir::TextMatch::Exact(text) => Self::Exact(text.clone()),
            ir::TextMatch::Regex(expression) => Self::Regex(whole(expression)?.into()),
        })
    }

    pub(crate) fn matches(&self, value: &[u8]) -> bool {
        match self {
            Self::Exact(text) => text.as_bytes() == value,
            Self::Regex(regex) => regex.is_match(value),
        }
    }
}

/// Compiles an expression that must match from the first to the last byte; bounded in size
/// ([`limits::REGEX_BYTES`]), linear in time.
///
/// # Errors
/// When the syntax is wrong, or the compiled expression would be too large.
pub fn whole(expression: &str) -> Result<Regex, regex::Error> {
    // Checked alone first: `a)(b` would else be made valid by the parentheses around it.
    RegexBuilder::new(expression)
        .size_limit(limits::REGEX_BYTES)
        .build()?;
    RegexBuilder::new(&format!("^(?:{expression})$"))
        .size_limit(limits::REGEX_BYTES)
        .build()
}

#[derive(Clone, Debug)]
struct Field {
    name: Arc<str>,
    pattern: Pattern,
}

impl Field {
    fn compile(name: &Arc<str>, field: &ir::FieldMatch) -> Result<Self, regex::Error> {
        Ok(Self {
            name: name.clone(),
            pattern: Pattern::compile(&field.value)?,
        })
    }
}

fn lower_case(name: &Arc<str>) -> Arc<str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        name.to_ascii_lowercase().into()
    } else {
        name.clone()
    }
}

/// All must hold; empty for a match by path alone, which then costs nothing more.
#[derive(Clone, Debug, Default)]
pub(crate) struct Residual {
    method: Option<Arc<str>>,
    headers: Box<[Field]>,
    query: Box<[Field]>,
}

impl Residual {
    pub(crate) fn compile(one: &ir::Match) -> Result<Self, regex::Error> {
        let header = |field: &ir::FieldMatch| Field::compile(&lower_case(&field.name), field);
        let query = |field: &ir::FieldMatch| Field::compile(&field.name, field);
        Ok(Self {
            method: one.method.clone(),
            headers: one.headers.iter().map(header).collect::<Result<_, _>>()?,
            query: one.query.iter().map(query).collect::<Result<_, _>>()?,
        })
    }

    pub(crate) fn holds<F: Fields>(&self, request: &Request<'_, F>) -> bool {
        self.method
            .as_deref()
            .is_none_or(|method| method == request.method)
            && self.headers.iter().all(|field| {
                let value = request.fields.value(&field.name);
                value.is_some_and(|value| field.pattern.matches(&value))
            })
            && self.query.iter().all(|field| {
                let value = query::first(request.query, &field.name);
                value.is_some_and(|value| field.pattern.matches(&value))
            })
    }
}
