//! Which backend of a rule, and which endpoint of a backend, of those that are thought to work; before that, which shard serves the
//! client. Pure: the caller keeps the state, per shard, and gives the randomness.

mod consistent;
mod endpoints;
mod health;
mod random;
mod reach;
mod shards;
mod weights;

pub use consistent::{Maglev, highest_weight, key_of_bytes, key_of_client, key_of_endpoint};
pub use endpoints::{less_loaded_of_two, next_in_turn};
pub use health::{Checked, Ejections, Standing};
pub use random::Random;
pub use reach::{Whereabouts, within_reach};
pub use shards::{Placement, ShardLoad};
pub use weights::Weights;
