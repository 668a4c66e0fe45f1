//! Heads of either direction, by the rules of RFC 9113, section 8, and against our parsers of HTTP/1.

use proptest::prelude::*;

use super::*;
use crate::http1::Method;

mod outgoing;
mod request;
mod response;

const LIMITS: HeadLimits = HeadLimits {
    list_bytes: 4096,
    fields: 20,
};
/// What a test's text stands behind.
const BEFORE: &[u8] = b"before";

type Fields<'f> = [(&'f str, &'f str)];

fn text(out: &[u8]) -> String {
    let text = out.strip_prefix(BEFORE).unwrap();
    String::from_utf8(text.to_vec()).unwrap()
}

proptest! {
    /// Any fields at all: it never panics, and nothing but whole lines is written.
    #[test]
    fn any_fields_are_taken_or_refused(
        fields in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..8), prop::collection::vec(any::<u8>(), 0..8)), 0..8),
        is_whole: bool,
    ) {
        let (mut request, mut response, mut trailers) =
            (RequestReader::default(), ResponseReader::default(), TrailersReader::default());
        let mut outs = [const { Vec::new() }; 3];
        let [one, two, three] = &mut outs;
        request.begin(LIMITS, one);
        response.begin(LIMITS, two);
        trailers.begin(LIMITS, three);
        for (name, value) in &fields {
            request.field(name, value, one);
            response.field(name, value, two);
            trailers.field(name, value, three);
        }
        let _ = request.finish(is_whole, String::new, one);
        let _ = response.finish(is_whole, Method::Get, two);
        let _ = trailers.finish(three);
        for out in outs {
            prop_assert!(out.is_empty() || out.ends_with(b"\r\n"));
        }
    }
}
