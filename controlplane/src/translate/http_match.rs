//! Matches of an HTTPRoute's rule: path, headers, query, method.

use std::sync::Arc;

use ringgate_core::ir::{FieldMatch, Match, PathMatch, TextMatch};
use ringgate_core::route;
use ringgate_core::route::path::normalize;

use super::problem::Fault;
use crate::api::http_route::{
    HttpHeaderMatch, HttpMethod, HttpPathMatch, HttpQueryParamMatch, HttpRouteMatch, PathMatchType,
    ValueMatchType,
};

/// A fault of a field below the match.
pub(super) type Faulty = (String, Fault);

/// # Errors
/// The first fault: a match is a whole, so one that is partly understood matches nothing.
pub(super) fn translate(one: &HttpRouteMatch) -> Result<Match, Faulty> {
    Ok(Match {
        path: path(&one.path).map_err(|fault| ("path.value".to_owned(), fault))?,
        headers: headers(&one.headers)?,
        query: query(&one.query_params)?,
        method: one.method.as_ref().map(method).transpose()?,
    })
}

/// What matches everything: the API's default.
pub(super) fn everything() -> Match {
    Match {
        path: PathMatch::Prefix("".into()),
        headers: Vec::new(),
        query: Vec::new(),
        method: None,
    }
}

fn path(path: &HttpPathMatch) -> Result<PathMatch, Fault> {
    let normal = || {
        normalize(path.value.as_bytes()).map_err(|error| Fault::Path {
            path: path.value.shared(),
            reason: error.to_string(),
        })
    };
    Ok(match &path.match_type {
        PathMatchType::Exact => PathMatch::Exact(normal()?.into()),
        PathMatchType::PathPrefix => PathMatch::Prefix(normal()?.trim_end_matches('/').into()),
        PathMatchType::RegularExpression => PathMatch::Regex(expression(path.value.shared())?),
        PathMatchType::Unknown(text) => return Err(Fault::Value(text.clone())),
    })
}

/// Of equal names (case-insensitive) the first counts, as the API says.
pub(super) fn headers(headers: &[HttpHeaderMatch]) -> Result<Vec<FieldMatch>, Faulty> {
    let mut matches: Vec<FieldMatch> = Vec::with_capacity(headers.len());
    for (place, header) in headers.iter().enumerate() {
        let name: Arc<str> = header.name.to_ascii_lowercase().into();
        if matches.iter().any(|one| one.name == name) {
            continue;
        }
        let value = text(&header.match_type, header.value.shared())
            .map_err(|fault| (format!("headers[{place}].value"), fault))?;
        matches.push(FieldMatch { name, value });
    }
    Ok(matches)
}

/// Of equal names the first counts, as the API says.
fn query(parameters: &[HttpQueryParamMatch]) -> Result<Vec<FieldMatch>, Faulty> {
    let mut matches: Vec<FieldMatch> = Vec::with_capacity(parameters.len());
    for (place, parameter) in parameters.iter().enumerate() {
        let name = parameter.name.shared();
        if matches.iter().any(|one| one.name == name) {
            continue;
        }
        let value = text(&parameter.match_type, parameter.value.shared())
            .map_err(|fault| (format!("queryParams[{place}].value"), fault))?;
        matches.push(FieldMatch { name, value });
    }
    Ok(matches)
}

fn text(match_type: &ValueMatchType, value: Arc<str>) -> Result<TextMatch, Fault> {
    match match_type {
        ValueMatchType::Exact => Ok(TextMatch::Exact(value)),
        ValueMatchType::RegularExpression => expression(value).map(TextMatch::Regex),
        ValueMatchType::Unknown(text) => Err(Fault::Value(text.clone())),
    }
}

fn method(method: &HttpMethod) -> Result<Arc<str>, Faulty> {
    match method {
        HttpMethod::Unknown(text) => Err(("method".to_owned(), Fault::Value(text.clone()))),
        known => Ok(known.as_str().into()),
    }
}

/// Compiled as data planes do, so that none of them meets one that can't be.
pub(super) fn expression(expression: Arc<str>) -> Result<Arc<str>, Fault> {
    match route::expression(&expression) {
        Ok(_) => Ok(expression),
        Err(error) => Err(Fault::Expression {
            expression,
            reason: brief(&error.to_string()),
        }),
    }
}

/// The last line of a syntax error says what it is; those before draw the place.
fn brief(text: &str) -> String {
    let last = text.lines().last().unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}
