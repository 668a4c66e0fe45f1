//! The field names that the gateway knows, found once, at parse time. Owns the names and which of
//! them are for one hop only, and which never stand in a trailer.

/// A field's name, if it is one that some code asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FieldId {
    #[default]
    Other,
    AcceptEncoding,
    AccessControlRequestHeaders,
    AccessControlRequestMethod,
    Age,
    Authorization,
    CacheControl,
    Connection,
    ContentEncoding,
    ContentLength,
    ContentRange,
    ContentType,
    Cookie,
    Date,
    Expect,
    Expires,
    Forwarded,
    Host,
    Http2Settings,
    IfMatch,
    IfModifiedSince,
    IfNoneMatch,
    IfRange,
    IfUnmodifiedSince,
    KeepAlive,
    Location,
    MaxForwards,
    Origin,
    Pragma,
    ProxyAuthenticate,
    ProxyAuthorization,
    ProxyConnection,
    Range,
    Referer,
    RetryAfter,
    Server,
    SetCookie,
    Te,
    Traceparent,
    Trailer,
    TransferEncoding,
    Upgrade,
    UserAgent,
    Vary,
    Via,
    Warning,
    WwwAuthenticate,
    XForwardedFor,
    XForwardedHost,
    XForwardedProto,
    XRequestId,
}

type Name = (&'static [u8], FieldId);

/// Ordered by length: [`BY_LENGTH`] is built on that.
static NAMES: [Name; 50] = [
    (b"te", FieldId::Te),
    (b"age", FieldId::Age),
    (b"via", FieldId::Via),
    (b"date", FieldId::Date),
    (b"host", FieldId::Host),
    (b"vary", FieldId::Vary),
    (b"range", FieldId::Range),
    (b"cookie", FieldId::Cookie),
    (b"expect", FieldId::Expect),
    (b"origin", FieldId::Origin),
    (b"pragma", FieldId::Pragma),
    (b"server", FieldId::Server),
    (b"expires", FieldId::Expires),
    (b"referer", FieldId::Referer),
    (b"trailer", FieldId::Trailer),
    (b"upgrade", FieldId::Upgrade),
    (b"warning", FieldId::Warning),
    (b"if-match", FieldId::IfMatch),
    (b"if-range", FieldId::IfRange),
    (b"location", FieldId::Location),
    (b"forwarded", FieldId::Forwarded),
    (b"connection", FieldId::Connection),
    (b"keep-alive", FieldId::KeepAlive),
    (b"set-cookie", FieldId::SetCookie),
    (b"user-agent", FieldId::UserAgent),
    (b"retry-after", FieldId::RetryAfter),
    (b"traceparent", FieldId::Traceparent),
    (b"content-type", FieldId::ContentType),
    (b"max-forwards", FieldId::MaxForwards),
    (b"x-request-id", FieldId::XRequestId),
    (b"authorization", FieldId::Authorization),
    (b"cache-control", FieldId::CacheControl),
    (b"content-range", FieldId::ContentRange),
    (b"if-none-match", FieldId::IfNoneMatch),
    (b"content-length", FieldId::ContentLength),
    (b"http2-settings", FieldId::Http2Settings),
    (b"accept-encoding", FieldId::AcceptEncoding),
    (b"x-forwarded-for", FieldId::XForwardedFor),
    (b"content-encoding", FieldId::ContentEncoding),
    (b"proxy-connection", FieldId::ProxyConnection),
    (b"www-authenticate", FieldId::WwwAuthenticate),
    (b"x-forwarded-host", FieldId::XForwardedHost),
    (b"if-modified-since", FieldId::IfModifiedSince),
    (b"transfer-encoding", FieldId::TransferEncoding),
    (b"x-forwarded-proto", FieldId::XForwardedProto),
    (b"proxy-authenticate", FieldId::ProxyAuthenticate),
    (b"if-unmodified-since", FieldId::IfUnmodifiedSince),
    (b"proxy-authorization", FieldId::ProxyAuthorization),
    (
        b"access-control-request-method",
        FieldId::AccessControlRequestMethod,
    ),
    (
        b"access-control-request-headers",
        FieldId::AccessControlRequestHeaders,
    ),
];

const LONGEST: usize = 30;

/// Where in [`NAMES`] the names of each length begin; one more entry for the end of the last.
static BY_LENGTH: [u8; LONGEST + 2] = by_length();

const fn by_length() -> [u8; LONGEST + 2] {
    let mut starts = [0; LONGEST + 2];
    let mut length = 0;
    let mut place = 0;
    while length < starts.len() {
        while place < NAMES.len() && NAMES[place].0.len() < length {
            place += 1;
        }
        starts[length] = place as u8;
        length += 1;
    }
    starts
}

/// By discriminant; that of [`FieldId::Other`] is empty.
static BY_ID: [&[u8]; NAMES.len() + 1] = by_id();

const fn by_id() -> [&'static [u8]; NAMES.len() + 1] {
    let mut names: [&[u8]; NAMES.len() + 1] = [b""; NAMES.len() + 1];
    let mut place = 0;
    while place < NAMES.len() {
        names[NAMES[place].1 as usize] = NAMES[place].0;
        place += 1;
    }
    names
}

impl FieldId {
    /// Names are compared without regard to case (RFC 9110, section 5.1).
    #[inline]
    #[must_use]
    pub fn of(name: &[u8]) -> Self {
        let (Some(&from), Some(&to)) = (BY_LENGTH.get(name.len()), BY_LENGTH.get(name.len() + 1))
        else {
            return Self::Other;
        };
        let same_length = NAMES
            .get(usize::from(from)..usize::from(to))
            .unwrap_or_default();
        let first = name.first().map(u8::to_ascii_lowercase);
        for (known, id) in same_length {
            if known.first().copied() == first && known.eq_ignore_ascii_case(name) {
                return *id;
            }
        }
        Self::Other
    }

    /// The name in lower case; `None` for [`FieldId::Other`].
    #[must_use]
    pub fn name(self) -> Option<&'static [u8]> {
        let name = BY_ID.get(self as usize).copied();
        name.filter(|name| !name.is_empty())
    }

    /// Whether the field concerns one connection only and is never passed on (RFC 9110, section 7.6.1;
    /// `HTTP2-Settings`: RFC 7540, section 3.2.1). `Trailer` is for all (RFC 9110, section 6.6.2).
    #[must_use]
    pub const fn is_hop_by_hop(self) -> bool {
        matches!(
            self,
            Self::Connection
                | Self::Http2Settings
                | Self::KeepAlive
                | Self::ProxyConnection
                | Self::Te
                | Self::TransferEncoding
                | Self::Upgrade
        )
    }

    /// Whether the field may stand in a trailer section: not if it frames, routes, authenticates,
    /// modifies the request, controls the response or tells the content's format (RFC 9110, section 6.5.1).
    #[must_use]
    pub const fn may_trail(self) -> bool {
        matches!(
            self,
            Self::Other | Self::Server | Self::Warning | Self::XRequestId
        )
    }
}

/// Whether a name that is not known may be taken for a framing field's: it differs from it in its marks alone, in what
/// stands for the one between its words (backends turn `-` into `_`, leave marks out, or take any character
/// for one), or has marks in place of its end (filters of requests look no further).
#[inline]
pub(super) fn is_framing_lookalike(name: &[u8]) -> bool {
    const LOOKS: [(&[u8], &[u8]); 2] = [(b"content", b"length"), (b"transfer", b"encoding")];
    let long_enough = name.len() >= LOOKS[0].0.len() + LOOKS[0].1.len();
    let is_like = |words| has_words(name, words) || fades(name, words);
    long_enough && LOOKS.into_iter().any(is_like)
}

fn has_words(name: &[u8], (first, last): (&[u8], &[u8])) -> bool {
    let letters = letters(name);
    if !letters.clone().take(first.len()).eq(first.iter().copied()) {
        return false;
    }
    let rest = || letters.clone().skip(first.len());
    let is_last = |letters: &mut dyn Iterator<Item = u8>| letters.eq(last.iter().copied());
    is_last(&mut rest()) || is_last(&mut rest().skip(1))
}

/// Whether it is as long, and has some of the first letters, then one other at most, and else marks.
fn fades(name: &[u8], (first, last): (&[u8], &[u8])) -> bool {
    let (letters, wanted) = (letters(name), first.iter().chain(last));
    let pairs = letters.clone().zip(wanted);
    let alike = pairs.take_while(|(one, other)| one == *other).count();
    let whole = first.len() + last.len();
    name.len() > whole && alike < whole && letters.skip(alike).nth(1).is_none()
}

fn letters(name: &[u8]) -> impl Iterator<Item = u8> + Clone {
    let letters = name.iter().filter(|byte| byte.is_ascii_alphanumeric());
    letters.map(u8::to_ascii_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_ordered_by_length_and_the_longest_is_known() {
        assert!(
            NAMES
                .windows(2)
                .all(|pair| pair[0].0.len() <= pair[1].0.len())
        );
        assert_eq!(NAMES[NAMES.len() - 1].0.len(), LONGEST);
    }

    #[test]
    fn lookalikes_differ_in_marks_alone() {
        for name in [
            "content_length",
            "Content--Length",
            "transfer_encoding",
            "_TransferEncoding",
            "transfer-encoding-",
            "Content0Length",
            "content-xlength",
            "transferzEncoding",
            "C!!!!!!!!!!!!!",
            "content-l_____",
            "tx_______________",
            "______________",
        ] {
            assert!(is_framing_lookalike(name.as_bytes()), "{name}");
        }
        for name in [
            "content-lengths",
            "x-content-length",
            "content-12-length",
            "content-lxy___",
            "access_______",
            "x-request-id__",
            "transfer-encoding2",
            "content-leng",
            "x",
        ] {
            assert!(!is_framing_lookalike(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn every_name_is_found_in_any_case_and_nothing_else_is() {
        for (name, id) in NAMES {
            assert_eq!(FieldId::of(name), id);
            assert_eq!(FieldId::of(&name.to_ascii_uppercase()), id);
            assert_eq!(id.name(), Some(name));
            let mut other = name.to_vec();
            other[name.len() - 1] = b'_';
            assert_eq!(FieldId::of(&other), FieldId::Other);
        }
        for name in [
            &b""[..],
            b"x",
            b"hosts",
            &[b'a'; LONGEST],
            &[b'a'; LONGEST + 1],
            &[b'a'; 300],
        ] {
            assert_eq!(FieldId::of(name), FieldId::Other);
        }
    }
}
