//! gRPC's methods as paths: `/service/method`.

use std::sync::Arc;

use super::Pattern;
use super::residual::whole;
use crate::ir::{RpcMatch, TextMatch};

/// A match that is a path, or the beginning of one.
pub(crate) enum RpcPath {
    Method(Arc<str>),
    /// By path element.
    Service(Arc<str>),
}

/// None: the match is an expression, or is for every service.
pub(crate) fn path(one: &RpcMatch) -> Option<RpcPath> {
    match (&one.service, &one.method) {
        (Some(TextMatch::Exact(service)), None) => {
            Some(RpcPath::Service(format!("/{service}").into()))
        }
        (Some(TextMatch::Exact(service)), Some(TextMatch::Exact(method))) => {
            Some(RpcPath::Method(format!("/{service}/{method}").into()))
        }
        _ => None,
    }
}

/// The expression of a match that is no path; None: it is for every service and method.
///
/// # Errors
/// When the syntax of a part is wrong, or the compiled expression would be too large.
pub(crate) fn pattern(one: &RpcMatch) -> Result<Option<Pattern>, regex::Error> {
    if path(one).is_some() || *one == RpcMatch::default() {
        return Ok(None);
    }
    let (service, method) = (part(one.service.as_ref())?, part(one.method.as_ref())?);
    let expression = whole(&format!("/(?:{service})/(?:{method})"))?;
    Ok(Some(Pattern::Regex(expression.into())))
}

/// The expression for one element of the path. Each part is compiled alone first: a parenthesis must not
/// close in the other.
fn part(part: Option<&TextMatch>) -> Result<String, regex::Error> {
    Ok(match part {
        None => "[^/]+".to_owned(),
        Some(TextMatch::Exact(text)) => regex::escape(text),
        Some(TextMatch::Regex(expression)) => {
            whole(expression)?;
            expression.to_string()
        }
    })
}
