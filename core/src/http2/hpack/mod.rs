//! HPACK: fields in few bytes (RFC 7541). Owns the compressed form and both tables; what a field means, and
//! whether it may stand where it does, is the head's to know.
//!
//! - `integer`, `huffman`: the two primitives (section 5)
//! - `fixed`: the static table (appendix A)
//! - `table`: the dynamic table (section 2.3.2)
//! - [`decoder`]: of what a peer sends
//! - `habits`: the names that we know, and which of them are worth a place in the peer's table
//! - [`encoder`]: of what we send

mod decoder;
mod encoder;
mod fixed;
mod habits;
mod huffman;
mod integer;
mod table;

#[cfg(test)]
mod tests;

pub use decoder::Decoder;
pub use encoder::Encoder;

/// The size that a dynamic table has when nobody says anything (RFC 9113, section 6.5.2), and the largest
/// that we use: a connection pays it twice.
pub const TABLE_BYTES: u32 = 4096;

/// Why a block can't be decoded: the two tables are out of step from here on, and the connection has to end
/// with `COMPRESSION_ERROR` (RFC 9113, section 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HpackError {
    #[error("header block ends within a field")]
    Truncated,
    #[error("number in a header block is too large")]
    Integer,
    #[error("header block refers to a field that is in neither table")]
    Index,
    #[error("Huffman code in a header block is not valid, or not padded as it has to be")]
    Huffman,
    #[error("header table is resized beyond what was allowed, or behind a header block's start")]
    Resize,
}
