//! gRPC-Web from a client, gRPC to the backend of a GRPCRoute: what of heads and bodies changes. An HTTPRoute
//! passes gRPC-Web on as it is: its backend may understand it.

use ringgate_core::grpc::Carriage;
use ringgate_core::grpc::web::{Base64, Recode};
use ringgate_core::http1::{FieldId, Framing, Relay, ResponseHead};
use ringgate_core::ir::RouteProtocol;
use ringgate_core::route::Fields;
use ringgate_core::table::Rule;

use crate::fields::HeadFields;

#[derive(Clone, Copy, Debug)]
pub(crate) struct GrpcWeb {
    asked: Carriage,
    answered: Carriage,
}

impl GrpcWeb {
    /// None: there is nothing to translate. A client may ask for text in answer to bytes.
    pub(crate) fn of(
        rule: &Rule,
        asked: Option<Carriage>,
        fields: &HeadFields<'_>,
    ) -> Option<Self> {
        let is_web = |one: &Carriage| matches!(one, Carriage::Web | Carriage::WebText);
        let asked = asked.filter(is_web)?;
        let accepted = fields.value("accept");
        let accepted = accepted.and_then(|accepted| Carriage::of(&accepted));
        (rule.protocol == RouteProtocol::Grpc).then(|| Self {
            asked,
            answered: accepted.filter(is_web).unwrap_or(asked),
        })
    }

    /// What the backend is told of a request's body.
    pub(crate) fn upload_framing(self, from: Framing) -> Framing {
        match self.asked {
            Carriage::WebText if !from.is_empty() => Framing::Chunked,
            _ => from,
        }
    }

    pub(crate) fn upload(self, from: Framing) -> Relay {
        match self.asked {
            Carriage::WebText if !from.is_empty() => {
                let recode = Recode::FromText(Base64::default());
                Relay::recoding(from, Framing::Chunked, recode)
            }
            _ => Relay::new(from, from),
        }
    }

    /// Whether this response is gRPC's; a backend, or a proxy before it, may answer in plain HTTP.
    pub(crate) fn translates(head: &ResponseHead, buf: &[u8]) -> bool {
        let fields = HeadFields {
            fields: &head.fields,
            buf,
        };
        let content_type = fields.first(FieldId::ContentType);
        content_type.and_then(Carriage::of) == Some(Carriage::Plain)
    }

    /// The content type that the client gets for the backend's.
    pub(crate) fn response_type(self, content_type: &[u8]) -> Vec<u8> {
        self.answered.rename(content_type)
    }

    /// A body that isn't empty; `to` has no length.
    pub(crate) fn download(self, from: Framing, to: Framing) -> Relay {
        let as_text = self.answered == Carriage::WebText;
        Relay::recoding(from, to, Recode::ToWeb { as_text })
    }
}
