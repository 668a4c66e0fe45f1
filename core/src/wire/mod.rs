//! The wire between control plane and data plane: protobuf messages, and their way from and to
//! [`crate::ir`].
//!
//! Messages only: the service's stubs live in the two processes, for tonic would bring an async
//! runtime into this crate. Decoding checks everything that the IR's types promise, is bounded by
//! [`limits`](crate::limits), and never panics. An object is hashed over its encoded bytes, so that
//! both sides know what changed without comparing it.

mod decode;
mod encode;

/// Generated from `proto/ringgate.proto`.
#[allow(clippy::all, reason = "generated code")]
pub mod proto {
    include!(concat!(env!("OUT_DIR"), "/ringgate.v1.rs"));
}

/// The metadata in which a control plane that doesn't lead names who does, as HOST:PORT.
pub const LEADER_METADATA: &str = "ringgate-leader";

pub use decode::{DecodeError, entry, id, saved, version};
pub use encode::{
    entry as encode_entry, id as encode_id, saved as encode_saved, version as encode_version,
};

/// The hash that names an encoded object's content. Stable over processes and versions of this
/// software (FNV-1a, 64 bits): it is compared between a saved snapshot and a control plane.
#[must_use]
pub fn content_hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
