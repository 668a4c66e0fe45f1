//! A request against a table: what its parts are brought to, and the order in which matches are tried.

pub mod cookie;
pub mod host;
pub mod path;
mod precedence;
pub mod query;
mod request;
mod residual;
mod rpc;

pub use precedence::{PathRank, Precedence};
pub use request::{Fields, Request};
pub use residual::whole as expression;
pub(crate) use residual::{Pattern, Residual};
pub(crate) use rpc::pattern as rpc_pattern;
