//! Cuts a file's text into documents, before anything is parsed.
//!
//! So a document that is broken leaves its neighbours readable. It is exact: at the start of a line,
//! `---` and `...` with a blank or nothing behind can't be content (YAML 1.2.2, rule c-forbidden).

/// One document's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk<'t> {
    /// The file's line (from 1) where the text begins.
    pub first_line: u32,
    pub text: &'t str,
}

/// The documents of a text, in order; those with nothing but comments are left out.
#[must_use]
pub fn split(text: &str) -> Vec<Chunk<'_>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut chunks = Vec::new();
    let mut open = Open::at(0, 1);
    let (mut offset, mut line_number) = (0, 1);
    while let Some(line) = text.get(offset..).and_then(first_line) {
        let content = line.trim_end_matches(['\n', '\r']);
        if is_marker(content, "---") && open.begun {
            chunks.extend(open.close(text, offset));
            open = Open::at(offset, line_number);
        }
        open.take(content);
        offset += line.len();
        line_number += 1;
        if is_marker(content, "...") {
            chunks.extend(open.close(text, offset));
            open = Open::at(offset, line_number);
        }
    }
    chunks.extend(open.close(text, offset));
    chunks
}

/// The text to the end of its first line, break included: `\n`, `\r\n` or (as YAML has it) `\r`.
fn first_line(text: &str) -> Option<&str> {
    let Some(end) = memchr::memchr2(b'\n', b'\r', text.as_bytes()) else {
        return (!text.is_empty()).then_some(text);
    };
    let length = if text.get(end..)?.starts_with("\r\n") {
        2
    } else {
        1
    };
    text.get(..end + length)
}

/// A document whose end isn't known yet.
struct Open {
    offset: usize,
    line: u32,
    /// A `---` or content was seen: the next `---` begins another document.
    begun: bool,
    /// Something that isn't a comment, a directive or a marker was seen.
    filled: bool,
}

impl Open {
    fn at(offset: usize, line: u32) -> Self {
        Self {
            offset,
            line,
            begun: false,
            filled: false,
        }
    }

    fn take(&mut self, content: &str) {
        let marker = is_marker(content, "---");
        let rest = if marker { &content[3..] } else { content }.trim_start();
        let empty = rest.is_empty() || rest.starts_with('#') || is_marker(content, "...");
        let directive = !self.begun && content.starts_with('%');
        self.filled |= !empty && !directive;
        self.begun |= marker || (!empty && !directive);
    }

    fn close<'t>(&self, text: &'t str, end: usize) -> Option<Chunk<'t>> {
        let chunk = Chunk {
            first_line: self.line,
            text: text.get(self.offset..end)?,
        };
        self.filled.then_some(chunk)
    }
}

fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<(u32, &str)> {
        split(text)
            .iter()
            .map(|chunk| (chunk.first_line, chunk.text))
            .collect()
    }

    #[test]
    fn documents_begin_at_their_markers() {
        assert_eq!(
            lines("a: 1\n---\nb: 2\n"),
            [(1, "a: 1\n"), (2, "---\nb: 2\n")]
        );
        assert_eq!(
            lines("---\r\na: 1\r\n---\r\nb: 2"),
            [(1, "---\r\na: 1\r\n"), (3, "---\r\nb: 2")]
        );
        assert_eq!(
            lines("--- {a: 1}\n--- # two\nb: 2\n"),
            [(1, "--- {a: 1}\n"), (2, "--- # two\nb: 2\n")]
        );
    }

    #[test]
    fn empty_documents_are_left_out() {
        assert_eq!(lines(""), []);
        assert_eq!(lines("# only a comment\n---\n\n---\n"), []);
        assert_eq!(lines("---\n---\na: 1\n---\n"), [(2, "---\na: 1\n")]);
        assert_eq!(lines("\u{feff}a: 1"), [(1, "a: 1")]);
    }

    #[test]
    fn comments_and_directives_stay_with_what_follows() {
        assert_eq!(
            lines("# c\n%YAML 1.2\n---\na: 1\n"),
            [(1, "# c\n%YAML 1.2\n---\na: 1\n")]
        );
        assert_eq!(
            lines("a: 1\n...\n%YAML 1.2\n---\nb: 2\n"),
            [(1, "a: 1\n...\n"), (3, "%YAML 1.2\n---\nb: 2\n")]
        );
    }

    #[test]
    fn every_break_of_yaml_ends_a_line() {
        assert_eq!(lines("a: 1\r---\rb: 2"), [(1, "a: 1\r"), (2, "---\rb: 2")]);
        assert_eq!(
            lines("a: 1\n\r---\nb: 2"),
            [(1, "a: 1\n\r"), (3, "---\nb: 2")]
        );
    }

    #[test]
    fn markers_within_a_line_or_indented_are_content() {
        assert_eq!(
            lines("a: |\n  ---\n  x\n----\n"),
            [(1, "a: |\n  ---\n  x\n----\n")]
        );
    }
}
