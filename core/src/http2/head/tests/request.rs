//! What comes from clients.

use proptest::prelude::*;

use super::*;
use crate::grpc::Carriage;
use crate::http1::{Framing, Limits, Parse, RequestHead, conclude_request, parse_request};

const GET: [(&str, &str); 4] = [
    (":method", "GET"),
    (":scheme", "http"),
    (":authority", "a.example"),
    (":path", "/p?q=1"),
];
fn request_by(
    reader: &mut RequestReader,
    fields: &Fields<'_>,
    is_whole: bool,
) -> Result<(String, RequestFacts), HeadError> {
    let mut out = BEFORE.to_vec();
    reader.begin(LIMITS, &out);
    for (name, value) in fields {
        reader.field(name.as_bytes(), value.as_bytes(), &mut out);
    }
    let facts = reader.finish(is_whole, || "a2V5".into(), &mut out);
    let text = text(&out);
    assert!(facts.is_ok() || text.is_empty(), "{text}");
    if facts.is_ok_and(|facts| facts.refusal.is_none()) {
        fields_stand_where_they_are_said_to(reader, &text);
    }
    facts.map(|facts| (text, facts))
}

/// Whoever reads a head by its fields' places finds the same as who parses it.
fn fields_stand_where_they_are_said_to(reader: &mut RequestReader, text: &str) {
    let (mut parsed, mut noted) = (RequestHead::default(), RequestHead::default());
    reader.swap_fields(&mut noted.fields);
    let limits = Limits::default();
    let concluded = conclude_request(text.as_bytes(), &limits, &mut noted);
    match parse_request(text.as_bytes(), &limits, &mut parsed) {
        Ok(whole) => {
            assert_eq!(whole, Parse::Complete, "{text}");
            assert_eq!(concluded, Ok(()), "{text}");
            assert_eq!(format!("{noted:?}"), format!("{parsed:?}"), "{text}");
        }
        Err(error) => assert_eq!(concluded, Err(error), "{text}"),
    }
}

fn request(fields: &Fields<'_>, is_whole: bool) -> Result<(String, RequestFacts), HeadError> {
    request_by(&mut RequestReader::default(), fields, is_whole)
}

/// A good request with these behind it.
fn with(fields: &Fields<'_>) -> Result<(String, RequestFacts), HeadError> {
    request(&[&GET[..], fields].concat(), true)
}

/// A good request without one of its pseudo-fields, or with another in its place.
fn but(name: &str, value: Option<&str>) -> Result<(String, RequestFacts), HeadError> {
    let mut fields = GET.to_vec();
    match value {
        Some(value) => fields
            .iter_mut()
            .filter(|field| field.0 == name)
            .for_each(|field| field.1 = value),
        None => fields.retain(|field| field.0 != name),
    }
    request(&fields, true)
}

#[test]
fn a_request_becomes_one_of_http1() {
    let fields = [
        ("x-one", "1"),
        ("cookie", "a=1"),
        ("accept", "*/*"),
        ("cookie", "b=2"),
        ("te", "trailers"),
    ];
    let (text, facts) = with(&fields).unwrap();
    let wanted = "GET /p?q=1 HTTP/1.1\r\nhost: a.example\r\nx-one: 1\r\naccept: */*\r\nte: trailers\r\n\
                  cookie: a=1; b=2\r\n\r\n";
    assert_eq!(text, wanted);
    let plain = RequestFacts {
        method: Method::Get,
        is_tunnel: false,
        content_length: None,
        framing: Framing::None,
        grpc: None,
        refusal: None,
    };
    assert_eq!(facts, plain);
    // The order of pseudo-fields is free.
    let mut fields = GET;
    fields.reverse();
    assert_eq!(request(&fields, true), request(&GET, true));
}

#[test]
fn a_body_is_framed_by_its_length_or_in_chunks() {
    let (text, facts) = request(&GET, false).unwrap();
    assert!(
        text.ends_with("host: a.example\r\ntransfer-encoding: chunked\r\n\r\n"),
        "{text}"
    );
    assert_eq!(
        (facts.framing, facts.content_length),
        (Framing::Chunked, None)
    );
    let length = [
        &GET[..],
        &[("content-length", "7"), ("content-length", "7")],
    ]
    .concat();
    let (text, facts) = request(&length, false).unwrap();
    assert!(
        text.ends_with("host: a.example\r\ncontent-length: 7\r\n\r\n"),
        "{text}"
    );
    assert_eq!(
        (facts.framing, facts.content_length),
        (Framing::UntilClose, Some(7))
    );
    assert_eq!(request(&length, true), Err(HeadError::NoBody));
    let (_, facts) = with(&[("content-length", "0")]).unwrap();
    assert_eq!(
        (facts.framing, facts.content_length),
        (Framing::None, Some(0))
    );
}

#[test]
fn a_request_of_grpc_is_known() {
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/a.B/C"),
        ("host", "a"),
        ("content-type", "application/grpc+proto"),
    ];
    let (text, facts) = request(&fields, false).unwrap();
    assert!(
        text.starts_with("POST /a.B/C HTTP/1.1\r\nhost: a\r\ncontent-type: "),
        "{text}"
    );
    assert_eq!(facts.grpc, Some(Carriage::Plain));
    assert_eq!(
        with(&[("content-type", "application/grpc")])
            .unwrap()
            .1
            .grpc,
        None,
        "no POST"
    );
}

#[test]
fn pseudo_fields_come_first_once_and_are_those_of_requests() {
    use HeadError::{LatePseudo, MissingPseudo, RepeatedPseudo, UnknownPseudo, UnwantedPseudo};
    for (name, ..) in GET.iter().filter(|field| field.0 != ":authority") {
        assert_eq!(but(name, None), Err(MissingPseudo), "{name}");
    }
    for field in GET {
        assert_eq!(with(&[field]), Err(RepeatedPseudo), "{field:?}");
        let late = [("x-one", "1"), field];
        let rest: Vec<_> = GET
            .into_iter()
            .filter(|one| *one != field)
            .chain(late)
            .collect();
        assert!(matches!(
            request(&rest, true),
            Err(LatePseudo | MissingPseudo)
        ));
    }
    assert_eq!(with(&[("x-one", "1"), (":path", "/")]), Err(LatePseudo));
    assert_eq!(with(&[(":status", "200")]), Err(UnknownPseudo));
    assert_eq!(with(&[(":test", "1")]), Err(UnknownPseudo));
    assert_eq!(with(&[(":", "1")]), Err(UnknownPseudo));
    assert_eq!(with(&[(":protocol", "websocket")]), Err(UnwantedPseudo));
    assert_eq!(request(&[], true), Err(MissingPseudo));
}

#[test]
fn pseudo_fields_are_good_in_http1_too() {
    use HeadError::{Authority, Path, Scheme};
    for value in [
        "",
        "p",
        "*",
        "/a b",
        "/a\r\nx: y",
        "/a\0",
        "http://a/",
        "/a\t",
        " /",
    ] {
        assert_eq!(but(":path", Some(value)), Err(Path), "{value:?}");
    }
    for value in ["", "a b", "a\r\nx: y", "a\t", "\0"] {
        assert_eq!(but(":authority", Some(value)), Err(Authority), "{value:?}");
    }
    for value in ["", "G T", "GET\r\n", "GET ", "G:"] {
        assert_eq!(
            but(":method", Some(value)),
            Err(HeadError::Method),
            "{value:?}"
        );
    }
    for value in ["", "ht tp", "1http", "http:"] {
        assert_eq!(but(":scheme", Some(value)), Err(Scheme), "{value:?}");
    }
    let options = [
        (":method", "OPTIONS"),
        (":scheme", "https"),
        (":authority", "a"),
        (":path", "*"),
    ];
    let (text, facts) = request(&options, true).unwrap();
    assert_eq!(
        (text.as_str(), facts.method),
        ("OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n", Method::Options)
    );
}

#[test]
fn names_and_values_are_good_in_http1_too() {
    for name in ["", "X-One", "x one", "x\r\n", "x:", "x\0", "\u{fc}"] {
        assert_eq!(with(&[(name, "1")]), Err(HeadError::Name), "{name:?}");
    }
    for value in [
        " 1",
        "1 ",
        "\t1",
        "1\t",
        "1\r\nx: y",
        "1\n2",
        "1\r",
        "\0",
        "\x7f",
    ] {
        assert_eq!(
            with(&[("x-one", value)]),
            Err(HeadError::Value),
            "{value:?}"
        );
        assert_eq!(
            with(&[("cookie", value)]),
            Err(HeadError::Value),
            "{value:?}"
        );
    }
    assert!(with(&[("x-one", ""), ("x-two", "a\tb \u{fc}")]).is_ok());
}

#[test]
fn what_concerns_a_connection_of_http1_is_malformed() {
    for name in [
        "connection",
        "keep-alive",
        "proxy-connection",
        "transfer-encoding",
        "upgrade",
    ] {
        assert_eq!(
            with(&[(name, "close")]),
            Err(HeadError::ConnectionSpecific),
            "{name}"
        );
    }
    assert_eq!(with(&[("te", "gzip")]), Err(HeadError::Te));
    assert_eq!(with(&[("te", "trailers, gzip")]), Err(HeadError::Te));
}

#[test]
fn lengths_are_numbers_and_agree() {
    for values in [
        &["x"][..],
        &[""],
        &["-1"],
        &["1,1"],
        &["0", "1"],
        &["18446744073709551616"],
    ] {
        let fields: Vec<_> = values
            .iter()
            .map(|value| ("content-length", *value))
            .collect();
        assert_eq!(with(&fields), Err(HeadError::ContentLength), "{values:?}");
    }
}

#[test]
fn host_is_the_authority() {
    let (text, facts) = with(&[("host", "A.example")]).unwrap();
    assert_eq!((text.matches("host").count(), facts.refusal), (1, None));
    let (text, facts) = with(&[("host", "b.example")]).unwrap();
    assert_eq!(
        (text.as_str(), facts.refusal),
        ("", Some(Refusal::Authority))
    );
    assert_eq!(facts.refusal.map(Refusal::status), Some(400));
    // With none of them, or two, our parser refuses it, as it does in HTTP/1.
    let (text, _) = but(":authority", None).unwrap();
    assert_eq!(text, "GET /p?q=1 HTTP/1.1\r\n\r\n");
}

#[test]
fn a_head_beyond_its_limits_is_refused_and_read_to_its_end() {
    let large = "x".repeat(4096);
    let many = [("cookie", "a=1"); 21];
    for fields in [&[("x-large", large.as_str())][..], &many] {
        // Nothing behind the limit is looked at.
        let fields = [fields, &[("X-BAD", "1")]].concat();
        let (text, facts) = with(&fields).unwrap();
        assert_eq!((text.as_str(), facts.method), ("", Method::Get));
        assert_eq!(facts.refusal.map(Refusal::status), Some(431));
    }
    assert_eq!(with(&many[1..]).unwrap().1.refusal, None);
    let sum: usize = GET
        .iter()
        .map(|(name, value)| name.len() + value.len() + 32)
        .sum();
    let room = "x".repeat(4096 - sum - 33);
    assert_eq!(with(&[("y", &room)]).unwrap().1.refusal, None);
    let room = format!("{room}x");
    assert_eq!(
        with(&[("y", &room)]).unwrap().1.refusal,
        Some(Refusal::TooLarge)
    );
}

#[test]
fn connect_has_an_authority_alone() {
    let (text, facts) = request(&[(":method", "CONNECT"), (":authority", "a:443")], true).unwrap();
    assert_eq!(text, "CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n");
    assert_eq!((facts.method, facts.is_tunnel), (Method::Connect, false));
    assert_eq!(
        request(&[(":method", "CONNECT")], true),
        Err(HeadError::MissingPseudo)
    );
    for field in [(":path", "/"), (":scheme", "http")] {
        let fields = [(":method", "CONNECT"), (":authority", "a:443"), field];
        assert_eq!(request(&fields, true), Err(HeadError::UnwantedPseudo));
    }
}

#[test]
fn an_extended_connect_becomes_an_upgrade() {
    let mut fields = GET.to_vec();
    fields[0].1 = "CONNECT";
    fields.push((":protocol", "websocket"));
    fields.push(("content-length", "3"));
    let (text, facts) = request(&fields, false).unwrap();
    let wanted = "GET /p?q=1 HTTP/1.1\r\nhost: a.example\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                  sec-websocket-key: a2V5\r\n\r\n";
    assert_eq!(text, wanted);
    assert_eq!((facts.method, facts.is_tunnel), (Method::Connect, true));
    assert_eq!(
        (facts.framing, facts.content_length),
        (Framing::UntilClose, None)
    );
    fields.retain(|field| field.0 != ":path");
    assert_eq!(request(&fields, false), Err(HeadError::MissingPseudo));
    let mut other = GET.to_vec();
    other[0].1 = "CONNECT";
    other.push((":protocol", "other"));
    assert!(
        !request(&other, false)
            .unwrap()
            .0
            .contains("sec-websocket-key")
    );
    other.last_mut().unwrap().1 = "a b";
    assert_eq!(request(&other, false), Err(HeadError::Protocol));
}

#[test]
fn a_reader_is_used_again() {
    let mut reader = RequestReader::default();
    let large = "x".repeat(9_000);
    for bad in [
        &[("X", "1")][..],
        &[("cookie", "a=1"), ("x", &large)],
        &[("host", "b")],
        &[("te", "x")],
    ] {
        let _ = request_by(&mut reader, &[&GET[..], bad].concat(), false);
        assert_eq!(request_by(&mut reader, &GET, true), request(&GET, true));
    }
}

proptest! {
    /// Nothing that is let through says more in HTTP/1 than it did here.
    #[test]
    fn what_is_taken_says_the_same_in_http1(
        path in "[ -~]{0,20}",
        authority in "[a-z:@ ]{0,8}",
        fields in prop::collection::vec(("[a-z:_ -]{0,12}", "[\\x00-\\x7f]{0,12}"), 0..8),
    ) {
        let path = format!("/{path}");
        let mut all = vec![(":method", "GET"), (":scheme", "http"), (":authority", &authority), (":path", &path)];
        all.extend(fields.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let Ok((text, facts)) = request(&all, true) else {
            return Ok(());
        };
        prop_assert_eq!(facts.refusal, None);
        let mut head = RequestHead::default();
        if parse_request(text.as_bytes(), &Limits::default(), &mut head) == Ok(Parse::Complete) {
            prop_assert_eq!(head.len, text.len());
            prop_assert_eq!(head.target.of(text.as_bytes()), path.as_bytes());
            prop_assert_eq!(head.authority.of(text.as_bytes()), authority.as_bytes());
            prop_assert_eq!(head.fields.len(), 1 + fields.len());
        }
    }
}
