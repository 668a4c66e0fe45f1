//! Provisioning: addresses of Gateways and of Services. A Gateway's come by the Service of type LoadBalancer that is generated for
//! it. What is allocated is stored there and read back, so it outlives restarts and leaders.
//!
//! [`claim`] decides which Gateway has which address, [`load_balancer`] which Service that we are the load
//! balancer of, [`service`] what is generated; both are pure. `stored`
//! reads what was decided before, `parameters` what users ask for, [`pool`] knows ranges of addresses,
//! [`names`] makes names that fit.
//!
//! Two ways lead to a Gateway: Ringgate itself is the load balancer (class `ringgate.io/lb`), takes
//! addresses from pools and listens on them; or another's is, whose traffic comes to ports that no
//! other Gateway has, and whose address is read from the Service's status.

mod backlog;
pub mod claim;
pub mod load_balancer;
pub mod names;
mod parameters;
pub mod pool;
pub mod service;
mod stored;
pub mod write;

pub use claim::{Claim, Claims, Settings, claims};
pub use load_balancer::{LoadBalanced, LoadBalancers, load_balancers};
pub(crate) use parameters::fault_of_class;
pub use parameters::{LoadBalancer, Parameters};
