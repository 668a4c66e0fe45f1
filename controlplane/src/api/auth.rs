//! HTTPExternalAuthFilter (GEP-1494), as a route's or a listener's filter.

use std::sync::Arc;

use serde::Deserialize;

use super::choice::choice;
use super::reference::BackendObjectReference;
use super::text::Count;

choice!(ExternalAuthProtocol {
    Http = "HTTP",
    Grpc = "GRPC",
});

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExternalAuth {
    pub protocol: ExternalAuthProtocol,
    pub backend_ref: BackendObjectReference,
    pub grpc: Option<GrpcAuth>,
    pub http: Option<HttpAuth>,
    pub forward_body: Option<ForwardBody>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GrpcAuth {
    pub allowed_headers: Vec<Arc<str>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpAuth {
    pub path: Option<Arc<str>>,
    pub allowed_headers: Vec<Arc<str>>,
    pub allowed_response_headers: Vec<Arc<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ForwardBody {
    /// Bytes; none or 0: nothing is forwarded.
    pub max_size: Option<Count>,
}
