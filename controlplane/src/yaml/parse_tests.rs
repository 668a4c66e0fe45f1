//! Text to nodes, by tables.

use super::*;

fn error(text: &str) -> (u32, u32, String) {
    let parsed = parse(text);
    let finding = &parsed.findings[0];
    (
        finding.position.line,
        finding.position.column,
        finding.message.clone(),
    )
}

#[test]
fn nodes_know_their_places() {
    let root = parse("---\na: 'x'\nb:\n  - 1\n  - {c: d}\n").root.unwrap();
    let at = |line, column| Position { line, column };
    assert_eq!(root.position, at(2, 1));
    assert_eq!(root.get("a").unwrap().position, at(2, 4));
    let Value::Sequence(items) = &root.get("b").unwrap().value else {
        panic!("b is a list");
    };
    assert_eq!(items[0].position, at(4, 5));
    assert_eq!(items[1].get("c").unwrap().position, at(5, 9));
}

#[test]
fn quotes_tags_and_blocks_decide_what_is_text() {
    let root = parse("a: 1\nb: '1'\nc: !!str 1\nd: |\n  1\ne: !!int 1\nf: ! 1\ng:\n")
        .root
        .unwrap();
    let plain = |key: &str| match &root.get(key).unwrap().value {
        Value::Scalar(scalar) => scalar.plain,
        _ => panic!("{key} is a scalar"),
    };
    for (key, expected) in [
        ("a", true),
        ("b", false),
        ("c", false),
        ("d", false),
        ("e", true),
        ("f", false),
    ] {
        assert_eq!(plain(key), expected, "{key}");
    }
    assert!(root.get("g").unwrap().is_null());
}

#[test]
fn aliases_and_merge_keys_are_expanded() {
    let text =
        "base: &b {x: 1, y: 2}\nsame: *b\nmore:\n  <<: *b\n  y: 3\nlist:\n  <<: [*b, {z: 4}]\n";
    let root = parse(text).root.unwrap();
    assert_eq!(root.get("same").unwrap().text_of("x"), Some("1"));
    let more = root.get("more").unwrap();
    assert_eq!(
        (more.text_of("x"), more.text_of("y")),
        (Some("1"), Some("3"))
    );
    assert_eq!(root.get("list").unwrap().text_of("z"), Some("4"));
}

#[test]
fn duplicate_keys_are_told_and_the_first_stays() {
    let parsed = parse("a: 1\nb: 2\na: 3\n");
    assert_eq!(parsed.root.unwrap().text_of("a"), Some("1"));
    assert_eq!(parsed.findings.len(), 1);
    assert_eq!(
        (
            parsed.findings[0].position.line,
            parsed.findings[0].position.column
        ),
        (3, 1)
    );
    assert!(parsed.findings[0].message.contains("line 1"));
}

#[test]
fn what_is_no_yaml_is_told_with_its_place() {
    assert_eq!(error("a: b: c\n").0, 1);
    assert_eq!(error("a: [1, 2\nb: 3\n").0, 2);
    let parsed = parse("a:\n\tb: 1\n");
    assert!(parsed.root.is_none());
    assert!(
        parsed.findings[0]
            .remedy
            .as_ref()
            .unwrap()
            .contains("blanks")
    );
}

#[test]
fn tags_and_keys_that_have_no_meaning_are_refused() {
    assert_eq!(
        error("a: !foo 1\n"),
        (1, 4, "tag `!foo` is not known here".into())
    );
    assert_eq!(error("? [a]\n: 1\n").2, "a key must be a plain text");
    assert_eq!(
        error("a: 1\n<<: 2\n"),
        (2, 1, "`<<` takes a mapping or a list of mappings".into())
    );
    assert!(parse("a: *b\n").root.is_none());
    assert!(parse("a: &a [*a]\n").root.is_none());
}

#[test]
fn billion_laughs_end_at_the_limit() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..20 {
        let before = format!("*a{}, ", level - 1).repeat(10);
        text += &format!("a{level}: &a{level} [{before}]\n");
    }
    assert_eq!(error(&text).2, "too large, aliases expanded");

    let mut merged = String::from("a0: &a0 {x: 1}\n");
    for level in 1..100 {
        let before = level - 1;
        merged += &format!("a{level}: &a{level} {{k{level}: *a{before}, <<: *a{before}}}\n");
    }
    assert_eq!(error(&merged).2, "too large, aliases expanded");
}

#[test]
fn long_text_behind_aliases_counts_too() {
    let long = "x".repeat(1 << 20);
    let text = format!("a: &a {long}\nb: [{}]\n", "*a, ".repeat(1000));
    assert_eq!(error(&text).2, "too large, aliases expanded");
}

#[test]
fn depth_ends_at_the_limit_in_every_way() {
    let deep = limits::DOCUMENT_DEPTH;
    assert!(
        parse(&("[".repeat(deep - 1) + &"]".repeat(deep - 1)))
            .root
            .is_some()
    );
    for text in [
        "[".repeat(deep + 1),
        "- ".repeat(100_000),
        "a: ".repeat(2),
        "? ".repeat(100_000),
        "[".repeat(100_000),
        "{a: ".repeat(100_000),
    ] {
        assert!(parse(&text).root.is_none(), "{}", &text[..6]);
    }
    let mut chained = String::from("a0: &a0 [x]\n");
    for level in 1..=deep {
        chained += &format!("a{level}: &a{level} [*a{}]\n", level - 1);
    }
    assert_eq!(
        error(&chained).2,
        format!("nested deeper than {deep} levels")
    );
}
