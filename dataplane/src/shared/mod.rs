//! The only memory that shards share. Nothing here is touched for each request: what is read often is read without a
//! lock, what takes one is looked at when a connection or session begins.

pub(crate) mod affinity;
pub(crate) mod health;
pub(crate) mod loads;
