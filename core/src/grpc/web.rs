//! gRPC-Web (PROTOCOL-WEB.md): what browsers speak, for they can't read trailers. Bodies are recoded as they
//! come; whoever carries them owns their framing.

use crate::limits;

/// What becomes of the bytes of a body.
#[derive(Clone, Debug)]
pub enum Recode {
    /// Of a request in base64: what it stands for.
    FromText(Base64),
    /// Of a response: trailers become a last frame, and all of it base64 if `as_text`.
    ToWeb { as_text: bool },
}

/// A body that isn't what its content type says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body of gRPC-Web is not base64")]
pub struct NotBase64;

/// A frame with trailers, in place of a message (gRPC-Web, "Message framing").
const TRAILERS: u8 = 0x80;

impl Recode {
    /// Takes the next bytes of a body.
    ///
    /// # Errors
    /// When they are no base64.
    pub fn bytes(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), NotBase64> {
        match self {
            Self::FromText(base64) => return base64.decode(input, out),
            Self::ToWeb { as_text: false } => out.extend_from_slice(input),
            Self::ToWeb { as_text: true } => encode(input, out),
        }
        Ok(())
    }

    /// At a body's end; `trailers` are field lines. Without any, the status stands in the head.
    ///
    /// # Errors
    /// When base64 ends within a group of four.
    pub fn end(&mut self, trailers: &[u8], out: &mut Vec<u8>) -> Result<(), NotBase64> {
        match self {
            Self::FromText(base64) => base64.end(),
            Self::ToWeb { .. } if trailers.is_empty() => Ok(()),
            Self::ToWeb { .. } => {
                let mut frame = vec![TRAILERS];
                // Bounded by `limits::TRAILER_BYTES`.
                let length = u32::try_from(trailers.len()).unwrap_or(limits::TRAILER_BYTES);
                frame.extend_from_slice(&length.to_be_bytes());
                for line in trailers.split_inclusive(|byte| *byte == b'\n') {
                    let name = line.iter().position(|byte| *byte == b':').unwrap_or(0);
                    let (name, rest) = line.split_at(name);
                    frame.extend(name.iter().map(u8::to_ascii_lowercase));
                    frame.extend_from_slice(rest);
                }
                self.bytes(&frame, out)
            }
        }
    }
}

/// Base64 (RFC 4648, section 4) that comes in pieces. Padding may stand anywhere, for senders pad whenever
/// they flush.
#[derive(Clone, Debug, Default)]
pub struct Base64 {
    /// Of a group that isn't whole: its bits, and how many characters and `=` they came from.
    bits: u32,
    characters: u8,
    padding: u8,
}

impl Base64 {
    fn decode(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), NotBase64> {
        for byte in input {
            if *byte == b'=' {
                self.padding += 1;
            } else if self.padding > 0 {
                return Err(NotBase64);
            }
            self.bits = (self.bits << 6) | value(*byte).ok_or(NotBase64)?;
            self.characters += 1;
            if self.characters == 4 {
                self.group(out)?;
            }
        }
        Ok(())
    }

    fn group(&mut self, out: &mut Vec<u8>) -> Result<(), NotBase64> {
        let [_, bytes @ ..] = self.bits.to_be_bytes();
        let count = 3_usize.saturating_sub(self.padding.into());
        let unused = bytes.get(count..).unwrap_or_default();
        if count == 0 || unused.iter().any(|byte| *byte != 0) {
            return Err(NotBase64);
        }
        out.extend(bytes.iter().take(count));
        *self = Self::default();
        Ok(())
    }

    fn end(&self) -> Result<(), NotBase64> {
        match self.characters {
            0 => Ok(()),
            _ => Err(NotBase64),
        }
    }
}

/// The six bits of a character; none of padding.
fn value(byte: u8) -> Option<u32> {
    let value = match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        b'=' => 0,
        _ => return None,
    };
    Some(value.into())
}

/// Whole groups, padded, so that the receiver can read what there is.
fn encode(input: &[u8], out: &mut Vec<u8>) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for group in input.chunks(3) {
        let byte = |place: usize| u32::from(group.get(place).copied().unwrap_or(0));
        let bits = (byte(0) << 16) | (byte(1) << 8) | byte(2);
        for place in 0..4 {
            let index = (bits >> (18 - 6 * place)) & 63;
            let character = ALPHABET.get(index as usize).copied();
            let is_padding = place as usize > group.len();
            out.push(character.filter(|_| !is_padding).unwrap_or(b'='));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decoded(text: &[u8]) -> Result<Vec<u8>, NotBase64> {
        let mut out = Vec::new();
        let mut recode = Recode::FromText(Base64::default());
        recode.bytes(text, &mut out)?;
        recode.end(b"", &mut out)?;
        Ok(out)
    }

    #[test]
    fn base64_is_that_of_rfc_4648() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            let mut out = Vec::new();
            encode(bytes.as_bytes(), &mut out);
            assert_eq!(out, text.as_bytes());
            assert_eq!(decoded(text.as_bytes()).unwrap(), bytes.as_bytes());
        }
        assert_eq!(decoded(b"Zg==Zm8=").unwrap(), b"ffo", "padding within");
        for wrong in [
            "Zg",
            "Zg=",
            "Zg=a",
            "Z===",
            "====",
            "Zm9\n",
            "Zh==",
            "Zm9v Zm9v",
        ] {
            assert_eq!(decoded(wrong.as_bytes()), Err(NotBase64), "{wrong:?}");
        }
    }

    #[test]
    fn trailers_are_the_last_frame() {
        let mut out = Vec::new();
        let mut recode = Recode::ToWeb { as_text: false };
        recode.bytes(b"\0\0\0\0\x02hi", &mut out).unwrap();
        recode
            .end(b"Grpc-Status: 0\r\ngrpc-message: A\r\n", &mut out)
            .unwrap();
        assert_eq!(
            out,
            b"\0\0\0\0\x02hi\x80\0\0\0\x21grpc-status: 0\r\ngrpc-message: A\r\n"
        );
        let mut none = Vec::new();
        recode.end(b"", &mut none).unwrap();
        assert_eq!(none, b"");
    }

    proptest! {
        /// However a body is cut, text stands for the same bytes.
        #[test]
        fn text_of_any_pieces_comes_back(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..9), cut in 1usize..7) {
            let mut text = Vec::new();
            let mut to = Recode::ToWeb { as_text: true };
            for piece in &pieces {
                to.bytes(piece, &mut text).unwrap();
            }
            let mut out = Vec::new();
            let mut from = Recode::FromText(Base64::default());
            for piece in text.chunks(cut) {
                from.bytes(piece, &mut out).unwrap();
            }
            from.end(b"", &mut out).unwrap();
            prop_assert_eq!(out, pieces.concat());
        }

        #[test]
        fn any_text_is_decoded_or_refused(text in prop::collection::vec(any::<u8>(), 0..50)) {
            let _ = decoded(&text);
        }
    }
}
