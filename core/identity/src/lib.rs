//! How Ringgate's processes show each other who they are, where they lie on different machines:
//! certificates, keys and authorities out of PEM, and what rustls needs of them. Not the
//! certificates of listeners and backends, no socket, and nobody is issued anything here.
//!
//! - [`pem`]: files and texts, with errors that name the file and the remedy
//! - [`host_port`]: where they find each other
//! - [`config`]: both sides of the stream between control plane and data planes; TLS 1.3 alone, for
//!   both are ours
#![forbid(unsafe_code)]

pub mod config;
pub mod host_port;
pub mod pem;
