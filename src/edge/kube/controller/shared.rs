//! What all writers share: the client, the inventory, the right to write, and a bound on requests under way.

use super::health::Health;
use super::inventory::{Held, Inventory, Reference};
use super::lease::Standing;
use crate::edge::kube::objects::{self, Object, names};
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, Preconditions};
use kube::core::ApiResource;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// One request may take this long.
const PATIENCE: Duration = Duration::from_secs(10);
/// Requests for generated objects under way at the same time.
const REQUESTS: usize = 16;

/// Why something was not written.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// This controller does not lead, or is not sure of it.
    #[error("this controller does not lead")]
    Standby,
    /// The namespace is on its way out.
    #[error("the namespace is being deleted")]
    Terminating,
    /// The API server did not answer in time.
    #[error("the API server did not answer in {} s", PATIENCE.as_secs())]
    Slow,
    /// We never make objects of this kind.
    #[error("not a kind that is generated")]
    Unknown,
    /// The API server said no.
    #[error("{}", super::said(.0))]
    Kube(kube::Error),
}

impl Refused {
    /// What the API server has against the object itself, in its words: trying again does not help before somebody mends
    /// something.
    pub(super) fn denied(&self) -> Option<String> {
        match self {
            Self::Kube(kube::Error::Api(status)) if [400, 403, 422].contains(&status.code) => {
                Some(super::said(&kube::Error::Api(status.clone())))
            }
            Self::Kube(_) | Self::Standby | Self::Terminating | Self::Slow | Self::Unknown => None,
        }
    }

    /// Somebody else wrote in between.
    pub(super) fn conflicts(&self) -> bool {
        matches!(self, Self::Kube(kube::Error::Api(status)) if status.code == 409)
    }
}

/// See the module.
pub(super) struct Shared {
    pub(super) client: Client,
    /// The controller's.
    pub(super) namespace: String,
    pub(super) health: Arc<Health>,
    /// Guards what stands and what was applied; never held across a wait.
    inventory: Mutex<Inventory>,
    requests: Semaphore,
    kinds: HashMap<String, ApiResource>,
}

// === impl Shared ===

impl Shared {
    pub(super) fn new(client: Client, namespace: String, health: Arc<Health>) -> Self {
        let secret = ApiResource::erase::<Secret>(&());
        let kinds = objects::kinds().into_iter().chain([secret]);
        let kinds = kinds.map(|resource| (kind(&resource), resource)).collect();
        Self {
            client,
            namespace,
            health,
            inventory: Mutex::default(),
            requests: Semaphore::new(REQUESTS),
            kinds,
        }
    }

    pub(super) fn inventory(&self) -> MutexGuard<'_, Inventory> {
        self.inventory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies a wanted object, taking fields back from whoever changed them.
    pub(super) async fn apply(&self, object: &Object, reference: &Reference) -> Result<DynamicObject, Refused> {
        let api = self.api(&object.resource, &reference.namespace);
        let parameters = PatchParams::apply(names::MANAGER).force();
        let patch = Patch::Apply(&object.body);
        let applied = self.request(api.patch(&reference.name, &parameters, &patch)).await?;
        self.health.applied.inc();
        Ok(applied)
    }

    /// Deletes this very object, if it is still there.
    pub(super) async fn delete(&self, reference: &Reference, held: &Held) -> Result<(), Refused> {
        let resource = self.kinds.get(&*reference.kind).ok_or(Refused::Unknown)?;
        let api = self.api(resource, &reference.namespace);
        let parameters = DeleteParams {
            preconditions: Some(Preconditions {
                uid: Some(held.uid.to_string()),
                resource_version: None,
            }),
            ..DeleteParams::background()
        };
        match self.request(api.delete(&reference.name, &parameters)).await {
            // Gone, or another one of that name stands there: its own watch event tells.
            Err(Refused::Kube(kube::Error::Api(status))) if [404, 409].contains(&status.code) => Ok(()),
            Err(error) => Err(error),
            Ok(_) => {
                self.health.deleted.inc();
                Ok(())
            }
        }
    }

    /// Makes a request about a generated object, when it may be made.
    async fn request<T>(&self, request: impl Future<Output = Result<T, kube::Error>>) -> Result<T, Refused> {
        // The semaphore is never closed.
        let _permit = self.requests.acquire().await;
        self.write(request).await
    }

    /// Makes a request about a status, when this controller may make any.
    pub(super) async fn status<T>(&self, request: impl Future<Output = Result<T, kube::Error>>) -> Result<T, Refused> {
        self.write(request).await
    }

    async fn write<T>(&self, request: impl Future<Output = Result<T, kube::Error>>) -> Result<T, Refused> {
        if self.health.stands() != Standing::Leading {
            return Err(Refused::Standby);
        }
        let outcome = self.bounded(request).await;
        if outcome.is_err() {
            self.health.failures.inc();
        }
        outcome
    }

    async fn bounded<T>(&self, request: impl Future<Output = Result<T, kube::Error>>) -> Result<T, Refused> {
        match tokio::time::timeout(PATIENCE, request).await {
            Err(_) => Err(Refused::Slow),
            Ok(Err(kube::Error::Api(status))) if status.code == 403 && status.message.contains("being terminated") => {
                Err(Refused::Terminating)
            }
            Ok(other) => other.map_err(Refused::Kube),
        }
    }

    fn api(&self, resource: &ApiResource, namespace: &str) -> Api<DynamicObject> {
        match namespace {
            "" => Api::all_with(self.client.clone(), resource),
            namespace => Api::namespaced_with(self.client.clone(), namespace, resource),
        }
    }
}

/// As a [`Reference`] names it.
pub(super) fn kind(resource: &ApiResource) -> String {
    match resource.group.as_str() {
        "" => resource.kind.clone(),
        group => format!("{}.{group}", resource.kind),
    }
}
