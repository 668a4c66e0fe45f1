//! What a rule does to a request or a response on its way: pure functions over heads.
//!
//! - [`edits`]: header modifiers, merged when a table is compiled
//! - [`location`]: redirects and rewritten paths
//! - [`cors`]: the CORS protocol of the Fetch standard

pub mod cors;
mod edits;
pub mod location;

pub use edits::{Edits, forbidden};
