//! Notices as Events: each once when it begins to hold, not again while it lasts.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tracing::debug;

use crate::api::{CONTROLLER_NAME, ObjectKey};
use crate::error::chain;
use crate::limits::API_CALL;
use crate::status::notice::Notice;

pub(super) struct Announcer {
    recorder: Recorder,
    told: BTreeSet<Notice>,
}

impl Announcer {
    pub(super) fn new(client: Client) -> Self {
        let reporter = Reporter {
            controller: CONTROLLER_NAME.to_owned(),
            instance: None,
        };
        Self {
            recorder: Recorder::new(client, reporter),
            told: BTreeSet::new(),
        }
    }

    /// What to publish of all that holds now. `uid` knows the objects that are in the cluster.
    pub(super) fn fresh(
        &mut self,
        notices: BTreeSet<Notice>,
        uid: impl Fn(&ObjectKey) -> Option<String>,
    ) -> Vec<(Event, ObjectReference)> {
        let fresh = notices.difference(&self.told);
        let events = fresh.map(|notice| {
            let known = notice.uid.as_ref().map(ToString::to_string);
            let uid = known.or_else(|| uid(&notice.object));
            (event(notice), reference(&notice.object, uid))
        });
        let events = events.collect();
        self.told = notices;
        events
    }

    /// An Event that can't be written is no harm: the log has it too.
    pub(super) fn publish(
        &self,
        events: Vec<(Event, ObjectReference)>,
    ) -> impl Future<Output = ()> + use<> {
        let recorder = self.recorder.clone();
        async move {
            for (event, reference) in events {
                let published = recorder.publish(&event, &reference);
                match tokio::time::timeout(API_CALL, published).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => debug!("an Event can't be written: {}", chain(&error)),
                    Err(_) => debug!("an Event can't be written in time"),
                }
            }
        }
    }
}

fn event(notice: &Notice) -> Event {
    // Kubernetes takes 1024 bytes.
    let mut note = notice.message.clone();
    note.truncate(note.floor_char_boundary(1000));
    Event {
        type_: match notice.is_good {
            true => EventType::Normal,
            false => EventType::Warning,
        },
        reason: notice.reason.to_owned(),
        note: Some(note),
        action: "Serve".to_owned(),
        secondary: None,
    }
}

fn reference(object: &ObjectKey, uid: Option<String>) -> ObjectReference {
    let kind = object.kind;
    let version = kind.versions().first().copied().unwrap_or("v1");
    let api_version = match kind.group() {
        "" => version.to_owned(),
        group => format!("{group}/{version}"),
    };
    let namespace = object.name.namespace.to_string();
    ObjectReference {
        api_version: Some(api_version),
        kind: Some(kind.as_str().to_owned()),
        namespace: (!namespace.is_empty()).then_some(namespace),
        name: Some(object.name.name.to_string()),
        uid,
        ..ObjectReference::default()
    }
}
