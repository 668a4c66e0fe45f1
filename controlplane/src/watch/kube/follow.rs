//! One watch: finds the version of a kind that the cluster serves, lists its objects, then follows
//! their changes; whatever fails is tried again.

use std::time::Instant;

use futures_util::{StreamExt, pin_mut};
use kube::api::Api;
use kube::discovery::ApiResource;
use kube::runtime::watcher::{self, watcher};
use kube::{Client, Error as ClientError};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::gather::{Message, Scope, Trouble};
use super::pause::Pause;
use super::raw::Raw;
use crate::api::{ObjectKey, ObjectKind};
use crate::error::chain;
use crate::limits::{ABSENCE_PATIENCE, WATCH_PAUSE_AT_LEAST, WATCH_PAUSE_AT_MOST, WATCH_SECONDS};

/// Secrets of this type alone are watched as a kind.
const TLS_SECRETS: &str = "type=kubernetes.io/tls";

/// Follows `scope` until nobody listens.
pub(super) async fn follow(client: Client, scope: Scope, messages: mpsc::Sender<Message>) {
    let mut follower = Follower {
        client,
        kind: scope.kind(),
        scope,
        messages,
        pause: Pause::new(WATCH_PAUSE_AT_LEAST, WATCH_PAUSE_AT_MOST),
        failing: true,
        was_there: false,
        absent_since: None,
    };
    while follower.turn().await.is_ok() {
        sleep(follower.pause.next()).await;
    }
}

struct Follower {
    client: Client,
    scope: Scope,
    kind: ObjectKind,
    messages: mpsc::Sender<Message>,
    pause: Pause,
    failing: bool,
    was_there: bool,
    absent_since: Option<Instant>,
}

/// Nobody listens any more.
struct Closed;

impl Follower {
    /// From finding the kind until the watch breaks.
    async fn turn(&mut self) -> Result<(), Closed> {
        match find(&self.client, self.kind).await {
            Ok(Some(resource)) => {
                self.absent_since = None;
                self.watch(&resource).await
            }
            Ok(None) => self.miss().await,
            Err(error) => self.fail(trouble(&error)).await,
        }
    }

    /// A kind that was there and isn't any more may come back: API servers that start know their
    /// CRDs only after a moment.
    async fn miss(&mut self) -> Result<(), Closed> {
        self.work().await?;
        let since = *self.absent_since.get_or_insert_with(Instant::now);
        if self.was_there && since.elapsed() < ABSENCE_PATIENCE {
            return Ok(());
        }
        self.was_there = false;
        self.say(Message::Absent(self.kind)).await
    }

    /// Returns when the kind has to be looked for anew; errors that pass are waited out here.
    async fn watch(&mut self, resource: &ApiResource) -> Result<(), Closed> {
        let (api, config) = self.what(resource);
        let events = watcher(api, config);
        pin_mut!(events);
        let mut listed = Vec::new();
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => self.hear(event, &mut listed).await?,
                // The list is made anew.
                Err(error) if is_expired(&error) => {}
                Err(error) => {
                    listed.clear();
                    self.fail(trouble_of_watch(&error)).await?;
                    if is_not_found(&error) {
                        return Ok(());
                    }
                    sleep(self.pause.next()).await;
                }
            }
        }
        Ok(())
    }

    fn what(&self, resource: &ApiResource) -> (Api<Raw>, watcher::Config) {
        let config = watcher::Config::default().timeout(WATCH_SECONDS);
        match &self.scope {
            Scope::Kind(ObjectKind::Secret) => {
                let api = Api::all_with(self.client.clone(), resource);
                (api, config.fields(TLS_SECRETS))
            }
            Scope::Kind(_) => (Api::all_with(self.client.clone(), resource), config),
            Scope::One(ObjectKey { name, .. }) => {
                let api = Api::namespaced_with(self.client.clone(), &name.namespace, resource);
                (api, config.fields(&format!("metadata.name={}", name.name)))
            }
        }
    }

    async fn hear(
        &mut self,
        event: watcher::Event<Raw>,
        listed: &mut Vec<super::raw::Seen>,
    ) -> Result<(), Closed> {
        let scope = self.scope.clone();
        let message = match event {
            watcher::Event::Init => {
                listed.clear();
                return Ok(());
            }
            watcher::Event::InitApply(raw) => {
                // Taken apart at once: the list as JSON may be ten times what is kept.
                listed.push(raw.into_seen(self.kind));
                return Ok(());
            }
            watcher::Event::InitDone => {
                self.was_there = true;
                Message::Listed(scope, std::mem::take(listed))
            }
            watcher::Event::Apply(raw) => Message::Applied(scope, raw.into_seen(self.kind)),
            watcher::Event::Delete(raw) => Message::Deleted(scope, raw.key(self.kind)),
        };
        self.pause.reset();
        self.say(message).await?;
        self.work().await
    }

    async fn work(&mut self) -> Result<(), Closed> {
        if std::mem::take(&mut self.failing) {
            self.say(Message::Working(self.scope.clone())).await?;
        }
        Ok(())
    }

    async fn fail(&mut self, trouble: Trouble) -> Result<(), Closed> {
        self.failing = true;
        self.say(Message::Failing(self.scope.clone(), trouble))
            .await
    }

    async fn say(&mut self, message: Message) -> Result<(), Closed> {
        self.messages.send(message).await.map_err(|_| Closed)
    }
}

/// The first of the kind's versions that the cluster serves.
pub(crate) async fn find(
    client: &Client,
    kind: ObjectKind,
) -> Result<Option<ApiResource>, ClientError> {
    for version in kind.versions() {
        let api_version = match kind.group() {
            "" => (*version).to_owned(),
            group => format!("{group}/{version}"),
        };
        let listed = match kind.group() {
            "" => client.list_core_api_resources(version).await,
            _ => client.list_api_group_resources(&api_version).await,
        };
        let listed = match listed {
            Ok(listed) => listed,
            Err(ClientError::Api(status)) if status.code == 404 => continue,
            Err(error) => return Err(error),
        };
        // Subresources have a slash in their names.
        let mut resources = listed.resources.into_iter();
        let found = resources.find(|one| one.kind == kind.as_str() && !one.name.contains('/'));
        if let Some(found) = found {
            return Ok(Some(ApiResource {
                group: kind.group().to_owned(),
                version: (*version).to_owned(),
                api_version,
                kind: found.kind,
                plural: found.name,
            }));
        }
    }
    Ok(None)
}

fn trouble(error: &ClientError) -> Trouble {
    match error {
        ClientError::Api(status) if status.code == 403 || status.code == 401 => {
            Trouble::Forbidden(status.message.clone())
        }
        ClientError::Api(status) => Trouble::Unreachable(status.message.clone()),
        error => Trouble::Unreachable(chain(error)),
    }
}

fn trouble_of_watch(error: &watcher::Error) -> Trouble {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => trouble(error),
        watcher::Error::WatchError(status) => Trouble::Unreachable(status.message.clone()),
        watcher::Error::NoResourceVersion => Trouble::Unreachable(error.to_string()),
    }
}

/// The server has forgotten the version that we went on from.
fn is_expired(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::WatchError(status) if status.code == 410)
}

/// The kind has gone, or is served at another version now.
fn is_not_found(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(ClientError::Api(status))
        | watcher::Error::WatchStartFailed(ClientError::Api(status)) => status.code == 404,
        _ => false,
    }
}
