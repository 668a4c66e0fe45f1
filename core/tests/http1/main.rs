//! HTTP/1 from outside: what is read, what is refused, and that splits never matter.
//! The two connections together are `http1_simulation`'s.

#[cfg(test)]
mod bodies;
#[cfg(test)]
mod connections;
#[cfg(test)]
mod guardian;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod refused;
#[cfg(test)]
mod requests;
#[cfg(test)]
mod responses;
