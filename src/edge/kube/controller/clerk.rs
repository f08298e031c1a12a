//! Writes statuses and events. Of several statuses of one object only the newest is written; a status that cannot be
//! written is tried again until it can, or until its object is gone.

use super::shared::{Refused, Shared};
use crate::edge::kube::index::{CONTROLLER, Key, Note, Status, StatusChange, Weight};
use crate::edge::kube::objects::names;
use crate::edge::kube::plan::Owner;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tracing::{debug, warn};

/// Pause before a status is tried again.
const PAUSE: Duration = Duration::from_secs(1);
/// Events that wait to be recorded; more are dropped.
const EVENTS: usize = 256;
/// An event may take this long.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longer messages are cut by us, not refused by the API server.
const LONGEST_NOTE: usize = 1000;

/// What became of a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    /// It stands, or its object does not any more.
    Done,
    /// Try again.
    Again,
}

/// Writes what it is given until nobody gives anything any more.
pub(super) async fn write(shared: Arc<Shared>, mut changes: mpsc::UnboundedReceiver<StatusChange>) {
    let mut desk = Desk {
        shared,
        newest: HashMap::new(),
        running: FuturesUnordered::new(),
    };
    loop {
        tokio::select! {
            change = changes.recv() => match change {
                Some(change) => desk.take(change),
                None => return,
            },
            Some((key, written)) = desk.running.next() => desk.done(&key, written),
        }
    }
}

struct Desk {
    shared: Arc<Shared>,
    /// By object: the newest status, and whether it is newer than the one that is being written.
    newest: HashMap<Key, (Arc<StatusChange>, bool)>,
    running: FuturesUnordered<BoxFuture<'static, (Key, Written)>>,
}

// === impl Desk ===

impl Desk {
    fn take(&mut self, change: StatusChange) {
        let key = change.key.clone();
        let change = Arc::new(change);
        let running = self.newest.insert(key, (Arc::clone(&change), true)).is_some();
        if !running {
            self.start(change, Duration::ZERO);
        }
    }

    fn done(&mut self, key: &Key, written: Written) {
        let Some((change, newer)) = self.newest.get(key) else {
            return;
        };
        let change = Arc::clone(change);
        match (newer, written) {
            (true, _) => self.start(change, Duration::ZERO),
            (false, Written::Again) => self.start(change, PAUSE),
            (false, Written::Done) => {
                self.newest.remove(key);
            }
        }
    }

    fn start(&mut self, change: Arc<StatusChange>, pause: Duration) {
        let key = change.key.clone();
        self.newest.insert(key.clone(), (Arc::clone(&change), false));
        let shared = Arc::clone(&self.shared);
        self.running.push(Box::pin(async move {
            tokio::time::sleep(pause).await;
            let written = put(&shared, &change).await;
            (key, written)
        }));
    }
}

/// Writes one status.
async fn put(shared: &Shared, change: &StatusChange) -> Written {
    let api = api(shared, &change.owner);
    let outcome = match &change.status {
        Status::Applied(status) => apply(shared, &api, &change.owner, status).await,
        Status::Parents(parents) => replace(shared, &api, &change.owner, &json!(parents)).await,
    };
    let Owner { kind, place, .. } = &change.owner;
    match outcome {
        Ok(()) => {
            shared.health.statuses.inc();
            Written::Done
        }
        Err(Refused::Kube(kube::Error::Api(status))) if status.code == 404 => Written::Done,
        // Another object of that name: the watch tells.
        Err(Refused::Kube(kube::Error::Api(status))) if status.code == 409 && status.message.contains("uid") => {
            Written::Done
        }
        // Somebody else writes to it just now, which is no trouble.
        Err(error) if error.conflicts() => {
            debug!(%kind, namespace = %place.namespace, name = %place.name, %error, "A status is written again.");
            Written::Again
        }
        Err(error @ (Refused::Standby | Refused::Terminating)) => {
            debug!(%kind, namespace = %place.namespace, name = %place.name, %error, "A status is not written for now.");
            Written::Again
        }
        Err(error @ (Refused::Kube(_) | Refused::Slow | Refused::Unknown)) => {
            warn!(%kind, namespace = %place.namespace, name = %place.name, %error, "A status cannot be written.");
            Written::Again
        }
    }
}

async fn apply(shared: &Shared, api: &Api<DynamicObject>, owner: &Owner, status: &Value) -> Result<(), Refused> {
    let body = json!({
        "apiVersion": &*owner.api_version,
        "kind": &*owner.kind,
        "metadata": { "name": &*owner.place.name, "namespace": &*owner.place.namespace, "uid": &*owner.uid },
        "status": status,
    });
    let parameters = PatchParams::apply(names::MANAGER).force();
    let patch = Patch::Apply(&body);
    let request = api.patch_status(&owner.place.name, &parameters, &patch);
    shared.status(request).await.map(|_| ())
}

async fn replace(shared: &Shared, api: &Api<DynamicObject>, owner: &Owner, ours: &Value) -> Result<(), Refused> {
    let mut object = shared.entry(api.get(&owner.place.name)).await?;
    if object.metadata.uid.as_deref() != Some(&*owner.uid) {
        return Ok(());
    }
    let Some(parents) = merged(object.data.pointer("/status/parents"), ours) else {
        return Ok(());
    };
    if let Some(data) = object.data.as_object_mut() {
        data.insert("status".to_owned(), json!({ "parents": parents }));
    }
    let parameters = PostParams::default();
    let request = api.replace_status(&owner.place.name, &parameters, &object);
    shared.entry(request).await.map(|_| ())
}

/// The entries of other controllers as they stand, then ours. `None`: nothing changes.
fn merged(shown: Option<&Value>, ours: &Value) -> Option<Vec<Value>> {
    let shown: &[Value] = shown.and_then(Value::as_array).map_or(&[], Vec::as_slice);
    let is_ours = |entry: &&Value| entry.get("controllerName").and_then(Value::as_str) == Some(CONTROLLER);
    let ours: &[Value] = ours.as_array().map_or(&[], Vec::as_slice);
    if shown.iter().filter(is_ours).eq(ours) {
        return None;
    }
    let others = shown.iter().filter(|entry| !is_ours(entry));
    Some(others.chain(ours).cloned().collect())
}

fn api(shared: &Shared, owner: &Owner) -> Api<DynamicObject> {
    let (group, version) = owner.api_version.split_once('/').unwrap_or(("", &owner.api_version));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &owner.kind));
    match &*owner.place.namespace {
        "" => Api::all_with(shared.client.clone(), &resource),
        namespace => Api::namespaced_with(shared.client.clone(), namespace, &resource),
    }
}

// === events ===

/// Takes events for [`record`]; where too many wait, they are dropped.
pub(super) fn events() -> (mpsc::Sender<Note>, mpsc::Receiver<Note>) {
    mpsc::channel(EVENTS)
}

/// Records events until nobody has any more. They are for people: one that cannot be recorded is not missed.
pub(super) async fn record(shared: Arc<Shared>, identity: String, mut notes: mpsc::Receiver<Note>) {
    let reporter = Reporter {
        controller: "mcp-manifold/controller".to_owned(),
        instance: Some(identity),
    };
    let recorder = Recorder::new(shared.client.clone(), reporter);
    while let Some(note) = notes.recv().await {
        let (event, about) = (event(&note), about(&note.about));
        match tokio::time::timeout(PATIENCE, recorder.publish(&event, &about)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(error = super::said(&error), "An event cannot be recorded."),
            Err(_) => debug!("An event cannot be recorded in time."),
        }
    }
}

fn event(note: &Note) -> Event {
    let end = note.message.floor_char_boundary(LONGEST_NOTE);
    Event {
        type_: match note.weight {
            Weight::Normal => EventType::Normal,
            Weight::Warning => EventType::Warning,
        },
        reason: note.reason.clone(),
        note: note.message.get(..end).map(str::to_owned),
        action: "Reconcile".to_owned(),
        secondary: None,
    }
}

fn about(owner: &Owner) -> ObjectReference {
    ObjectReference {
        api_version: Some(owner.api_version.to_string()),
        kind: Some(owner.kind.to_string()),
        namespace: Some(owner.place.namespace.to_string()).filter(|namespace| !namespace.is_empty()),
        name: Some(owner.place.name.to_string()),
        uid: Some(owner.uid.to_string()),
        ..ObjectReference::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_other_controllers_stay_as_they_are() {
        let theirs = json!({"controllerName": "example.com/theirs", "parentRef": {"name": "a"}, "later": 1});
        let old = json!({"controllerName": CONTROLLER, "parentRef": {"name": "a"}, "conditions": []});
        let new = json!([{"controllerName": CONTROLLER, "parentRef": {"name": "b"}, "conditions": []}]);
        let shown = json!([old, theirs]);
        assert_eq!(merged(Some(&shown), &new), Some(vec![theirs.clone(), new[0].clone()]));
        assert_eq!(merged(Some(&json!([theirs, old])), &json!([old])), None, "as it stands");
        assert_eq!(merged(None, &json!([])), None);
        assert_eq!(merged(Some(&json!([old])), &json!([])), Some(vec![]));
    }
}
