//! What the command line says of addresses.

use std::ffi::OsString;

use clap::Args;

use crate::provision::Settings;
use crate::provision::pool::AddressRange;

/// Where addresses come from, and whose load balancer we are.
#[derive(Clone, Debug, Args)]
pub struct LoadBalancerArgs {
    /// Addresses that Gateways and Services of type LoadBalancer get: a range (192.0.2.10-192.0.2.20), a block
    /// (192.0.2.0/28) or one, of either family (repeatable)
    #[arg(
        long = "address-pool",
        value_name = "RANGE",
        env = "RINGGATE_ADDRESS_POOL",
        value_delimiter = ','
    )]
    pub address_pools: Vec<AddressRange>,
    /// Serve Services of type LoadBalancer that name no class, too
    #[arg(long, env = "RINGGATE_DEFAULT_LOAD_BALANCER")]
    pub default_load_balancer: bool,
}

impl LoadBalancerArgs {
    /// Of a control plane of files.
    #[must_use]
    pub fn provision(&self) -> Settings {
        Settings {
            pools: self.address_pools.clone(),
            is_default: self.default_load_balancer,
            ..Settings::default()
        }
    }

    pub(super) fn to_arguments(&self) -> Vec<OsString> {
        let mut arguments = Vec::new();
        for range in &self.address_pools {
            arguments.extend(["--address-pool".into(), range.to_string().into()]);
        }
        if self.default_load_balancer {
            arguments.push("--default-load-balancer".into());
        }
        arguments
    }
}
