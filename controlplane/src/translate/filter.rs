//! Filters of a rule or a backend, and what of them can't be carried out.

use std::sync::Arc;
use std::time::Duration;

use ringgate_core::filter::forbidden;
use ringgate_core::ir::{
    Cors, Filter, HeaderEdits, HeaderField, Mirror, Origin, PathModifier, Redirect, Rewrite, Tokens,
};

use super::http_match::Faulty;
use super::problem::Fault;
use super::route::Wanted;
use crate::api::http_filter::{
    HttpCors, HttpHeader, HttpHeaderFilter, HttpPathModifier, HttpRequestMirror,
    HttpRequestRedirect, HttpRouteFilter, HttpUrlRewrite, RedirectScheme,
};

/// Where filters stand: not all can stand everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Rule,
    Backend,
}

/// The surroundings of a list of filters.
pub(super) struct Site<'a, 'r> {
    pub(super) level: Level,
    /// Whether every match of the rule is for a path prefix.
    pub(super) only_prefixes: bool,
    pub(super) wanted: &'a mut Wanted<'r>,
}

/// All filters of one list, in order, and what is wrong with them: anything means that the rule is
/// broken. A mirror to a backend that can't be resolved is left out, and is reported by `wanted`.
pub(super) fn translate(
    filters: &[HttpRouteFilter],
    mut site: Site<'_, '_>,
) -> (Vec<Filter>, Vec<Faulty>) {
    let mut translated = Vec::with_capacity(filters.len());
    let mut faulty = Vec::new();
    for (place, filter) in filters.iter().enumerate() {
        if let Some(fault) = incompatible(filters, place) {
            faulty.push((format!("filters[{place}]"), fault));
            continue;
        }
        match site.filter(place, filter) {
            Ok(filter) => translated.extend(filter),
            Err((part, fault)) => faulty.push((format!("filters[{place}]{part}"), fault)),
        }
    }
    (translated, faulty)
}

/// A rewrite beside a redirect, or a second filter of a type that may stand once.
fn incompatible(filters: &[HttpRouteFilter], place: usize) -> Option<Fault> {
    let of = |filter: &HttpRouteFilter| kind(filter);
    let mine = of(filters.get(place)?)?;
    let before = filters.iter().take(place).filter_map(of);
    let clash = |first: &&'static str| {
        *first == mine || matches!((*first, mine), (REDIRECT, REWRITE) | (REWRITE, REDIRECT))
    };
    let mut clashes = before.filter(|first| clash(first));
    clashes.next().map(|first| Fault::IncompatibleFilters {
        first,
        second: mine,
    })
}

const REDIRECT: &str = "RequestRedirect";
const REWRITE: &str = "URLRewrite";

/// The type's name, of those that may stand once.
fn kind(filter: &HttpRouteFilter) -> Option<&'static str> {
    match filter {
        HttpRouteFilter::RequestHeaderModifier(_) => Some("RequestHeaderModifier"),
        HttpRouteFilter::ResponseHeaderModifier(_) => Some("ResponseHeaderModifier"),
        HttpRouteFilter::RequestRedirect(_) => Some(REDIRECT),
        HttpRouteFilter::UrlRewrite(_) => Some(REWRITE),
        HttpRouteFilter::Cors(_) => Some("CORS"),
        HttpRouteFilter::RequestMirror(_)
        | HttpRouteFilter::ExternalAuth(_)
        | HttpRouteFilter::ExtensionRef(_)
        | HttpRouteFilter::Unknown(_) => None,
    }
}

impl Site<'_, '_> {
    fn filter(&mut self, place: usize, filter: &HttpRouteFilter) -> Result<Option<Filter>, Faulty> {
        let whole = |fault| (String::new(), fault);
        let unsupported = |name: &str| Err(whole(Fault::Filter(name.into())));
        match filter {
            HttpRouteFilter::RequestHeaderModifier(edits) => header_edits(edits)
                .map(|edits| Some(Filter::RequestHeaders(edits)))
                .map_err(|fault| (".requestHeaderModifier".to_owned(), fault)),
            HttpRouteFilter::ResponseHeaderModifier(edits) => header_edits(edits)
                .map(|edits| Some(Filter::ResponseHeaders(edits)))
                .map_err(|fault| (".responseHeaderModifier".to_owned(), fault)),
            HttpRouteFilter::RequestMirror(mirror) => Ok(self.mirror(place, mirror)),
            HttpRouteFilter::UrlRewrite(rewrite) => self.rewrite(rewrite).map(Some),
            HttpRouteFilter::RequestRedirect(_) if self.level == Level::Backend => {
                unsupported("RequestRedirect in a backendRef")
            }
            HttpRouteFilter::RequestRedirect(redirect) => self.redirect(redirect).map(Some),
            HttpRouteFilter::Cors(_) if self.level == Level::Backend => {
                unsupported("CORS in a backendRef")
            }
            HttpRouteFilter::Cors(one) => Ok(Some(Filter::Cors(cors(one)))),
            HttpRouteFilter::ExternalAuth(_) => unsupported("ExternalAuth"),
            HttpRouteFilter::ExtensionRef(_) => unsupported("ExtensionRef"),
            HttpRouteFilter::Unknown(name) => unsupported(name),
        }
    }

    fn mirror(&mut self, place: usize, mirror: &HttpRequestMirror) -> Option<Filter> {
        let field = format!("filters[{place}].requestMirror.backendRef");
        let backend = self.wanted.backend(&field, &mirror.backend_ref)?;
        Some(Filter::Mirror(Mirror {
            backend,
            numerator: mirror.numerator,
            denominator: mirror.denominator,
        }))
    }

    fn redirect(&self, redirect: &HttpRequestRedirect) -> Result<Filter, Faulty> {
        let at = |part: &str| format!(".requestRedirect.{part}");
        let scheme = match &redirect.scheme {
            Some(RedirectScheme::Unknown(text)) => {
                return Err((at("scheme"), Fault::Value(text.clone())));
            }
            known => known.as_ref().map(|scheme| scheme.as_str().into()),
        };
        let path = self.modifier(redirect.path.as_ref());
        Ok(Filter::Redirect(Redirect {
            scheme,
            hostname: redirect.hostname.as_ref().map(|name| name.shared()),
            port: redirect.port.map(|port| port.get()),
            path: path.map_err(|fault| (at("path"), fault))?,
            status: redirect.status_code.get(),
        }))
    }

    fn rewrite(&self, rewrite: &HttpUrlRewrite) -> Result<Filter, Faulty> {
        let path = self.modifier(rewrite.path.as_ref());
        Ok(Filter::Rewrite(Rewrite {
            hostname: rewrite.hostname.as_ref().map(|name| name.shared()),
            path: path.map_err(|fault| (".urlRewrite.path".to_owned(), fault))?,
        }))
    }

    fn modifier(&self, path: Option<&HttpPathModifier>) -> Result<Option<PathModifier>, Fault> {
        Ok(match path {
            None => None,
            Some(HttpPathModifier::ReplaceFullPath(path)) => {
                Some(PathModifier::ReplaceFullPath(path.shared()))
            }
            Some(HttpPathModifier::ReplacePrefixMatch(_)) if !self.only_prefixes => {
                return Err(Fault::NoPrefixToReplace);
            }
            Some(HttpPathModifier::ReplacePrefixMatch(path)) => {
                let prefix = path.trim_end_matches('/');
                Some(PathModifier::ReplacePrefix(prefix.into()))
            }
            Some(HttpPathModifier::Unknown(text)) => return Err(Fault::Value(text.clone())),
        })
    }
}

fn header_edits(edits: &HttpHeaderFilter) -> Result<HeaderEdits, Fault> {
    let removed = edits.remove.iter().map(|name| lower_case(name));
    let edits = HeaderEdits {
        set: fields(&edits.set),
        add: fields(&edits.add),
        remove: removed.collect(),
    };
    let changed = edits.set.iter().chain(&edits.add).map(|field| &field.name);
    match changed.chain(&edits.remove).find(|name| forbidden(name)) {
        Some(name) => Err(Fault::ForbiddenHeader(name.clone())),
        None => Ok(edits),
    }
}

/// Of equal names (case-insensitive) the first counts, as the API says.
fn fields(headers: &[HttpHeader]) -> Vec<HeaderField> {
    let mut fields: Vec<HeaderField> = Vec::with_capacity(headers.len());
    for header in headers {
        let name = lower_case(&header.name);
        if !fields.iter().any(|one| one.name == name) {
            fields.push(HeaderField {
                name,
                value: header.value.shared(),
            });
        }
    }
    fields
}

fn lower_case(name: &str) -> Arc<str> {
    name.to_ascii_lowercase().into()
}

fn cors(cors: &HttpCors) -> Cors {
    let tokens = |list: Vec<Arc<str>>| {
        if list.iter().any(|one| **one == *"*") {
            Tokens::Any
        } else {
            Tokens::List(list)
        }
    };
    let origins = cors.allow_origins.iter().map(|one| origin(one));
    let methods = cors.allow_methods.iter().map(|one| one.as_str().into());
    let headers = |names: &[crate::api::text::HeaderName]| {
        tokens(names.iter().map(|name| name.shared()).collect())
    };
    Cors {
        origins: origins.collect(),
        credentials: cors.allow_credentials,
        methods: tokens(methods.collect()),
        headers: headers(&cors.allow_headers),
        expose: headers(&cors.expose_headers),
        max_age: Duration::from_secs(cors.max_age.get().into()),
    }
}

/// Browsers write origins in lower case.
fn origin(text: &str) -> Origin {
    if text == "*" {
        return Origin::Any;
    }
    let text = text.to_ascii_lowercase();
    match text.split_once('*') {
        None => Origin::Exact(text.into()),
        Some((before, after)) => Origin::Wildcard {
            before: before.into(),
            after: after.into(),
        },
    }
}
