//! Tells data planes what shall be in force, and hears what became of it.
//!
//! [`wanted`] is what is told, [`session`] the conversation with one data plane (no input or output
//! of its own), [`server`] the Unix socket around it. What an ack means for statuses is not decided
//! here.

pub mod server;
pub mod session;
pub mod wanted;

/// Generated: the service of `ringgate.proto`.
#[allow(
    clippy::all,
    clippy::allow_attributes_without_reason,
    clippy::too_many_lines,
    unused_qualifications,
    unreachable_pub,
    elided_lifetimes_in_paths,
    reason = "generated code"
)]
pub mod service {
    include!(concat!(env!("OUT_DIR"), "/ringgate.v1.rs"));
}
