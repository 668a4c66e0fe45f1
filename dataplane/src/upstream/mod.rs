//! The upstream side: endpoints, pooled connections to them, and one exchange on such a connection.

pub(crate) mod backing;
pub(crate) mod exchange;
pub(crate) mod pool;
pub(crate) mod request_head;
pub(crate) mod response_head;
pub(crate) mod upload;
