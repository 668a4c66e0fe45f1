//! The built-in echo backend (`--echo`): answers with what a backend would have received.

use std::sync::Arc;

use ringgate_core::http1::{Limits, Parse, RequestHead, parse_request};
use serde_json::{Map, Value, json};

use crate::downstream::reply::Reply;

/// A JSON object with method, path, headers, the Service's name, and the body's length if there is one. `head` is the request's
/// head as it would have been sent on.
pub(crate) fn reply(service: &Arc<str>, head: &[u8], body_bytes: u64) -> Reply {
    let mut parsed = RequestHead::default();
    let limits = Limits {
        request_line_bytes: 60 << 10,
        header_bytes: 60 << 10,
        header_fields: 1024,
    };
    let is_whole = matches!(
        parse_request(head, &limits, &mut parsed),
        Ok(Parse::Complete)
    );
    let text = |bytes: &[u8]| Value::from(String::from_utf8_lossy(bytes));
    let mut headers: Map<String, Value> = Map::new();
    for field in parsed.fields.iter().filter(|_| is_whole) {
        let name = String::from_utf8_lossy(field.name.of(head)).to_lowercase();
        let values = headers
            .entry(name)
            .or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(values) = values {
            values.push(text(field.value.of(head)));
        }
    }
    let mut body = json!({
        "service": &**service,
        "method": text(parsed.method_text.of(head)),
        "path": text(parsed.target.of(head)),
        "host": text(parsed.authority.of(head)),
        "headers": headers,
    });
    if body_bytes > 0 {
        body["body_bytes"] = body_bytes.into();
    }
    Reply {
        content_type: "application/json",
        body: format!("{body:#}\n").into_bytes().into(),
        ..Reply::empty(200, "echo")
    }
}
