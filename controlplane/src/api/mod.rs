//! The Kubernetes and Gateway API objects that we read, as types; defaults are filled in.
//!
//! Owns their form. What an object means together with others is translation's affair; what a value
//! has to look like beyond its type stands in `check`.

pub mod auth;
pub mod backend_tls;
pub mod certificate;
mod check;
pub(crate) mod choice;
pub mod document;
pub mod gateway;
pub mod grpc_route;
pub mod health;
pub mod http_filter;
pub mod http_route;
pub mod json;
pub mod listener_set;
pub mod meta;
mod object;
pub mod policy;
pub mod pool;
mod quantity;
pub mod reference;
pub mod route;
pub mod service;
pub mod staple;
pub mod storage;
pub mod stream_route;
pub mod text;

pub use object::{Object, ObjectKey, ObjectKind};

/// The controller whose GatewayClasses are ours.
pub const CONTROLLER_NAME: &str = "ringgate.io/gateway-controller";
