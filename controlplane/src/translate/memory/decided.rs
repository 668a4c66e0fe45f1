//! What was decided about Gateways, and what from.

use std::sync::Arc;

use super::kept::Kept;
use crate::provision::Claims;
use crate::store::{Ground, Touched};
use crate::translate::gateway::Gateways;
use crate::translate::gateway_class::Classes;
use crate::translate::{Inputs, Options};

#[derive(Debug, Default)]
pub(super) struct Decided {
    from: Option<From>,
    kept: Kept,
    gateways: Arc<Gateways>,
}

/// Everything that [`Gateways::decide`] looks at.
#[derive(Debug)]
struct From {
    ground: Ground,
    claims: Claims,
    options: Options,
}

impl Decided {
    /// The very same as before, unless they come out otherwise.
    pub(super) fn gateways(&mut self, inputs: &Inputs<'_>, classes: &Classes<'_>) -> Arc<Gateways> {
        let ground = Ground::of(inputs.resources);
        let from = self.from.as_mut();
        if let Some(from) = from.filter(|from| from.is_of(inputs, &ground)) {
            // What is alike is compared once.
            from.ground = ground;
            self.kept.begin(Touched::default());
        } else {
            let before = self.from.take();
            if before
                .as_ref()
                .is_none_or(|from| from.options != *inputs.options)
            {
                self.kept = Kept::default();
            }
            let touched = before.map(|from| from.ground.touched(&ground));
            self.kept.begin(touched.unwrap_or_default());
            self.from = Some(From {
                ground,
                claims: inputs.provided.claims.clone(),
                options: inputs.options.clone(),
            });
            let anew = Gateways::decide(inputs, classes, &mut self.kept, &self.gateways);
            if !anew.is_same(&self.gateways) {
                self.gateways = Arc::new(anew);
            }
        }
        self.gateways.clone()
    }
}

impl Decided {
    /// How many Gateways and ListenerSets were drafted anew.
    pub(super) fn fresh(&self) -> usize {
        self.kept.fresh()
    }
}

impl From {
    fn is_of(&self, inputs: &Inputs<'_>, ground: &Ground) -> bool {
        self.ground.is_same(ground)
            && self.claims == inputs.provided.claims
            && self.options == *inputs.options
    }
}
