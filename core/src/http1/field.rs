//! Header fields as places in the buffer that they were read from, and the field lines' syntax
//! (RFC 9110, section 5; RFC 9112, section 5). What a field means for the message is `framing`'s.

use super::framing::{Facts, FramingError};
use super::list;
use super::token::{is_lower_token, is_token, token_end, trim_ows, value_end};

mod id;

pub use id::FieldId;

/// A place in the buffer that a head was parsed from. It stays true when the buffer's bytes are moved
/// to another buffer, not when they are shifted in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    start: u16,
    end: u16,
}

impl Span {
    /// Both ends lie within the parser's window, which [`super::HEAD_BYTES_MAX`] bounds.
    #[inline]
    pub(crate) fn new(start: usize, end: usize) -> Self {
        debug_assert!(start <= end && end <= super::HEAD_BYTES_MAX);
        Self {
            start: start as u16,
            end: end as u16,
        }
    }

    /// The bytes at this place; empty if `buf` does not reach so far.
    #[inline]
    #[must_use]
    pub fn of(self, buf: &[u8]) -> &[u8] {
        buf.get(usize::from(self.start)..usize::from(self.end))
            .unwrap_or_default()
    }

    #[must_use]
    pub const fn start(self) -> usize {
        self.start as usize
    }

    #[must_use]
    pub const fn end(self) -> usize {
        self.end as usize
    }

    #[must_use]
    pub const fn len(self) -> usize {
        self.end.saturating_sub(self.start) as usize
    }

    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// One field line. The value has no spaces or tabs at its ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    pub id: FieldId,
    pub name: Span,
    pub value: Span,
}

/// Why a head's fields are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    #[error("header name is empty")]
    EmptyName,
    #[error("header name has a character that is not allowed")]
    Name,
    #[error("header name looks like one that frames the body")]
    Lookalike,
    #[error("space before the colon of a header")]
    SpaceBeforeColon,
    #[error("header line begins with a space")]
    Folded,
    #[error("header value has a control character")]
    Control,
    #[error("line does not end in CRLF")]
    LineEnd,
    #[error("too many headers")]
    TooMany,
    #[error("headers too large")]
    TooLarge,
    #[error(transparent)]
    Framing(#[from] FramingError),
}

/// Reads field lines from `at` on, up to and including the empty line behind them. Gives where that
/// ends, or `None` when `buf` ends before it. Each line is noted in `facts` as it comes, so that the
/// verdict on a head does not depend on how its bytes were split.
pub(super) fn parse_fields(
    buf: &[u8],
    mut at: usize,
    fields_max: u32,
    fields: &mut Vec<Field>,
    facts: &mut Facts,
) -> Result<Option<usize>, FieldError> {
    loop {
        match buf.get(at) {
            None => return Ok(None),
            Some(b'\r') => return line_end(buf, at),
            Some(_) if fields.len() >= fields_max as usize => return Err(FieldError::TooMany),
            Some(_) => {}
        }
        let Some((field, next)) = parse_line(buf, at)? else {
            return Ok(None);
        };
        facts.note(buf, &field)?;
        fields.push(field);
        at = next;
    }
}

/// That a name which isn't known doesn't look like one that frames the body.
#[inline]
pub(super) fn check_lookalike(id: FieldId, name: &[u8]) -> Result<(), FieldError> {
    match id == FieldId::Other && id::is_framing_lookalike(name) {
        true => Err(FieldError::Lookalike),
        false => Ok(()),
    }
}

/// One field line from `at` on, and where the next begins; `None` when `buf` ends within it.
#[inline]
pub(super) fn parse_line(buf: &[u8], at: usize) -> Result<Option<(Field, usize)>, FieldError> {
    let colon = token_end(buf, at);
    match buf.get(colon) {
        None => return Ok(None),
        Some(b':') if colon > at => {}
        Some(&found) => return Err(name_error(found, colon == at)),
    }
    let end = value_end(buf, colon + 1);
    let Some(next) = line_end(buf, end)? else {
        return Ok(None);
    };
    let name = Span::new(at, colon);
    let id = FieldId::of(name.of(buf));
    check_lookalike(id, name.of(buf))?;
    let value = trimmed(buf, colon + 1, end);
    let field = Field { id, name, value };
    Ok(Some((field, next)))
}

/// What is wrong with a name that ended at `found` instead of a colon.
#[cold]
fn name_error(found: u8, is_first: bool) -> FieldError {
    match found {
        b':' => FieldError::EmptyName,
        b' ' | b'\t' if is_first => FieldError::Folded,
        b' ' | b'\t' => FieldError::SpaceBeforeColon,
        b'\n' => FieldError::LineEnd,
        _ => FieldError::Name,
    }
}

/// Where the line that ends at `at` with CRLF has its end; `None` when `buf` ends before it is known.
#[inline]
fn line_end(buf: &[u8], at: usize) -> Result<Option<usize>, FieldError> {
    match (buf.get(at), buf.get(at + 1)) {
        (Some(b'\r'), Some(b'\n')) => Ok(Some(at + 2)),
        (None, _) | (Some(b'\r'), None) => Ok(None),
        (Some(b'\r' | b'\n'), _) => Err(FieldError::LineEnd),
        (Some(_), _) => Err(FieldError::Control),
    }
}

/// The value between two places without the spaces and tabs at its ends.
#[inline]
fn trimmed(buf: &[u8], mut start: usize, mut end: usize) -> Span {
    while start < end && matches!(buf.get(start), Some(b' ' | b'\t')) {
        start += 1;
    }
    while start < end && matches!(buf.get(end - 1), Some(b' ' | b'\t')) {
        end -= 1;
    }
    Span::new(start, end)
}

/// Whether a received field is for the next hop too. `Connection`, what it names, and the fields that
/// concern one connection only are not (RFC 9110, section 7.6.1), nor is `Content-Length`: the sender
/// of a head writes its framing anew.
///
/// A field that we know to be for all recipients stays even if `Connection` names it: naming it there is
/// forbidden, and used to strip what a proxy in front of us has added.
pub(super) fn passes_on(field: &Field, fields: &[Field], others_named: bool, buf: &[u8]) -> bool {
    match field.id {
        FieldId::Other => !(others_named && is_named(field.name.of(buf), fields, buf)),
        FieldId::ContentLength => false,
        id => !id.is_hop_by_hop(),
    }
}

fn is_named(name: &[u8], fields: &[Field], buf: &[u8]) -> bool {
    let mut connection = fields
        .iter()
        .filter(|field| field.id == FieldId::Connection);
    connection.any(|field| list::has(field.value.of(buf), name))
}

/// Whether a text, of configuration say, may be written as a field's name.
#[must_use]
pub fn is_name(text: &[u8]) -> bool {
    is_token(text)
}

/// Whether a text may stand as a field's name in HTTP/2 (RFC 9113, section 8.2.1).
#[inline]
#[must_use]
pub fn is_lower_name(text: &[u8]) -> bool {
    is_lower_token(text)
}

/// Whether a text may be written as a field's value: no control characters, no spaces at its ends.
#[must_use]
pub fn is_value(text: &[u8]) -> bool {
    value_end(text, 0) == text.len() && trim_ows(text).len() == text.len()
}
