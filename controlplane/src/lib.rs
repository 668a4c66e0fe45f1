//! Ringgate's control plane: reads what people want, tells data planes what shall be in force, and
//! says what became of it.
//!
//! # The life of a change
//! - [`watch`]: files or a cluster yield batches of objects; [`yaml`] reads files' text, with places
//! - [`api`]: the objects' types, with the API's defaults
//! - [`store`]: the objects that are known now
//! - [`resolve`]: the addresses of ExternalNames, which enter as an event like the others
//! - [`lead`]: in a cluster, which of several control planes speaks
//! - [`provision`]: which addresses Gateways have, and what is generated for that; pure but for who writes
//! - [`reconcile`]: gathers all of it, and decides when there is a new version
//! - [`translate`]: what shall be in force, and a verdict on each object; pure
//! - [`push`]: versions go to data planes, acks come back
//! - [`status`]: what became of each object, in the words of the API, and into a cluster
//!
//! [`serve`] wires these together ([`origin`] what differs between files and a cluster, [`distant`] the door for other machines); [`admin`] and [`metrics`] let people look inside.
//!
//! Beside the path: [`announce`], a process of its own that puts addresses on an interface, alone or with those of other nodes; [`tickets`], keys of session tickets that data planes share; [`issue`], certificates for the stream to data planes in a cluster; [`problem`], what is wrong with what a user wrote; [`validate`], the same from the
//! command line; [`cli`], the command line itself; [`supervise`], which keeps both processes alive
//! under `ringgate run`; [`limits`], every bound; `wake`, what tasks wait for; [`shared_map`], how whoever remembers finds what has changed; `error`, an error in one
//! line.
#![forbid(unsafe_code)]

pub mod api;
pub mod store;
pub mod watch;
pub mod yaml;

pub mod lead;
pub mod provision;
pub mod push;
pub mod reconcile;
pub mod resolve;
pub mod serve;
pub mod status;
pub mod translate;

pub mod admin;
pub mod announce;
pub mod cli;
mod distant;
mod error;
pub mod issue;
pub mod limits;
pub mod metrics;
pub mod origin;
mod own_secret;
pub mod problem;
pub mod shared_map;
pub mod supervise;
pub mod tickets;
pub mod validate;
mod wake;
