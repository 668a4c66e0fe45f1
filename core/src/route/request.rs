//! What of a request routes look at, whatever HTTP version it came by.

/// A request's header fields.
pub trait Fields {
    /// The value of a field, by its lower-case name; repeated fields are joined by `, ` (RFC 9110,
    /// section 5.3).
    fn value(&self, name: &str) -> Option<std::borrow::Cow<'_, [u8]>>;
}

/// A request on its way to a rule.
pub struct Request<'r, F: Fields> {
    pub method: &'r str,
    /// Lower case, without port: see [`super::host::of_authority`].
    pub host: &'r str,
    /// In its normal form: see [`super::path::normalize`].
    pub path: &'r str,
    /// Without the question mark.
    pub query: &'r [u8],
    pub fields: &'r F,
}
