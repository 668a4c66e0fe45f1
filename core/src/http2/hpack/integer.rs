//! Numbers that begin in the low bits of a byte (RFC 7541, section 5.1).

use super::HpackError;

/// Bytes behind the first: 28 bits, more than any length or index that we take.
const MORE: u32 = 4;

/// What is left of a block.
pub(super) struct Reader<'b>(pub(super) &'b [u8]);

impl<'b> Reader<'b> {
    #[inline]
    pub(super) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// The number whose first bits are the last `bits` of `first`, which was read already.
    #[inline]
    pub(super) fn integer(&mut self, first: u8, bits: u32) -> Result<usize, HpackError> {
        let mask = u8::MAX >> (8 - bits);
        let value = usize::from(first & mask);
        if value < usize::from(mask) {
            return Ok(value);
        }
        self.more(value)
    }

    fn more(&mut self, mut value: usize) -> Result<usize, HpackError> {
        for turn in 0..MORE {
            let byte = self.byte().ok_or(HpackError::Truncated)?;
            value += usize::from(byte & 0x7f) << (7 * turn);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(HpackError::Integer)
    }

    #[inline]
    pub(super) fn take(&mut self, length: usize) -> Result<&'b [u8], HpackError> {
        let parts = self.0.split_at_checked(length);
        let (taken, rest) = parts.ok_or(HpackError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }
}

/// `high` has what stands in the first byte above the `bits` of the number.
#[inline]
pub(super) fn write(high: u8, bits: u32, value: usize, out: &mut Vec<u8>) {
    let mask = u8::MAX >> (8 - bits);
    if value < usize::from(mask) {
        out.push(high | value as u8);
        return;
    }
    out.push(high | mask);
    let mut rest = value - usize::from(mask);
    while rest >= 0x80 {
        out.push(0x80 | (rest & 0x7f) as u8);
        rest >>= 7;
    }
    out.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7541, appendix C.1.
    #[test]
    fn numbers_of_the_specification_are_written_and_read() {
        for (value, bits, bytes) in [
            (10, 5, &[0b01010][..]),
            (1337, 5, &[0b11111, 0b1001_1010, 0b0000_1010]),
            (42, 8, &[42]),
            (31, 5, &[31, 0]),
        ] {
            let mut out = Vec::new();
            write(0, bits, value, &mut out);
            assert_eq!(out, bytes);
            let mut reader = Reader(bytes.get(1..).unwrap());
            assert_eq!(reader.integer(bytes[0], bits), Ok(value));
            assert!(reader.0.is_empty());
        }
    }

    #[test]
    fn numbers_without_an_end_are_refused() {
        let mut reader = Reader(&[0xff; 100]);
        assert_eq!(reader.integer(0x7f, 7), Err(HpackError::Integer));
        let mut reader = Reader(&[0xff; 2]);
        assert_eq!(reader.integer(0x7f, 7), Err(HpackError::Truncated));
    }
}
