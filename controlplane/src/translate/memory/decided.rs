//! What was decided about Gateways, and what from.

use std::sync::Arc;

use crate::provision::Claims;
use crate::store::Ground;
use crate::translate::gateway::Gateways;
use crate::translate::gateway_class::Classes;
use crate::translate::{Inputs, Options};

#[derive(Debug, Default)]
pub(super) struct Decided {
    from: Option<From>,
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
        } else {
            self.from = Some(From {
                ground,
                claims: inputs.claims.clone(),
                options: inputs.options.clone(),
            });
            let anew = Gateways::decide(inputs, classes);
            if anew != *self.gateways {
                self.gateways = Arc::new(anew);
            }
        }
        self.gateways.clone()
    }
}

impl From {
    fn is_of(&self, inputs: &Inputs<'_>, ground: &Ground) -> bool {
        self.ground.is_same(ground)
            && self.claims == *inputs.claims
            && self.options == *inputs.options
    }
}
