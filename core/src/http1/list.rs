//! Comma-separated lists in field values (RFC 9110, section 5.6.1). Owns no field's meaning.

use super::token::trim_ows;

/// The members of a list, without the spaces around them; empty members are left out, as section
/// 5.6.1.2 has it. Commas in quoted strings are not known here: no list that we read may hold them.
pub(super) fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|&byte| byte == b',')
        .map(trim_ows)
        .filter(|member| !member.is_empty())
}

/// Whether a member equals `name`, case aside.
pub(super) fn has(value: &[u8], name: &[u8]) -> bool {
    members(value).any(|member| member.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_trimmed_and_never_empty() {
        let found: Vec<&[u8]> = members(b", a ,,b\t, C").collect();
        assert_eq!(found, [b"a", b"b", b"C"]);
        assert!(has(b"x, Close", b"close"));
        assert!(!has(b"closed", b"close"));
    }
}
