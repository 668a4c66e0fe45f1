//! Who has which address. An address is somebody's alone, unless all who have it share it: Services of one
//! namespace with an equal key, whose ports are different, and which are reached in the same way.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ringgate_core::ir::ObjectName;

use super::pool::AddressRange;
use super::pools::Pool;
use crate::api::gateway::PortPlace;
use crate::api::meta::Labels;
use crate::api::service::Service;
use crate::api::{ObjectKey, ObjectKind};
use crate::translate::problem::{Fault, Unshared};

/// The annotation with the key of Services that share an address.
pub const SHARING_KEY: &str = "ringgate.io/sharing-key";

/// Somebody who has addresses.
#[derive(Clone, Debug)]
pub(super) struct Tenant {
    pub(super) owner: ObjectKey,
    /// None: alone.
    sharing: Option<Sharing>,
}

/// With whom an address is shared.
#[derive(Clone, Debug)]
struct Sharing {
    key: Arc<str>,
    ports: BTreeSet<PortPlace>,
    /// Of the Pods that alone take connections, on their nodes; none: all nodes lead to all.
    local: Option<Labels>,
}

impl Tenant {
    pub(super) fn gateway(name: &ObjectName) -> Self {
        Self::alone(ObjectKind::Gateway, name)
    }

    pub(super) fn alone(kind: ObjectKind, name: &ObjectName) -> Self {
        let owner = ObjectKey {
            kind,
            name: name.clone(),
        };
        Self {
            owner,
            sharing: None,
        }
    }

    pub(super) fn service(name: &ObjectName, service: &Service) -> Self {
        let key = service.metadata.annotations.get(SHARING_KEY);
        let spec = &service.spec;
        let sharing = key.filter(|key| !key.is_empty()).map(|key| {
            let ports = spec.ports.iter();
            let places =
                ports.filter_map(|port| Some((port.protocol.ip_protocol()?, port.port.get())));
            Sharing {
                key: key.clone(),
                ports: places.collect(),
                local: spec.is_local().then(|| spec.selector.clone()),
            }
        });
        Self {
            sharing,
            ..Self::alone(ObjectKind::Service, name)
        }
    }

    /// # Errors
    /// Why the two can't have one address.
    fn share(&self, other: &Self) -> Result<(), Unshared> {
        let (Some(mine), Some(theirs)) = (&self.sharing, &other.sharing) else {
            return Err(Unshared::Alone);
        };
        let namespace = &self.owner.name.namespace;
        if mine.key != theirs.key || *namespace != other.owner.name.namespace {
            return Err(Unshared::Alone);
        }
        if let Some((protocol, port)) = mine.ports.intersection(&theirs.ports).next() {
            return Err(Unshared::Port(*protocol, *port));
        }
        match mine.local == theirs.local {
            true => Ok(()),
            false => Err(Unshared::Pods),
        }
    }
}

/// Which address is whose.
#[derive(Default)]
pub(super) struct Allocation {
    held: BTreeMap<IpAddr, Vec<Tenant>>,
    /// Of objects that are gone and may come back: given to others only when nothing else is left.
    reserved: BTreeSet<IpAddr>,
}

/// Why an address can't be had.
#[derive(Debug)]
pub(super) struct Refusal {
    by: ObjectKey,
    why: Unshared,
}

impl Refusal {
    pub(super) fn fault(self, address: IpAddr) -> Fault {
        let Self { by, why } = self;
        match why {
            Unshared::Alone => Fault::AddressTaken { address, by },
            why => Fault::NotShared { address, by, why },
        }
    }
}

impl Allocation {
    pub(super) fn reserve(&mut self, addresses: impl Iterator<Item = IpAddr>) {
        self.reserved.extend(addresses);
    }

    /// # Errors
    /// Names who has it.
    pub(super) fn take(&mut self, address: IpAddr, tenant: &Tenant) -> Result<(), Refusal> {
        let holders = self.held.entry(address).or_default();
        if holders.iter().any(|one| one.owner == tenant.owner) {
            return Ok(());
        }
        let mut others = holders.iter();
        let refusal = others.find_map(|other| {
            let why = tenant.share(other).err()?;
            let by = other.owner.clone();
            Some(Refusal { by, why })
        });
        match refusal {
            None => holders.push(tenant.clone()),
            Some(refusal) => return Err(refusal),
        }
        Ok(())
    }

    /// An address of the family that those have who have the same key.
    ///
    /// # Errors
    /// There are such addresses, and none can be shared: why not.
    pub(super) fn take_shared(
        &mut self,
        pools: &[&Pool],
        is_ipv4: bool,
        tenant: &Tenant,
    ) -> Result<Option<IpAddr>, Fault> {
        if tenant.sharing.is_none() {
            return Ok(None);
        }
        let mut fault = None;
        let of_family = self.held.iter().filter(|(one, _)| one.is_ipv4() == is_ipv4);
        let of_pools = of_family.filter(|(one, _)| pools.iter().any(|pool| pool.contains(**one)));
        for (address, holders) in of_pools {
            let refusals = holders.iter().filter_map(|other| {
                let by = other.owner.clone();
                tenant.share(other).err().map(|why| Refusal { by, why })
            });
            match refusals.into_iter().next() {
                None => {
                    let address = *address;
                    self.held.entry(address).or_default().push(tenant.clone());
                    return Ok(Some(address));
                }
                Some(refusal) if refusal.why != Unshared::Alone => {
                    fault.get_or_insert_with(|| refusal.fault(*address));
                }
                Some(_) => {}
            }
        }
        fault.map_or(Ok(None), Err)
    }

    /// The lowest that is free, of the first pool that has one.
    pub(super) fn take_free(
        &mut self,
        pools: &[&Pool],
        is_ipv4: bool,
        tenant: &Tenant,
    ) -> Option<IpAddr> {
        let is_held = |one: IpAddr| self.held.contains_key(&one);
        let is_spoken_for = |one: IpAddr| is_held(one) || self.reserved.contains(&one);
        let mut of_all = pools.iter();
        let unreserved = of_all.find_map(|pool| pool.free(is_ipv4, is_spoken_for));
        let free = unreserved.or_else(|| {
            let mut of_all = pools.iter();
            of_all.find_map(|pool| pool.free(is_ipv4, is_held))
        })?;
        self.held.insert(free, vec![tenant.clone()]);
        Some(free)
    }

    pub(super) fn held_in(&self, range: &AddressRange) -> impl Iterator<Item = IpAddr> {
        self.held.range(range.bounds()).map(|(address, _)| *address)
    }
}
