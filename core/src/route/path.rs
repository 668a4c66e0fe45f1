//! A request's path in its one normal form: decided once, routed and forwarded alike.
//!
//! RFC 3986, section 6.2.2: unreserved characters are decoded, hex digits are upper case, dot segments
//! are removed. What two servers might read in two ways is refused: an encoded slash or backslash,
//! a backslash, NUL. Repeated slashes stay, for RFC 3986 holds such paths to differ.

use std::borrow::Cow;

use thiserror::Error;

/// Why a path is refused with 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PathError {
    #[error("the path doesn't begin with a slash")]
    Relative,
    #[error("the path has an encoded slash, or a backslash")]
    EncodedSeparator,
    #[error("the path has a percent sign without two hexadecimal digits behind it")]
    BadEscape,
    #[error("the path has a control character, or one outside of ASCII")]
    BadByte,
}

/// Brings a path (without query) to its normal form; borrowed where it has it already.
///
/// # Errors
/// [`PathError`], for a path that servers read differently.
pub fn normalize(path: &[u8]) -> Result<Cow<'_, str>, PathError> {
    if path.first() != Some(&b'/') {
        return Err(PathError::Relative);
    }
    let mut rewrite = false;
    let mut previous = 0;
    for &byte in path {
        match byte {
            b'%' => rewrite = true,
            b'.' if previous == b'/' => rewrite = true,
            b'\\' => return Err(PathError::EncodedSeparator),
            0x21..=0x7e => {}
            _ => return Err(PathError::BadByte),
        }
        previous = byte;
    }
    if rewrite {
        let decoded = decode_unreserved(path)?;
        return Ok(Cow::Owned(remove_dot_segments(&decoded)));
    }
    std::str::from_utf8(path)
        .map(Cow::Borrowed)
        .map_err(|_| PathError::BadByte)
}

fn decode_unreserved(path: &[u8]) -> Result<String, PathError> {
    let mut out = String::with_capacity(path.len());
    let mut bytes = path.iter();
    while let Some(&byte) = bytes.next() {
        if byte != b'%' {
            out.push(char::from(byte));
            continue;
        }
        let (Some(high), Some(low)) = (
            bytes.next().and_then(hex_digit),
            bytes.next().and_then(hex_digit),
        ) else {
            return Err(PathError::BadEscape);
        };
        match high << 4 | low {
            b'/' | b'\\' => return Err(PathError::EncodedSeparator),
            0 => return Err(PathError::BadByte),
            plain if plain.is_ascii_alphanumeric() || b"-._~".contains(&plain) => {
                out.push(char::from(plain));
            }
            _ => {
                out.push('%');
                out.push(upper_hex(high));
                out.push(upper_hex(low));
            }
        }
    }
    Ok(out)
}

fn hex_digit(byte: &u8) -> Option<u8> {
    char::from(*byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

fn upper_hex(digit: u8) -> char {
    char::from_digit(digit.into(), 16)
        .unwrap_or('0')
        .to_ascii_uppercase()
}

/// RFC 3986, section 5.2.4. A path can't climb above its root.
fn remove_dot_segments(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    out.truncate(out.rfind('/').unwrap_or(0));
                }
                if last {
                    out.push('/');
                }
            }
            _ => {
                out.push('/');
                out.push_str(segment);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_brought_to_one_form() {
        for (path, normal) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a.b/c..d/...", "/a.b/c..d/..."),
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/../../b", "/b"),
            ("/a/%2e%2E/b", "/b"),
            ("/a/.", "/a/"),
            ("/a/b/..", "/a/"),
            ("/..", "/"),
            ("/%61%7e", "/a~"),
            ("/%c3%a4%20", "/%C3%A4%20"),
            ("//a//b", "//a//b"),
            ("/a//../b", "/a/b"),
        ] {
            assert_eq!(normalize(path.as_bytes()).as_deref(), Ok(normal), "{path}");
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for (path, error) in [
            ("", PathError::Relative),
            ("a", PathError::Relative),
            ("/a%2fb", PathError::EncodedSeparator),
            ("/a%2Fb", PathError::EncodedSeparator),
            ("/a%5Cb", PathError::EncodedSeparator),
            ("/a\\b", PathError::EncodedSeparator),
            ("/a%00", PathError::BadByte),
            ("/a\0", PathError::BadByte),
            ("/a b", PathError::BadByte),
            ("/ä", PathError::BadByte),
            ("/a%", PathError::BadEscape),
            ("/a%2", PathError::BadEscape),
            ("/a%zz", PathError::BadEscape),
        ] {
            assert_eq!(normalize(path.as_bytes()), Err(error), "{path}");
        }
    }

    proptest::proptest! {
        #[test]
        fn the_normal_form_is_normal(path in "/[a-c./%2eE5]{0,30}") {
            if let Ok(once) = normalize(path.as_bytes()) {
                let twice = normalize(once.as_bytes());
                proptest::prop_assert_eq!(twice.as_deref(), Ok(once.as_ref()));
                proptest::prop_assert!(!once.split('/').any(|one| one == "." || one == ".."));
            }
        }
    }
}
