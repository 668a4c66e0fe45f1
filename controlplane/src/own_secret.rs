//! A Secret in which the control planes of a cluster keep something of their own: the leader writes it as a
//! whole, all read it. What is in it is decided by whoever keeps it.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, PostParams};
use kube::{Client, Error as ClientError};

use crate::issue::NamespacedName;

pub(crate) type Entries = BTreeMap<String, Vec<u8>>;

pub(crate) struct OwnSecret {
    api: Api<Secret>,
    pub(crate) name: NamespacedName,
}

/// As it was read: what replaces it must be made of this one.
pub(crate) struct There(Option<Secret>);

impl OwnSecret {
    pub(crate) fn new(client: &Client, name: NamespacedName) -> Self {
        Self {
            api: Api::namespaced(client.clone(), &name.namespace),
            name,
        }
    }

    /// # Errors
    /// Those of the API server. That there is none is no error.
    pub(crate) async fn read(&self) -> Result<There, ClientError> {
        Ok(There(self.api.get_opt(&self.name.name).await?))
    }

    /// # Errors
    /// Those of the API server: a conflict, too, where another has written since.
    pub(crate) async fn write(&self, there: There, entries: Entries) -> Result<(), ClientError> {
        let data = entries.into_iter();
        let data = Some(data.map(|(key, value)| (key, ByteString(value))).collect());
        let how = PostParams::default();
        match there.0 {
            Some(there) => {
                let secret = Secret { data, ..there };
                self.api.replace(&self.name.name, &how, &secret).await?;
            }
            None => {
                let secret = Secret {
                    metadata: ObjectMeta {
                        name: Some(self.name.name.clone()),
                        ..ObjectMeta::default()
                    },
                    data,
                    ..Secret::default()
                };
                self.api.create(&how, &secret).await?;
            }
        }
        Ok(())
    }
}

impl There {
    /// None: there is no such Secret.
    pub(crate) fn entries(&self) -> Option<Entries> {
        let data = self.0.as_ref()?.data.iter().flatten();
        let entries = data.map(|(key, value)| (key.clone(), value.0.clone()));
        Some(entries.collect())
    }
}
