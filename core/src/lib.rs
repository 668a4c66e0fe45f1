//! Ringgate's pure core: bytes in, decisions out.
//!
//! Nothing in this crate knows a socket, a clock, a thread or an async runtime; time is an argument.
//! Both processes are built on it, and their contract lies in [`ir`] and [`wire`].
//!
//! The modules in the order in which a change, and then a request, passes them:
//!
//! - [`ir`]: what the control plane wants in force, as plain enums and structs
//! - [`wire`]: the same as protobuf messages; bounded decoding that never panics
//! - [`table`]: a snapshot compiled into what a shard looks requests up in
//! - [`proxy_protocol`]: who the client is, told by a balancer in front
//! - [`http1`]: HTTP/1.1 and 1.0 heads, bodies and connection state (RFC 9112), sans-IO
//! - [`http2`]: HTTP/2 (RFC 9113), sans-IO: connections at either end, heads, and what a peer may cost
//! - [`route`]: a request's path, host, query and headers against a table
//! - [`grpc`]: which requests are gRPC's, and replies in its terms
//! - [`filter`]: what a rule does to a request or a response on its way
//! - [`balance`]: which backend, and which of its endpoints
#![forbid(unsafe_code)]

pub mod balance;
pub mod filter;
pub mod grpc;
pub mod http1;
pub mod http2;
pub mod ir;
pub mod limits;
pub mod proxy_protocol;
pub mod retry;
pub mod route;
pub mod table;
pub mod wire;
