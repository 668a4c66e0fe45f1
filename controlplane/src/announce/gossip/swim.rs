//! How SWIM is set up.

use std::num::{NonZeroU8, NonZeroUsize};

use foca::{Config, PeriodicParams};

use super::message;
use crate::limits::{
    GOSSIP_FAN_OUT, GOSSIP_FORGET, GOSSIP_LOOK_FOR_LOST, GOSSIP_PERIOD, GOSSIP_PROBE,
    GOSSIP_PROBE_ANSWER, GOSSIP_SUSPICION, GOSSIP_TRANSMISSIONS,
};

/// How members are found and lost. Of three nodes each is asked within two periods; one that doesn't answer until the
/// end of its period is suspected, and dead after the suspicion unless it speaks up. So a death is known within 2 s, and who is slow for
/// a second lives.
pub(super) fn config() -> Config {
    let periodically = |frequency, members| PeriodicParams {
        frequency,
        num_members: at_least_one(members),
    };
    Config {
        probe_period: GOSSIP_PROBE,
        probe_rtt: GOSSIP_PROBE_ANSWER,
        num_indirect_probes: at_least_one(GOSSIP_FAN_OUT),
        max_transmissions: NonZeroU8::new(GOSSIP_TRANSMISSIONS).unwrap_or(NonZeroU8::MIN),
        suspect_to_down_after: GOSSIP_SUSPICION,
        remove_down_after: Some(GOSSIP_FORGET),
        max_packet_size: at_least_one(message::SWIM_BYTES),
        notify_down_members: true,
        periodic_announce: Some(periodically(GOSSIP_LOOK_FOR_LOST, 1)),
        periodic_announce_to_down_members: Some(periodically(GOSSIP_LOOK_FOR_LOST, 2)),
        periodic_gossip: Some(periodically(GOSSIP_PERIOD, GOSSIP_FAN_OUT)),
    }
}

fn at_least_one(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).unwrap_or(NonZeroUsize::MIN)
}
