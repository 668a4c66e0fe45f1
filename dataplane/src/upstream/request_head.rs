//! A request's head as the backend gets it: hop-by-hop fields left out, the client told of, edits
//! carried out.

use ringgate_core::filter::location;
use ringgate_core::grpc::Carriage;
use ringgate_core::http1::{Field, FieldId, Framing, RequestHead, encode};
use ringgate_core::ir::{BackendProtocol, ListenerSettings};
use ringgate_core::route::path::{self, PathError};
use ringgate_core::table::Plan;

use crate::downstream::Downstream;
use crate::grpc_web::GrpcWeb;

/// A request as it was received, and what routing knows of it.
pub(crate) struct Asked<'r> {
    pub(crate) downstream: &'r Downstream,
    pub(crate) settings: &'r ListenerSettings,
    pub(crate) head: &'r RequestHead,
    pub(crate) buf: &'r [u8],
    /// In its normal form.
    pub(crate) path: &'r str,
    pub(crate) prefix_length: usize,
    pub(crate) protocol: BackendProtocol,
    pub(crate) web: Option<GrpcWeb>,
}

impl Asked<'_> {
    /// Appends the whole head.
    ///
    /// # Errors
    /// When the path is no longer safe after its rewrite.
    pub(crate) fn write(&self, plan: &Plan, out: &mut Vec<u8>) -> Result<(), PathError> {
        self.write_request_line(plan, out)?;
        let authority = self.head.authority.of(self.buf);
        let host = plan
            .rewrite
            .hostname
            .as_deref()
            .or_else(|| plan.request.host());
        encode::field(out, b"host", host.map_or(authority, str::as_bytes));
        let has_edits = !plan.request.is_empty();
        for field in &self.head.fields {
            if self.is_ours(field) || !self.head.passes_on(field, self.buf) {
                continue;
            }
            if !has_edits || !plan.request.drops(field.name.of(self.buf)) {
                encode::field_copy(out, field, self.buf);
            }
        }
        self.write_forwarded(plan, out);
        self.write_grpc(plan, out);
        for (name, value) in plan.request.appended() {
            encode::field(out, name.as_bytes(), value.as_bytes());
        }
        if let Some(via) = &self.settings.via {
            write_via(via, self.downstream.version(self.head.minor), out);
        }
        // In HTTP/1 it would have to be said of each hop anew, and nobody needs it there.
        let wants_trailers = self.head.te_trailers || self.web.is_some();
        if wants_trailers && self.protocol == BackendProtocol::Http2 {
            encode::field(out, b"te", b"trailers");
        }
        if let Some(upgrade) = self.head.upgrade {
            encode::field(out, b"connection", b"upgrade");
            encode::field(out, b"upgrade", upgrade.of(self.buf));
        }
        let framing = self.head.framing;
        match self.web.map_or(framing, |web| web.upload_framing(framing)) {
            // Said only where the client said it: 0 differs from nothing for POST and PUT.
            Framing::None | Framing::UntilClose => {}
            framing => encode::framing(out, framing),
        }
        encode::head_end(out);
        Ok(())
    }

    fn write_request_line(&self, plan: &Plan, out: &mut Vec<u8>) -> Result<(), PathError> {
        let method = self.head.method_text.of(self.buf);
        let query = self.head.query.map(|query| query.of(self.buf));
        let Some(modifier) = &plan.rewrite.path else {
            encode::request_line(out, method, self.path.as_bytes(), query);
            return Ok(());
        };
        let rewritten = location::modified_path(modifier, self.path, self.prefix_length);
        let checked = path::normalize(rewritten.as_bytes())?;
        encode::request_line(out, method, checked.as_bytes(), query);
        Ok(())
    }

    /// Fields that are written anew below.
    fn is_ours(&self, field: &Field) -> bool {
        match field.id {
            FieldId::Host
            | FieldId::XForwardedFor
            | FieldId::XForwardedHost
            | FieldId::XForwardedProto => true,
            // Nobody but a trusted proxy may tell a backend who the client is.
            FieldId::Forwarded => !self.downstream.is_trusted,
            FieldId::ContentType => self.web.is_some(),
            _ => false,
        }
    }

    /// `X-Forwarded-For`, `-Proto`, `-Host`: appended to, or kept, where a trusted proxy sent them;
    /// replaced where anybody else did.
    fn write_forwarded(&self, plan: &Plan, out: &mut Vec<u8>) {
        if !plan.request.drops(b"x-forwarded-for") {
            out.extend_from_slice(b"x-forwarded-for: ");
            for earlier in self.received(FieldId::XForwardedFor) {
                out.extend_from_slice(earlier);
                out.extend_from_slice(b", ");
            }
            write_address(self.downstream.client.ip(), out);
            out.extend_from_slice(encode::CRLF);
        }
        let fallback: [(&[u8], FieldId, &[u8]); 2] = [
            (
                b"x-forwarded-proto",
                FieldId::XForwardedProto,
                self.downstream.scheme().as_bytes(),
            ),
            (
                b"x-forwarded-host",
                FieldId::XForwardedHost,
                self.head.authority.of(self.buf),
            ),
        ];
        for (name, id, ours) in fallback {
            if !plan.request.drops(name) {
                encode::field(out, name, self.received(id).next().unwrap_or(ours));
            }
        }
    }

    /// In place of gRPC-Web's content type, that of gRPC.
    fn write_grpc(&self, plan: &Plan, out: &mut Vec<u8>) {
        if self.web.is_none() {
            return;
        }
        let types = self.head.fields.iter();
        for field in types.filter(|field| field.id == FieldId::ContentType) {
            if !plan.request.drops(b"content-type") {
                let renamed = Carriage::Plain.rename(field.value.of(self.buf));
                encode::field(out, b"content-type", &renamed);
            }
        }
    }

    /// Values of a field that a trusted proxy sent.
    fn received(&self, id: FieldId) -> impl Iterator<Item = &[u8]> {
        let fields = if self.downstream.is_trusted {
            &*self.head.fields
        } else {
            &[]
        };
        let of_id = fields.iter().filter(move |field| field.id == id);
        of_id.map(|field| field.value.of(self.buf))
    }
}

/// RFC 9110, section 7.6.3.
pub(crate) fn write_via(pseudonym: &str, version: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"via: ");
    out.extend_from_slice(version.as_bytes());
    out.push(b' ');
    out.extend_from_slice(pseudonym.as_bytes());
    out.extend_from_slice(encode::CRLF);
}

fn write_address(address: std::net::IpAddr, out: &mut Vec<u8>) {
    match address {
        std::net::IpAddr::V4(v4) => {
            for (place, octet) in v4.octets().into_iter().enumerate() {
                if place > 0 {
                    out.push(b'.');
                }
                encode::decimal(out, octet.into());
            }
        }
        std::net::IpAddr::V6(v6) => out.extend_from_slice(v6.to_string().as_bytes()),
    }
}
