//! Plain scalars: what the YAML 1.2 core schema takes them for (section 10.3.2).

use super::Scalar;

/// What a scalar stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Resolved {
    Null,
    Bool(bool),
    Int(i64),
    /// Too large for i64.
    BigInt(u64),
    Float(f64),
    Text,
}

impl Scalar {
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.resolve() == Resolved::Null
    }

    pub(super) fn resolve(&self) -> Resolved {
        if !self.plain {
            return Resolved::Text;
        }
        match &*self.text {
            "" | "~" | "null" | "Null" | "NULL" => Resolved::Null,
            "true" | "True" | "TRUE" => Resolved::Bool(true),
            "false" | "False" | "FALSE" => Resolved::Bool(false),
            text => number(text),
        }
    }

    /// Whether a reader of YAML 1.1 (kubectl is one) takes this plain text for a boolean or number.
    pub(super) fn is_doubtful(&self) -> bool {
        self.plain && (old_boolean(&self.text).is_some() || old_number(&self.text))
    }
}

/// The booleans that YAML 1.1 had beside `true` and `false`.
pub(super) fn old_boolean(text: &str) -> Option<bool> {
    match text {
        "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some(true),
        "no" | "No" | "NO" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}

/// `1_000`, `0b101`
fn old_number(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let first = digits.bytes().next().is_some_and(|b| b.is_ascii_digit());
    let body = digits.strip_prefix("0b").unwrap_or(digits);
    first && !body.is_empty() && body.bytes().all(|b| b.is_ascii_digit() || b == b'_')
}

fn number(text: &str) -> Resolved {
    if !text.starts_with([
        '-', '+', '.', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9',
    ]) {
        return Resolved::Text;
    }
    if let Some(octal) = text.strip_prefix("0o") {
        return radix(octal, 8);
    }
    if let Some(hex) = text.strip_prefix("0x") {
        return radix(hex, 16);
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        return decimal(text);
    }
    float(text)
}

fn radix(digits: &str, radix: u32) -> Resolved {
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return Resolved::Text;
    }
    match u64::from_str_radix(digits, radix) {
        Ok(number) => i64::try_from(number).map_or(Resolved::BigInt(number), Resolved::Int),
        Err(_) => Resolved::Float(f64::INFINITY),
    }
}

fn decimal(text: &str) -> Resolved {
    if let Ok(number) = text.parse() {
        return Resolved::Int(number);
    }
    match text.parse() {
        Ok(number) => Resolved::BigInt(number),
        Err(_) => float(text),
    }
}

fn float(text: &str) -> Resolved {
    let body = text.strip_prefix(['-', '+']).unwrap_or(text);
    match body {
        ".inf" | ".Inf" | ".INF" if text.starts_with('-') => Resolved::Float(f64::NEG_INFINITY),
        ".inf" | ".Inf" | ".INF" => Resolved::Float(f64::INFINITY),
        _ if matches!(text, ".nan" | ".NaN" | ".NAN") => Resolved::Float(f64::NAN),
        _ if is_float(body) => text.parse().map_or(Resolved::Text, Resolved::Float),
        _ => Resolved::Text,
    }
}

/// `( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`
fn is_float(body: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let (mantissa, exponent) = match body.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (body, None),
    };
    let exponent_holds = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    exponent_holds
        && digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> Scalar {
        Scalar {
            text: text.into(),
            plain: true,
        }
    }

    #[test]
    fn plain_scalars_are_what_the_core_schema_says() {
        for (text, expected) in [
            ("", Resolved::Null),
            ("~", Resolved::Null),
            ("null", Resolved::Null),
            ("nul", Resolved::Text),
            ("True", Resolved::Bool(true)),
            ("tRUE", Resolved::Text),
            ("yes", Resolved::Text),
            ("12", Resolved::Int(12)),
            ("-12", Resolved::Int(-12)),
            ("+12", Resolved::Int(12)),
            ("0x1f", Resolved::Int(31)),
            ("0o17", Resolved::Int(15)),
            ("0x", Resolved::Text),
            ("0xg", Resolved::Text),
            ("18446744073709551615", Resolved::BigInt(u64::MAX)),
            (
                "18446744073709551616",
                Resolved::Float(18_446_744_073_709_552_000.0),
            ),
            ("1.0", Resolved::Float(1.0)),
            ("1e3", Resolved::Float(1000.0)),
            (".5", Resolved::Float(0.5)),
            ("5.", Resolved::Float(5.0)),
            (".inf", Resolved::Float(f64::INFINITY)),
            ("-.inf", Resolved::Float(f64::NEG_INFINITY)),
            (".", Resolved::Text),
            ("-", Resolved::Text),
            ("1.2.3", Resolved::Text),
            ("10.0.0.0/8", Resolved::Text),
            ("1e", Resolved::Text),
            ("10s", Resolved::Text),
            ("1_000", Resolved::Text),
        ] {
            assert_eq!(plain(text).resolve(), expected, "{text}");
        }
    }

    #[test]
    fn what_yaml_1_1_reads_otherwise_is_doubtful() {
        for text in ["yes", "Off", "1_000", "0b11"] {
            assert!(plain(text).is_doubtful(), "{text}");
        }
        for text in ["yess", "y", "a_b", "10s", "v1"] {
            assert!(!plain(text).is_doubtful(), "{text}");
        }
    }
}
