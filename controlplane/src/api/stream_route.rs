//! TLSRoute, TCPRoute and UDPRoute (Gateway API v1.7.0, GEP-2643, GEP-1901, GEP-2645): routes of layer 4, whose
//! one rule has nothing but backends.

use std::marker::PhantomData;

use serde::Deserialize;

use super::reference::BackendRef;
use super::route::{Route, RouteRule};
use super::text::SectionName;

/// Its hostnames are server names.
pub type TlsRoute = Route<TlsRouteRule>;
pub type TcpRoute = Route<TcpRouteRule>;
pub type UdpRoute = Route<UdpRouteRule>;

pub type TlsRouteRule = StreamRouteRule<Tls>;
pub type TcpRouteRule = StreamRouteRule<Tcp>;
pub type UdpRouteRule = StreamRouteRule<Udp>;

/// What the rules of TLSRoutes are about.
#[derive(Clone, Debug, PartialEq)]
pub enum Tls {}
/// What the rules of TCPRoutes are about.
#[derive(Clone, Debug, PartialEq)]
pub enum Tcp {}
/// What the rules of UDPRoutes are about.
#[derive(Clone, Debug, PartialEq)]
pub enum Udp {}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", bound = "")]
pub struct StreamRouteRule<P> {
    pub name: Option<SectionName>,
    #[serde(default)]
    pub backend_refs: Vec<BackendRef>,
    #[serde(skip)]
    protocol: PhantomData<P>,
}

impl<P> RouteRule for StreamRouteRule<P> {
    fn name(&self) -> Option<&SectionName> {
        self.name.as_ref()
    }
}
