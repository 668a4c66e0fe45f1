//! HTTP/1 from outside: what is read, what is refused, and that splits never matter.
//! The two connections together are `http1_simulation`'s.

mod bodies;
mod connections;
mod properties;
mod refused;
mod requests;
mod responses;
