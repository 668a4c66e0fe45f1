//! Writes into a cluster what is generated for Gateways, by server-side apply, and what Services of type LoadBalancer
//! have: only while this process leads, and only what isn't there yet.
//!
//! What is decided stands in [`super::service`]; `backlog` says what is left to do (pure).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use kube::api::{Api, DeleteParams, Patch, PatchParams};
use kube::discovery::ApiResource;
use kube::{Client, Error as ClientError};
use serde_json::json;
use tokio::sync::watch;
use tracing::{info, warn};

use super::backlog::{Backlog, Step};
use super::service::{ADDRESSES, Generated};
use crate::api::{ObjectKey, ObjectKind};
use crate::limits::{GENERATE_AGAIN, GENERATE_AGAIN_MOST};
use crate::wake::at;
use crate::watch::kube::{CallError, Pause, Raw, api_of, in_time, served};

/// Where a writer's knowledge comes from.
#[derive(Debug)]
pub struct Inputs {
    pub generated: watch::Receiver<Arc<Generated>>,
    /// Nothing is written as long as this is false.
    pub leading: watch::Receiver<bool>,
}

/// Who we are in `managedFields`: another than for statuses, since apply takes away what it doesn't say.
const FIELD_MANAGER: &str = "ringgate-provision";

/// Writes until nobody says any more what is wanted.
pub async fn write(client: Client, mut inputs: Inputs) {
    let mut writer = Writer {
        client,
        backlog: Backlog::default(),
        resources: BTreeMap::new(),
        told: None,
    };
    let mut pause = Pause::new(GENERATE_AGAIN, GENERATE_AGAIN_MOST);
    let mut again: Option<Instant> = None;
    loop {
        let changed = tokio::select! {
            changed = inputs.generated.changed() => changed,
            changed = inputs.leading.changed() => {
                // Another may have written meanwhile.
                writer.backlog = Backlog::default();
                changed
            }
            () = at(again) => Ok(()),
        };
        if changed.is_err() {
            return;
        }
        again = None;
        let generated = inputs.generated.borrow_and_update().clone();
        let leading = *inputs.leading.borrow_and_update();
        if leading && !writer.write(&generated).await {
            again = Some(Instant::now() + pause.next());
        } else {
            pause.reset();
        }
    }
}

fn merging() -> PatchParams {
    PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    }
}

/// An object that is gone meanwhile needs nothing any more.
fn unless_gone<T>(done: Result<T, ClientError>) -> Result<(), ClientError> {
    match done {
        Ok(_) => Ok(()),
        Err(ClientError::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(error),
    }
}

struct Writer {
    client: Client,
    backlog: Backlog,
    /// The version of each kind that the cluster serves.
    resources: BTreeMap<ObjectKind, ApiResource>,
    /// What failed last, so that it is logged once.
    told: Option<String>,
}

impl Writer {
    /// Whether all of it is written now. One that fails doesn't hold up the others.
    async fn write(&mut self, generated: &Generated) -> bool {
        let mut failed = false;
        for step in self.backlog.steps(generated) {
            match in_time(self.take(&step)).await {
                Ok(()) => self.backlog.done(step),
                Err(error) => {
                    failed = true;
                    self.tell(&step, &error);
                }
            }
        }
        if !failed && self.told.take().is_some() {
            info!("what is generated for Gateways and allocated to Services can be written again");
        }
        !failed
    }

    async fn take(&mut self, step: &Step) -> Result<(), CallError> {
        let key = step.key();
        let api = self.api(&key).await?;
        let name = &*key.name.name;
        let how = PatchParams::apply(FIELD_MANAGER).force();
        match step {
            Step::Apply(_, object) => {
                api.patch(name, &how, &Patch::Apply(object)).await?;
            }
            Step::Status(_, status) => {
                let object = json!({
                    "apiVersion": "v1",
                    "kind": "Service",
                    "metadata": {"name": name},
                    "status": status,
                });
                let written = api.patch_status(name, &how, &Patch::Apply(&object)).await;
                unless_gone(written)?;
            }
            Step::Note(_, addresses) => {
                let note = json!({"metadata": {"annotations": {ADDRESSES: addresses}}});
                // An apply would make a Service that is gone.
                let written = api.patch(name, &merging(), &Patch::Merge(&note)).await;
                unless_gone(written)?;
            }
            Step::Release(_) => {
                let nothing = json!({"status": {"loadBalancer": {"ingress": null}}});
                let nothing = Patch::Merge(&nothing);
                unless_gone(api.patch_status(name, &merging(), &nothing).await)?;
                let nothing = json!({"metadata": {"annotations": {ADDRESSES: null}}});
                let nothing = Patch::Merge(&nothing);
                unless_gone(api.patch(name, &merging(), &nothing).await)?;
            }
            Step::Delete(_) => unless_gone(api.delete(name, &DeleteParams::default()).await)?,
        }
        Ok(())
    }

    async fn api(&mut self, key: &ObjectKey) -> Result<Api<Raw>, CallError> {
        let kind = key.kind;
        if !self.resources.contains_key(&kind) {
            let found = served(&self.client, kind).await?;
            self.resources.insert(kind, found);
        }
        let resource = self.resources.get(&kind).ok_or(CallError::NoKind)?;
        Ok(api_of(&self.client, key, resource))
    }

    fn tell(&mut self, step: &Step, error: &CallError) {
        let text = error.to_string();
        if self.told.as_ref() == Some(&text) {
            return;
        }
        let remedy = match error.is_forbidden() {
            true => {
                "\n    remedy: allow create, patch and delete of services and endpointslices, and \
                 patch of services/status, in the role"
            }
            false => "",
        };
        warn!(
            "{} can't be written, it is tried again: {text}{remedy}",
            step.key()
        );
        self.told = Some(text);
    }
}
