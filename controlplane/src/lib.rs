//! Ringgate's control plane.
//!
//! # The life of a change
//! - [`watch`]: files (later a cluster) yield batches of objects; [`yaml`] reads their text, with places
//! - [`api`]: the objects' types, with the API's defaults
//! - [`store`]: the objects that are known now
//!
//! Beside the path: [`problem`], what is wrong with what a user wrote; [`validate`], the same from the
//! command line; [`limits`], every bound.

pub mod api;
pub mod limits;
pub mod problem;
pub mod store;
pub mod validate;
pub mod watch;
pub mod yaml;
