//! Of what a peer sends (RFC 7541, sections 3 and 6).

use super::fixed::FIXED;
use super::huffman;
use super::integer::Reader;
use super::table::Table;
use super::{HpackError, TABLE_BYTES};

/// What a connection keeps for strings that came in Huffman's code.
const SCRATCH: usize = 4 << 10;

/// One direction of one connection: all its header blocks, in order.
#[derive(Debug)]
pub struct Decoder {
    table: Table,
    /// What the peer may use of the table.
    most: usize,
    name: Vec<u8>,
    value: Vec<u8>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new(TABLE_BYTES)
    }
}

impl Decoder {
    /// `table_size`: `SETTINGS_HEADER_TABLE_SIZE` as the peer is told, at least [`TABLE_BYTES`] unless the peer
    /// has acknowledged less already.
    #[must_use]
    pub fn new(table_size: u32) -> Self {
        let most = usize::try_from(table_size).unwrap_or(usize::MAX);
        Self {
            table: Table::new(most),
            most,
            name: Vec::new(),
            value: Vec::new(),
        }
    }

    /// Decodes a whole block: a HEADERS frame's and those of all CONTINUATION frames behind it. `field` gets each
    /// field's name and value, in order; whatever it thinks of them, the block is read to its end, so that
    /// both tables stay in step.
    ///
    /// # Errors
    /// When the block is not one of HPACK: the connection has to end with `COMPRESSION_ERROR`.
    pub fn decode(
        &mut self,
        block: &[u8],
        mut field: impl FnMut(&[u8], &[u8]),
    ) -> Result<(), HpackError> {
        let mut reader = Reader(block);
        let mut is_start = true;
        let result = loop {
            let Some(first) = reader.byte() else {
                break Ok(());
            };
            let read = match first {
                0x80.. => self.indexed(first, &mut reader, &mut field),
                0x40.. => self.kept(first, &mut reader, &mut field),
                0x20.. if is_start => self.resize(first, &mut reader),
                0x20.. => Err(HpackError::Resize),
                // Whether the field may be indexed further on doesn't matter to who reads it.
                _ => self.literal(first, &mut reader, &mut field),
            };
            if read.is_err() {
                break read;
            }
            is_start = is_start && (0x20..0x40).contains(&first);
        };
        self.name.clear();
        self.name.shrink_to(SCRATCH);
        self.value.clear();
        self.value.shrink_to(SCRATCH);
        result
    }

    /// RFC 7541, section 6.1.
    #[inline]
    fn indexed(
        &self,
        first: u8,
        reader: &mut Reader<'_>,
        field: &mut impl FnMut(&[u8], &[u8]),
    ) -> Result<(), HpackError> {
        let index = reader.integer(first, 7)?;
        let (name, value) = entry(&self.table, index)?;
        field(name, value);
        Ok(())
    }

    /// A field that goes into the table (RFC 7541, section 6.2.1).
    #[inline]
    fn kept(
        &mut self,
        first: u8,
        reader: &mut Reader<'_>,
        field: &mut impl FnMut(&[u8], &[u8]),
    ) -> Result<(), HpackError> {
        let index = reader.integer(first, 6)?;
        let name = match index.checked_sub(1).map(|place| FIXED.get(place)) {
            None => string(reader, &mut self.name)?,
            Some(Some((name, _))) => name,
            // The entry that has the name may have to go for the new one (section 4.4).
            Some(None) => {
                let (name, _) = entry(&self.table, index)?;
                self.name.clear();
                self.name.extend_from_slice(name);
                &self.name
            }
        };
        let value = string(reader, &mut self.value)?;
        field(name, value);
        self.table.insert(name, value);
        Ok(())
    }

    /// A field that doesn't (RFC 7541, sections 6.2.2 and 6.2.3).
    #[inline]
    fn literal(
        &mut self,
        first: u8,
        reader: &mut Reader<'_>,
        field: &mut impl FnMut(&[u8], &[u8]),
    ) -> Result<(), HpackError> {
        let name = match reader.integer(first, 4)? {
            0 => string(reader, &mut self.name)?,
            index => entry(&self.table, index)?.0,
        };
        let value = string(reader, &mut self.value)?;
        field(name, value);
        Ok(())
    }

    /// RFC 7541, section 6.3.
    fn resize(&mut self, first: u8, reader: &mut Reader<'_>) -> Result<(), HpackError> {
        let size = reader.integer(first, 5)?;
        if size > self.most {
            return Err(HpackError::Resize);
        }
        self.table.set_limit(size);
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.table.memory() + self.name.capacity() + self.value.capacity()
    }

    #[cfg(test)]
    pub(super) const fn table(&self) -> &Table {
        &self.table
    }
}

/// RFC 7541, section 2.3.3.
#[inline]
fn entry(table: &Table, index: usize) -> Result<(&[u8], &[u8]), HpackError> {
    let place = index.checked_sub(1).ok_or(HpackError::Index)?;
    let found = match FIXED.get(place) {
        Some(&(name, value)) => Some((name, value)),
        None => table.get(place - FIXED.len()),
    };
    found.ok_or(HpackError::Index)
}

/// RFC 7541, section 5.2.
#[inline]
fn string<'s, 'b: 's>(
    reader: &mut Reader<'b>,
    scratch: &'s mut Vec<u8>,
) -> Result<&'s [u8], HpackError> {
    let first = reader.byte().ok_or(HpackError::Truncated)?;
    let length = reader.integer(first, 7)?;
    let text = reader.take(length)?;
    if first < 0x80 {
        return Ok(text);
    }
    scratch.clear();
    huffman::decode(text, scratch)?;
    Ok(scratch)
}
