//! What can be seen of a data plane: counters per shard, the access log, the exposition of both.

pub(crate) mod access_log;
pub(crate) mod counters;
pub(crate) mod date;
pub(crate) mod exposition;
mod health;
