//! Tells data planes what shall be in force, and hears what became of it.
//!
//! [`wanted`] is what is told, [`session`] the conversation with one data plane (no input or output
//! of its own), [`conversation`] the stream around it, [`server`] serves that stream: on this machine
//! by a [`socket`], to others by [`remote`] with [`certificates`]. `parts` is what leads a data plane from what
//! it has to what is wanted. What an ack means for statuses is
//! not decided here.

pub mod certificates;
pub mod conversation;
mod parts;
pub mod remote;
pub mod server;
pub mod session;
pub mod socket;
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
