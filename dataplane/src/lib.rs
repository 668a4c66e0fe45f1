//! Ringgate's data plane: one thread per core carries the traffic.
//!
//! # The life of a request
//!
//! - [`accept`]: a shard's listening sockets; [`neighbours`]: which shard serves what comes there
//! - [`transport`]: a connection's bytes, with or without [`tls`]
//! - [`downstream`]: a client's connection, from request to request; replies of our own
//! - [`http2`]: streams of HTTP/2, on either side, as connections of HTTP/1 that carry one exchange
//! - [`proxy`]: THE request: what happens to each, with every branch in sight
//! - [`forward`]: attempts at a backend; [`upstream`]: endpoints, pooled connections, one exchange
//! - [`grpc_web`]: what changes of gRPC on its way from browsers
//! - [`stream`]: instead of requests, a connection whose bytes go to a backend whatever they mean
//! - [`datagram`]: datagrams of a client, to an endpoint and back
//! - [`tunnel`], [`mirror`], [`echo`]: where a request goes instead, or besides; [`splice`]: bytes that nobody looks at
//!
//! # The life of a change
//!
//! - [`config`]: receives it, compiles it off the shards, prepares sockets, puts it in force, keeps it
//! - [`shard`]: the thread that it comes into force on; [`sys`]: the kernel and the runtime below it
//! - [`health`]: which endpoints work, found out off the shards; [`shared`]: the only memory that these share
//!
//! # Beside both
//!
//! - [`mod@serve`]: wiring; [`telemetry`], [`admin`]: what can be seen; [`node_checks`]: which load balancers ask for; [`drain`]: the end; [`limits`]: bounds and their reasons

mod accept;
mod admin;
mod config;
mod datagram;
mod downstream;
mod drain;
mod echo;
mod fields;
mod forward;
mod grpc_web;
mod health;
mod http2;
mod join;
mod limits;
mod mirror;
mod neighbours;
mod node_checks;
mod proxy;
mod serve;
mod shard;
mod shared;
mod splice;
mod stream;
mod sys;
mod telemetry;
mod tls;
mod transport;
mod tunnel;
mod upstream;

pub use config::Own;
pub use ringgate_core::balance::Whereabouts;
pub use serve::{ControlPlane, ServeError, Settings, serve};
pub use sys::driver::Choice;
pub use telemetry::access_log::Target;
