//! Rules of TLSRoute, TCPRoute and UDPRoute.

use std::ops::RangeInclusive;

use super::Checker;
use super::route::{CheckedRule, backends};
use crate::api::stream_route::{StreamRouteRule, Tcp, Tls, Udp};
use crate::yaml::FieldPath;

/// Whether routes have hostnames.
trait Hosts {
    const HOSTNAMES: RangeInclusive<usize>;
}

impl Hosts for Tls {
    const HOSTNAMES: RangeInclusive<usize> = 1..=1024;
}

impl Hosts for Tcp {
    const HOSTNAMES: RangeInclusive<usize> = 0..=0;
}

impl Hosts for Udp {
    const HOSTNAMES: RangeInclusive<usize> = 0..=0;
}

impl<P: Hosts> CheckedRule for StreamRouteRule<P> {
    const HOSTNAMES: RangeInclusive<usize> = P::HOSTNAMES;
    const RULES: RangeInclusive<usize> = 1..=1;

    fn matches(&self) -> usize {
        0
    }

    fn check(&self, at: &FieldPath<'_>, checker: &mut Checker<'_>) {
        backends(&self.backend_refs, at, 1..=16, checker, |_, _, _| {});
    }
}
