//! One network interface, by rtnetlink.

use std::collections::BTreeSet;
use std::net::IpAddr;

use futures_util::TryStreamExt;
use nix::net::if_::if_nametoindex;
use rtnetlink::packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, CacheInfo,
};
use rtnetlink::packet_route::link::{LinkAttribute, LinkLayerType, LinkMessage};
use rtnetlink::{AddressAddRequest, Error as NetlinkError, Handle};
use thiserror::Error;

use super::frames::Mac;

#[derive(Debug, Error)]
pub enum InterfaceError {
    #[error("can't speak with the kernel: {error}")]
    Socket { error: std::io::Error },
    #[error("there is no interface {name}: {error}")]
    NotFound { name: String, error: NetlinkError },
    #[error("can't read the addresses of this host: {error}")]
    Read { error: NetlinkError },
    #[error("can't change address {address} of {name}: {error}; it needs the capability NET_ADMIN")]
    Change {
        name: String,
        address: IpAddr,
        error: NetlinkError,
    },
}

/// An interface that addresses are put on.
#[derive(Debug)]
pub(super) struct Interface {
    name: String,
    index: u32,
    /// None where the link isn't Ethernet: nobody is asked for an address there, and nobody is told.
    mac: Option<Mac>,
    handle: Handle,
}

impl Interface {
    pub(super) async fn find(name: &str) -> Result<Self, InterfaceError> {
        let (connection, handle, _) =
            rtnetlink::new_connection().map_err(|error| InterfaceError::Socket { error })?;
        tokio::spawn(connection);
        let not_found = |error| InterfaceError::NotFound {
            name: name.to_owned(),
            error,
        };
        let mut links = handle.link().get().match_name(name).execute();
        let link = links.try_next().await.map_err(not_found)?;
        let link = link.ok_or_else(|| not_found(NetlinkError::RequestFailed))?;
        Ok(Self {
            name: name.to_owned(),
            index: link.header.index,
            mac: mac(&link),
            handle,
        })
    }

    pub(super) fn mac(&self) -> Option<Mac> {
        self.mac
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// One that was removed and made anew has the same name, but is another one.
    pub(super) fn is_there(&self) -> bool {
        if_nametoindex(self.name.as_str()).is_ok_and(|index| index == self.index)
    }

    /// Addresses that are local without our doing: of other interfaces, or without an end.
    pub(super) async fn others(&self) -> Result<BTreeSet<IpAddr>, InterfaceError> {
        let addresses = self.handle.address().get().execute();
        let messages: Vec<AddressMessage> = addresses
            .try_collect()
            .await
            .map_err(|error| InterfaceError::Read { error })?;
        let others = messages
            .iter()
            .filter(|message| message.header.index != self.index || lifetime(message) == FOREVER);
        Ok(others.filter_map(address).collect())
    }

    /// Puts the address there, or renews it.
    pub(super) async fn put(&self, address: IpAddr, lifetime_s: u32) -> Result<(), InterfaceError> {
        let mut request = self.request(address);
        let message = request.message_mut();
        message.header.flags |= AddressHeaderFlags::Nodad;
        let flags = AddressFlags::Nodad;
        message.attributes.push(AddressAttribute::Flags(flags));
        let mut lifetime = CacheInfo::default();
        // Never the source of what this host itself sends (RFC 6724 avoids deprecated addresses).
        lifetime.ifa_preferred = 0;
        lifetime.ifa_valid = lifetime_s;
        let lifetime = AddressAttribute::CacheInfo(lifetime);
        message.attributes.push(lifetime);
        let added = request.replace().execute().await;
        added.map_err(|error| self.change(address, error))
    }

    /// Takes the address off; one that is off already is no error.
    pub(super) async fn take(&self, address: IpAddr) -> Result<(), InterfaceError> {
        let message = self.request(address).message_mut().clone();
        match self.handle.address().del(message).execute().await {
            Err(NetlinkError::NetlinkError(error)) if error.raw_code() == -EADDRNOTAVAIL => Ok(()),
            taken => taken.map_err(|error| self.change(address, error)),
        }
    }

    fn request(&self, address: IpAddr) -> AddressAddRequest {
        let prefix = if address.is_ipv4() { 32 } else { 128 };
        self.handle.address().add(self.index, address, prefix)
    }

    fn change(&self, address: IpAddr, error: NetlinkError) -> InterfaceError {
        InterfaceError::Change {
            name: self.name.clone(),
            address,
            error,
        }
    }
}

fn mac(link: &LinkMessage) -> Option<Mac> {
    if link.header.link_layer_type != LinkLayerType::Ether {
        return None;
    }
    link.attributes.iter().find_map(|one| match one {
        LinkAttribute::Address(bytes) => bytes.as_slice().try_into().ok().map(Mac),
        _ => None,
    })
}

/// Linux's number for an address that isn't there.
const EADDRNOTAVAIL: i32 = 99;

/// A lifetime without an end.
const FOREVER: u32 = u32::MAX;

fn lifetime(message: &AddressMessage) -> u32 {
    let mut attributes = message.attributes.iter();
    let valid = attributes.find_map(|one| match one {
        AddressAttribute::CacheInfo(lifetime) => Some(lifetime.ifa_valid),
        _ => None,
    });
    valid.unwrap_or(FOREVER)
}

/// The local one, where a point-to-point link has two.
fn address(message: &AddressMessage) -> Option<IpAddr> {
    let attributes = || message.attributes.iter();
    let local = attributes().find_map(|one| match one {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    local.or_else(|| {
        attributes().find_map(|one| match one {
            AddressAttribute::Address(address) => Some(*address),
            _ => None,
        })
    })
}
