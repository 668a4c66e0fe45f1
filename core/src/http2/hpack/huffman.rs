//! The Huffman code of strings (RFC 7541, section 5.2 and appendix B), read only. We write strings as they
//! are: coding costs us more than it saves anybody, as what comes often goes by the dynamic table.

use super::HpackError;

/// How many bits each byte's code has; behind them, that of EOS. The codes follow from it: those of a length
/// are numbered in the bytes' order, and go on from those of the length before.
static LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, //
    28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, //
    10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, //
    15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, //
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, //
    6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, //
    7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, //
    23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, //
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, //
    23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, //
    26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, //
    28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, //
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];

const LONGEST: usize = 30;
const EOS: u16 = 256;
/// Bits of a code that the first table takes: those of nearly all bytes that stand in heads.
const FAST: usize = 8;

struct Codes {
    /// For each first byte, the symbol whose code it begins with, and that code's length; 0: it is longer.
    fast: [(u8, u8); 1 << FAST],
    /// All symbols in the order of their codes.
    ordered: [u16; 257],
    /// For each length, where in `ordered` its symbols begin, and its first code.
    first: [(u16, u32); LONGEST + 1],
    /// For each length, the first 32 bits that begin a longer code.
    ends: [u64; LONGEST + 1],
}

static CODES: Codes = codes();

const fn codes() -> Codes {
    let mut codes = Codes {
        fast: [(0, 0); 1 << FAST],
        ordered: [0; 257],
        first: [(0, 0); LONGEST + 1],
        ends: [0; LONGEST + 1],
    };
    let (mut code, mut place, mut length) = (0_u32, 0, 1);
    while length <= LONGEST {
        codes.first[length] = (place as u16, code);
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as usize == length {
                codes.ordered[place] = symbol as u16;
                place += 1;
                if length <= FAST {
                    let spare = FAST - length;
                    let mut rest = 0;
                    while rest < 1 << spare {
                        codes.fast[(code as usize) << spare | rest] = (symbol as u8, length as u8);
                        rest += 1;
                    }
                }
                code += 1;
            }
            symbol += 1;
        }
        codes.ends[length] = (code as u64) << (32 - length);
        code <<= 1;
        length += 1;
    }
    codes
}

/// The symbol whose code `bits` begin with, and the code's length.
#[inline]
fn symbol(bits: u32) -> (u16, u32) {
    let (symbol, length) = CODES.fast[(bits >> (32 - FAST)) as usize];
    if length > 0 {
        return (u16::from(symbol), u32::from(length));
    }
    long_symbol(bits)
}

fn long_symbol(bits: u32) -> (u16, u32) {
    let is_shorter = |end: &u64| u64::from(bits) >= *end;
    let length = CODES.ends.iter().take_while(|end| is_shorter(end)).count();
    let length = length.min(LONGEST);
    let (place, code) = CODES.first[length];
    let at = usize::from(place) + ((bits >> (32 - length)) - code) as usize;
    let symbol = CODES.ordered.get(at).copied().unwrap_or(EOS);
    (symbol, length as u32)
}

/// Appends the bytes that are coded. The code that is begun at the end is padding: less than a byte, all ones.
pub(super) fn decode(mut text: &[u8], out: &mut Vec<u8>) -> Result<(), HpackError> {
    // The shortest codes have five bits.
    out.reserve(text.len() * 8 / 5);
    let (mut bits, mut have) = (0_u64, 0_u32);
    loop {
        while have < 32
            && let Some((four, rest)) = text.split_first_chunk::<4>()
        {
            bits |= u64::from(u32::from_be_bytes(*four)) << (32 - have);
            have += 32;
            text = rest;
        }
        while have <= 56
            && let Some((byte, rest)) = text.split_first()
        {
            bits |= u64::from(*byte) << (56 - have);
            have += 8;
            text = rest;
        }
        // As if ones came behind the end: what is begun there is then EOS, if it is padding.
        let beyond = if have < 32 { u32::MAX >> have } else { 0 };
        let window = (bits >> 32) as u32 | beyond;
        let (symbol, length) = symbol(window);
        if length > have {
            let is_padding = have < 8 && window == u32::MAX;
            return is_padding.then_some(()).ok_or(HpackError::Huffman);
        }
        out.push(u8::try_from(symbol).map_err(|_| HpackError::Huffman)?);
        bits <<= length;
        have -= length;
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn code(symbol: u16) -> (u32, u32) {
        let length = usize::from(LENGTHS[usize::from(symbol)]);
        let (place, first) = CODES.first[length];
        let at = CODES.ordered.iter().position(|one| *one == symbol).unwrap();
        let nth = u32::try_from(at).unwrap() - u32::from(place);
        (first + nth, u32::try_from(length).unwrap())
    }

    pub(in super::super) fn encode(text: &[u8]) -> Vec<u8> {
        let (mut out, mut bits, mut have) = (Vec::new(), 0_u64, 0);
        for byte in text {
            let (code, length) = code(u16::from(*byte));
            bits = bits << length | u64::from(code);
            have += length;
            while have >= 8 {
                out.push((bits >> (have - 8)) as u8);
                have -= 8;
            }
        }
        if have > 0 {
            let spare = 8 - have;
            out.push((bits << spare) as u8 | ((1 << spare) - 1));
        }
        out
    }

    fn decoded(text: &[u8]) -> Result<Vec<u8>, HpackError> {
        let mut out = Vec::new();
        decode(text, &mut out).map(|()| out)
    }

    /// Some of RFC 7541, appendix B.
    #[test]
    fn codes_are_those_of_the_specification() {
        for (symbol, wanted) in [
            (u16::from(b'0'), (0x0, 5)),
            (u16::from(b'a'), (0x3, 5)),
            (u16::from(b'z'), (0x7b, 7)),
            (u16::from(b'&'), (0xf8, 8)),
            (u16::from(b'!'), (0x3f8, 10)),
            (u16::from(b'\\'), (0x7fff0, 19)),
            (0, (0x1ff8, 13)),
            (128, (0xfffe6, 20)),
            (255, (0x03ff_ffee, 26)),
            (13, (0x3fff_fffd, 30)),
            (EOS, (0x3fff_ffff, 30)),
        ] {
            assert_eq!(code(symbol), wanted, "{symbol}");
        }
    }

    #[test]
    fn padding_is_less_than_a_byte_of_ones() {
        assert_eq!(decoded(b""), Ok(vec![]));
        // `0` is 00000.
        assert_eq!(decoded(&[0b0000_0111]), Ok(b"0".to_vec()));
        assert_eq!(decoded(&[0b0000_0110]), Err(HpackError::Huffman));
        assert_eq!(decoded(&[0b0000_0000]), Err(HpackError::Huffman));
        assert_eq!(decoded(&[0b0000_0111, 0xff]), Err(HpackError::Huffman));
        assert_eq!(decoded(&[0xff]), Err(HpackError::Huffman));
        assert_eq!(decoded(&[0xff; 4]), Err(HpackError::Huffman), "EOS");
        assert_eq!(decoded(&[0xff; 9]), Err(HpackError::Huffman));
    }

    #[test]
    fn every_byte_is_read_beside_every_other() {
        for one in 0..=u8::MAX {
            for other in 0..=u8::MAX {
                assert_eq!(decoded(&encode(&[one, other])), Ok(vec![one, other]));
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_coded_is_read(text in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert_eq!(decoded(&encode(&text)), Ok(text));
        }

        #[test]
        fn what_is_read_is_coded_so(text in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(read) = decoded(&text) {
                prop_assert_eq!(encode(&read), text);
            }
        }
    }
}
