//! What a connection may do next, at either end of the gateway (RFC 9112, section 9; RFC 9110, sections
//! 7.8, 10.1.1 and 15.2). Owns persistence, interim responses, draining and upgrades; bytes are `body`'s
//! and the heads' business, and time is the caller's.

mod client;
mod server;

pub use client::{Answer, AnswerError, ClientSide};
pub use server::{After, ConnectionField, Reply, ServerSide};
