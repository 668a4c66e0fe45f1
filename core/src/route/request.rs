//! What of a request routes look at, whatever HTTP version it came by.

use crate::grpc::Carriage;

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

impl<F: Fields> Request<'_, F> {
    /// Whether a GRPCRoute is for it. gRPC is carried by POST alone.
    #[must_use]
    pub fn is_grpc(&self) -> bool {
        self.method == "POST"
            && self
                .fields
                .value("content-type")
                .is_some_and(|value| Carriage::of(&value).is_some())
    }
}
