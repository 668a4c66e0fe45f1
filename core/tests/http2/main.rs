//! A connection of HTTP/2 against another implementation, against the RFC's rules one by one, and against peers
//! that mean no good.

#![expect(clippy::unwrap_used, reason = "a test that can't go on shall stop")]

mod bounds;
mod farewell;
mod hostile;
mod oracle;
mod raw;
mod rules;
