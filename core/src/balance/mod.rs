//! Which backend of a rule, and which endpoint of a backend. Pure: the caller keeps the state, per
//! shard, and gives the randomness.

mod endpoints;
mod random;
mod weights;

pub use endpoints::{less_loaded_of_two, next_in_turn};
pub use random::Random;
pub use weights::Weights;
