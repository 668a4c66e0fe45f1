//! A response's head as the client gets it.

use ringgate_core::filter::cors;
use ringgate_core::http1::{FieldId, Framing, Method, Reply, ResponseHead, encode};

use super::request_head::write_via;
use crate::forward::Forward;
use crate::grpc_web::GrpcWeb;
use crate::shard::Shard;
use crate::shard::timer::Millis;

/// A response as the backend sent it.
pub(crate) struct Answered<'r> {
    pub(crate) shard: &'r Shard,
    pub(crate) now: Millis,
    pub(crate) forward: &'r Forward<'r>,
    pub(crate) head: &'r ResponseHead,
    pub(crate) buf: &'r [u8],
    pub(crate) method: Method,
    /// Of HTTP, in which the backend has answered.
    pub(crate) version: &'static str,
    /// The response is gRPC's, and the client wants gRPC-Web.
    pub(crate) web: Option<GrpcWeb>,
}

impl Answered<'_> {
    /// Appends the whole head of a final response.
    pub(crate) fn write(&self, reply: Reply, out: &mut Vec<u8>) {
        let (plan, settings) = (self.forward.plan, &self.forward.settings);
        encode::status_line_with(out, self.head.status, self.head.reason.of(self.buf));
        let has_edits = !plan.response.is_empty();
        let (mut has_date, mut has_server) = (false, false);
        for field in &self.head.fields {
            if !self.head.passes_on(field, self.buf) {
                continue;
            }
            let name = field.name.of(self.buf);
            if (has_edits && plan.response.drops(name))
                || (plan.cors.is_some() && cors::owned(name))
            {
                continue;
            }
            has_date |= field.id == FieldId::Date;
            has_server |= field.id == FieldId::Server;
            match self.web.filter(|_| field.id == FieldId::ContentType) {
                Some(web) => {
                    let renamed = web.response_type(field.value.of(self.buf));
                    encode::field(out, name, &renamed);
                }
                None => encode::field_copy(out, field, self.buf),
            }
        }
        if !has_date && !plan.response.drops(b"date") {
            out.extend_from_slice(b"date: ");
            self.shard.date.write(self.now, out);
            out.extend_from_slice(encode::CRLF);
        }
        if let Some(server) = settings.server.as_deref().filter(|_| !has_server) {
            encode::field(out, b"server", server.as_bytes());
        }
        self.write_cors(out);
        for (name, value) in plan.response.appended() {
            encode::field(out, name.as_bytes(), value.as_bytes());
        }
        if let Some(via) = &settings.via {
            write_via(via, self.version, out);
        }
        reply.connection.write(out);
        self.write_framing(reply, out);
        encode::head_end(out);
    }

    /// A length may be said where no body follows: in answer to HEAD, and in a 304.
    fn write_framing(&self, reply: Reply, out: &mut Vec<u8>) {
        let may_tell = self.method == Method::Head || self.head.status == 304;
        match (reply.framing, self.head.content_length) {
            (Framing::None, Some(length)) if may_tell => {
                encode::framing(out, Framing::Length(length));
            }
            (framing, _) => encode::framing(out, framing),
        }
    }

    fn write_cors(&self, out: &mut Vec<u8>) {
        if let Some(cors) = self.forward.plan.cors.as_deref() {
            let ask = cors::Ask {
                origin: self.forward.origin.as_deref(),
                ..cors::Ask::default()
            };
            cors::response(cors, &ask, |name, value| {
                encode::field(out, name.as_bytes(), value)
            });
        }
    }

    /// The status line and all fields for the next hop.
    fn write_as_it_came(&self, out: &mut Vec<u8>) {
        encode::status_line_with(out, self.head.status, self.head.reason.of(self.buf));
        for field in &self.head.fields {
            if self.head.passes_on(field, self.buf) {
                encode::field_copy(out, field, self.buf);
            }
        }
    }

    /// Appends an interim response as it came.
    pub(crate) fn write_interim(&self, out: &mut Vec<u8>) {
        self.write_as_it_came(out);
        encode::head_end(out);
    }

    /// Appends a 101, with what the connection changes to.
    pub(crate) fn write_switching(&self, out: &mut Vec<u8>) {
        self.write_as_it_came(out);
        encode::field(out, b"connection", b"upgrade");
        if let Some(upgrade) = self.head.upgrade {
            encode::field(out, b"upgrade", upgrade.of(self.buf));
        }
        encode::head_end(out);
    }
}
