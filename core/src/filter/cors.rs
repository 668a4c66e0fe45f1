//! The CORS protocol (Fetch standard, section 3.3; Gateway API, HTTPCORSFilter): answers to preflights, and
//! what is added to other responses.

use crate::ir::{Cors, Origin, Tokens};

/// What of a request the protocol looks at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ask<'r> {
    pub origin: Option<&'r [u8]>,
    /// `Access-Control-Request-Method`: with an Origin and the method OPTIONS, a preflight.
    pub method: Option<&'r [u8]>,
    /// `Access-Control-Request-Headers`.
    pub headers: Option<&'r [u8]>,
}

/// Fields that the gateway alone says, where a CORS filter is: an upstream's own are dropped.
#[must_use]
pub fn owned(name: &[u8]) -> bool {
    const NAMES: [&str; 3] = [
        "access-control-allow-origin",
        "access-control-allow-credentials",
        "access-control-expose-headers",
    ];
    NAMES
        .iter()
        .any(|one| one.as_bytes().eq_ignore_ascii_case(name))
}

/// Calls `field` with each header of the answer to a preflight. An origin that isn't allowed gets none,
/// and the browser refuses (the status is 204 either way).
pub fn preflight(cors: &Cors, ask: &Ask<'_>, mut field: impl FnMut(&str, &[u8])) {
    let Some(origin) = ask.origin.filter(|origin| allows(cors, origin)) else {
        return;
    };
    allow_origin(cors, origin, &mut field);
    let exact = cors.credentials;
    if let Some(value) = granted(&cors.methods, ask.method, exact) {
        field("access-control-allow-methods", &value);
    }
    if let Some(value) = granted(&cors.headers, ask.headers, exact) {
        field("access-control-allow-headers", &value);
    }
    // Browsers take no notice of it here, but the API's suite looks for it in both.
    expose(cors, &mut field);
    field(
        "access-control-max-age",
        cors.max_age.as_secs().to_string().as_bytes(),
    );
}

/// Calls `field` with each header that is added to the response of a request that is no preflight.
pub fn response(cors: &Cors, ask: &Ask<'_>, mut field: impl FnMut(&str, &[u8])) {
    let Some(origin) = ask.origin.filter(|origin| allows(cors, origin)) else {
        return;
    };
    allow_origin(cors, origin, &mut field);
    expose(cors, &mut field);
}

fn expose(cors: &Cors, field: &mut impl FnMut(&str, &[u8])) {
    match &cors.expose {
        // With credentials `*` is only a name, so it is left out.
        Tokens::Any if cors.credentials => {}
        Tokens::Any => field("access-control-expose-headers", b"*"),
        Tokens::List(names) if names.is_empty() => {}
        Tokens::List(names) => field("access-control-expose-headers", names.join(", ").as_bytes()),
    }
}

fn allow_origin(cors: &Cors, origin: &[u8], field: &mut impl FnMut(&str, &[u8])) {
    field("access-control-allow-origin", origin);
    if cors.credentials {
        field("access-control-allow-credentials", b"true");
    }
    field("vary", b"origin");
}

/// A list as it stands; `*` as what was asked for where credentials forbid the wildcard, and nothing
/// where nothing was asked.
fn granted(tokens: &Tokens, asked: Option<&[u8]>, exact: bool) -> Option<Vec<u8>> {
    match (tokens, asked) {
        (Tokens::List(list), _) if list.is_empty() => None,
        (Tokens::List(list), _) => Some(list.join(", ").into_bytes()),
        (Tokens::Any, Some(asked)) => Some(asked.to_vec()),
        (Tokens::Any, None) => (!exact).then(|| b"*".to_vec()),
    }
}

/// Whether responses may be shared with an origin (`scheme://host[:port]`).
fn allows(cors: &Cors, origin: &[u8]) -> bool {
    let Ok(origin) = std::str::from_utf8(origin) else {
        return false;
    };
    let origin = without_default_port(origin);
    cors.origins.iter().any(|allowed| match allowed {
        Origin::Any => true,
        Origin::Exact(exact) => origin.eq_ignore_ascii_case(without_default_port(exact)),
        Origin::Wildcard { before, after } => {
            let origin = origin.to_ascii_lowercase();
            let after = without_default_port_of(before, after);
            let middle = origin
                .strip_prefix(&**before)
                .and_then(|rest| rest.strip_suffix(after));
            middle.is_some_and(|middle| !middle.is_empty() && !middle.contains([':', '/']))
        }
    })
}

fn without_default_port(origin: &str) -> &str {
    without_default_port_of(origin, origin)
}

/// `text` without the port that is the default of the scheme that `origin` begins with.
fn without_default_port_of<'t>(origin: &str, text: &'t str) -> &'t str {
    let port = if origin.starts_with("https://") {
        ":443"
    } else {
        ":80"
    };
    text.strip_suffix(port).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn cors(origins: Vec<Origin>, credentials: bool) -> Cors {
        Cors {
            origins,
            credentials,
            methods: Tokens::Any,
            headers: Tokens::List(vec!["x-a".into(), "x-b".into()]),
            expose: Tokens::Any,
            max_age: Duration::from_secs(5),
        }
    }

    fn lines(run: impl FnOnce(&mut dyn FnMut(&str, &[u8]))) -> Vec<String> {
        let mut lines = Vec::new();
        run(&mut |name, value| {
            lines.push(format!("{name}: {}", String::from_utf8_lossy(value)));
        });
        lines
    }

    fn wildcard() -> Origin {
        Origin::Wildcard {
            before: "https://".into(),
            after: ".example".into(),
        }
    }

    #[test]
    fn origins_match_with_ports_made_explicit_and_wildcards_to_the_left() {
        let exact = Origin::Exact("http://a.example:80".into());
        let cors = cors(vec![exact, wildcard()], false);
        for (origin, allowed) in [
            ("http://a.example", true),
            ("http://a.example:80", true),
            ("https://a.example", true),
            ("https://a.b.example:443", true),
            ("https://a.example:8443", false),
            ("http://b.example", false),
            ("https://.example", false),
            ("https://evil.test/.example", false),
            ("null", false),
        ] {
            assert_eq!(allows(&cors, origin.as_bytes()), allowed, "{origin}");
        }
    }

    #[test]
    fn a_preflight_is_answered_in_full() {
        let ask = Ask {
            origin: Some(b"https://a.example"),
            method: Some(b"PUT"),
            headers: None,
        };
        let found = lines(|field| preflight(&cors(vec![wildcard()], true), &ask, field));
        assert_eq!(
            found,
            [
                "access-control-allow-origin: https://a.example",
                "access-control-allow-credentials: true",
                "vary: origin",
                "access-control-allow-methods: PUT",
                "access-control-allow-headers: x-a, x-b",
                "access-control-max-age: 5",
            ]
        );
    }

    #[test]
    fn a_stranger_gets_no_header() {
        let ask = Ask {
            origin: Some(b"https://evil.test"),
            ..Ask::default()
        };
        assert!(lines(|field| preflight(&cors(vec![wildcard()], true), &ask, field)).is_empty());
        assert!(lines(|field| response(&cors(vec![wildcard()], true), &ask, field)).is_empty());
    }

    #[test]
    fn wildcards_are_not_said_with_credentials() {
        let ask = Ask {
            origin: Some(b"https://a.example"),
            ..Ask::default()
        };
        let with = lines(|field| response(&cors(vec![Origin::Any], true), &ask, field));
        assert!(!with.iter().any(|line| line.contains('*')), "{with:?}");
        let without = lines(|field| response(&cors(vec![Origin::Any], false), &ask, field));
        assert!(without.contains(&"access-control-expose-headers: *".to_owned()));
    }
}
