//! What a shard keeps for a rule as long as the rule exists.

use std::collections::HashMap;

use ringgate_core::balance::Weights;
use ringgate_core::table::{Slot, WeightedTarget};

/// Where each rule's weighted round robin stands.
#[derive(Debug, Default)]
pub(crate) struct RuleStates {
    weights: HashMap<Slot, Weights, foldhash::fast::FixedState>,
}

impl RuleStates {
    /// The backend that takes the next request of a rule; none where all weights are zero.
    pub(crate) fn choose<'t>(
        &mut self,
        rule: Slot,
        targets: &'t [WeightedTarget],
    ) -> Option<&'t WeightedTarget> {
        match targets {
            [] => None,
            [one] => (one.weight > 0).then_some(one),
            _ => targets.get(self.next(rule, targets.iter().map(|target| target.weight))?),
        }
    }

    /// The place of the one that is due; none where all weights are zero.
    pub(crate) fn next(
        &mut self,
        rule: Slot,
        weights: impl ExactSizeIterator<Item = u32>,
    ) -> Option<usize> {
        self.weights.entry(rule).or_default().next(weights)
    }

    pub(crate) fn retire(&mut self, slots: &[Slot]) {
        for slot in slots {
            self.weights.remove(slot);
        }
    }
}
