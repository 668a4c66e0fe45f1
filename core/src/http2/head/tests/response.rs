//! What comes from backends.

use super::*;
use crate::http1::Framing;

fn response(
    fields: &Fields<'_>,
    is_whole: bool,
    method: Method,
) -> Result<(String, ResponseFacts), HeadError> {
    let mut out = BEFORE.to_vec();
    let mut reader = ResponseReader::default();
    reader.begin(LIMITS, &out);
    for (name, value) in fields {
        reader.field(name.as_bytes(), value.as_bytes(), &mut out);
    }
    let facts = reader.finish(is_whole, method, &mut out);
    let text = text(&out);
    assert!(facts.is_ok() || text.is_empty(), "{text}");
    facts.map(|facts| (text, facts))
}

#[test]
fn a_response_becomes_one_of_http1() {
    let length = ("content-length", "3");
    for (status, length, is_whole, method, framing, end) in [
        (
            "200",
            None,
            false,
            Method::Get,
            Framing::Chunked,
            "transfer-encoding: chunked\r\n",
        ),
        (
            "200",
            None,
            true,
            Method::Get,
            Framing::Length(0),
            "content-length: 0\r\n",
        ),
        (
            "200",
            Some(length),
            false,
            Method::Get,
            Framing::UntilClose,
            "content-length: 3\r\n",
        ),
        (
            "200",
            Some(length),
            true,
            Method::Head,
            Framing::None,
            "content-length: 3\r\n",
        ),
        ("200", None, true, Method::Head, Framing::None, ""),
        (
            "304",
            Some(length),
            true,
            Method::Get,
            Framing::None,
            "content-length: 3\r\n",
        ),
        ("204", None, true, Method::Get, Framing::None, ""),
        ("103", None, false, Method::Get, Framing::None, ""),
    ] {
        let fields: Vec<_> = [(":status", status), ("x-one", "1")]
            .into_iter()
            .chain(length)
            .collect();
        let (text, facts) = response(&fields, is_whole, method).unwrap();
        let line = text.lines().next().unwrap();
        assert!(line.starts_with(&format!("HTTP/1.1 {status} ")), "{text}");
        assert_eq!(text, format!("{line}\r\nx-one: 1\r\n{end}\r\n"), "{status}");
        assert_eq!(
            (facts.framing, facts.is_interim),
            (framing, status == "103")
        );
    }
    let (text, facts) = response(&[(":status", "101")], false, Method::Get).unwrap();
    assert_eq!((text.as_str(), facts.is_interim), ("", true));
}

#[test]
fn a_malformed_response_is_an_error() {
    use HeadError::{
        ContentLength, LastInterim, MissingPseudo, NoBody, RepeatedPseudo, Status, UnknownPseudo,
    };
    let (status, large) = ((":status", "200"), "x".repeat(4096));
    for (fields, error) in [
        (&[][..], MissingPseudo),
        (&[("x", "1"), status], MissingPseudo),
        (&[status, status], RepeatedPseudo),
        (&[status, (":path", "/")], UnknownPseudo),
        (&[(":status", "99")], Status),
        (&[(":status", "099")], Status),
        (&[(":status", "2000")], Status),
        (&[(":status", "20x")], Status),
        (&[(":status", "100")], LastInterim),
        (&[status, ("content-length", "1")], NoBody),
        (&[status, ("content-length", "a")], ContentLength),
        (
            &[status, ("content-length", "1"), ("content-length", "2")],
            ContentLength,
        ),
        (&[status, ("X", "1")], HeadError::Name),
        (&[status, ("x", "1\n")], HeadError::Value),
        (
            &[status, ("connection", "close")],
            HeadError::ConnectionSpecific,
        ),
        (&[status, ("x", &large)], HeadError::TooLarge),
    ] {
        assert_eq!(
            response(fields, true, Method::Get),
            Err(error),
            "{fields:?}"
        );
    }
}

fn trailers(fields: &Fields<'_>) -> Result<String, HeadError> {
    let mut out = BEFORE.to_vec();
    let mut reader = TrailersReader::default();
    reader.begin(LIMITS, &out);
    for (name, value) in fields {
        reader.field(name.as_bytes(), value.as_bytes(), &mut out);
    }
    let finished = reader.finish(&mut out);
    assert!(finished.is_ok() || out == BEFORE);
    finished.map(|()| text(&out))
}

#[test]
fn trailers_become_field_lines() {
    let good = [("grpc-status", "0"), ("x-sum", "7")];
    assert_eq!(trailers(&good).unwrap(), "grpc-status: 0\r\nx-sum: 7\r\n");
    for (field, error) in [
        ((":status", "200"), HeadError::LatePseudo),
        ((":path", "/"), HeadError::LatePseudo),
        (("X", "1"), HeadError::Name),
        (("x", "1\r\ny: 2"), HeadError::Value),
        (
            ("transfer-encoding", "chunked"),
            HeadError::ConnectionSpecific,
        ),
    ] {
        assert_eq!(trailers(&[good[0], field]), Err(error), "{field:?}");
    }
    assert_eq!(trailers(&[("x", "1"); 21]), Err(HeadError::TooLarge));
}
