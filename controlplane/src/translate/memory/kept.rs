//! Drafts of Gateways and ListenerSets, each by itself: an edit drafts anew what it touches.

use std::collections::BTreeMap;
use std::sync::Arc;

use ringgate_core::ir::ObjectName;

use crate::api::gateway::Gateway;
use crate::api::listener_set::ListenerSet;
use crate::provision::Claim;
use crate::store::{Named, Resources, Touched};
use crate::translate::Inputs;
use crate::translate::gateway::{self, GatewayDraft, Site};
use crate::translate::listener_set::{self, SetDraft};
use crate::translate::problem::Finding;

#[derive(Debug, Default)]
pub(in crate::translate) struct Kept {
    /// What drafts refer to that is other than when they were made.
    touched: Touched,
    gateways: BTreeMap<ObjectName, KeptGateway>,
    sets: BTreeMap<ObjectName, Arc<SetDraft>>,
    /// Those that were asked for since others were forgotten last.
    asked: Asked,
    fresh: usize,
}

#[derive(Debug, Default)]
struct Asked {
    gateways: BTreeMap<ObjectName, KeptGateway>,
    sets: BTreeMap<ObjectName, Arc<SetDraft>>,
}

/// What a draft was made from, as far as it doesn't hold that itself.
#[derive(Debug)]
struct KeptGateway {
    claim: Option<Claim>,
    class: Option<Finding>,
    draft: Arc<GatewayDraft>,
}

impl Kept {
    /// Drafts are asked for anew, each once.
    pub(super) fn begin(&mut self, touched: Touched) {
        self.touched = touched;
        self.fresh = 0;
    }

    /// `class` is what is wrong with its class.
    pub(in crate::translate) fn gateway(
        &mut self,
        name: &ObjectName,
        gateway: &Arc<Gateway>,
        class: Option<Finding>,
        inputs: &Inputs<'_>,
    ) -> Arc<GatewayDraft> {
        let claim = inputs.provided.claims.get(name);
        let is_touched = self.touched.concern(|| Named::by_gateway(name, gateway));
        let before = self.gateways.remove(name);
        let same = before.as_ref().filter(|one| {
            !is_touched
                && Arc::ptr_eq(&one.draft.gateway, gateway)
                && one.claim.as_ref() == claim
                && one.class == class
        });
        let draft = match same {
            Some(same) => same.draft.clone(),
            None => {
                self.fresh += 1;
                let mut draft = gateway::draft(name, gateway, class.clone(), inputs);
                // What its sets were drafted with is as it was.
                let site = before.map(|one| one.draft.site.clone());
                let site = site.filter(|site| !is_touched && *site == draft.site);
                draft.site = site.unwrap_or(draft.site);
                Arc::new(draft)
            }
        };
        let kept = KeptGateway {
            claim: claim.cloned(),
            class,
            draft: draft.clone(),
        };
        self.asked.gateways.insert(name.clone(), kept);
        draft
    }

    /// `site` is that of its Gateway.
    pub(in crate::translate) fn set(
        &mut self,
        name: &ObjectName,
        set: &Arc<ListenerSet>,
        site: &Arc<Site>,
        resources: &Resources,
    ) -> Arc<SetDraft> {
        let touched = &self.touched;
        let is_touched = touched.namespaces.contains(&name.namespace)
            || touched.concern(|| Named::by_listeners(&name.namespace, &set.spec.listeners));
        let before = self.sets.remove(name).filter(|one| {
            !is_touched && Arc::ptr_eq(&one.set, set) && Arc::ptr_eq(&one.site, site)
        });
        let draft = before.unwrap_or_else(|| {
            self.fresh += 1;
            Arc::new(listener_set::draft(name, set, site, resources))
        });
        self.asked.sets.insert(name.clone(), draft.clone());
        draft
    }

    /// Forgets what wasn't asked for.
    pub(in crate::translate) fn forget_others(&mut self) {
        let Asked { gateways, sets } = std::mem::take(&mut self.asked);
        self.gateways = gateways;
        self.sets = sets;
    }

    /// How many were made anew when they were asked for last.
    pub(super) fn fresh(&self) -> usize {
        self.fresh
    }
}
