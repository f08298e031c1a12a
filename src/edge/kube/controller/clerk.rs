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
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tracing::{debug, warn};

/// Statuses that are written at the same time: thousands of them must not keep routes waiting.
const STATUSES: usize = 8;
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
    let mut desk = Desk::default();
    let mut running: FuturesUnordered<BoxFuture<'static, (Key, Step)>> = FuturesUnordered::new();
    loop {
        while let Some(change) = desk.next() {
            let shared = Arc::clone(&shared);
            running.push(Box::pin(async move {
                let written = put(&shared, &change).await;
                (change.key.clone(), Step::Written(written, change))
            }));
        }
        let (key, step) = tokio::select! {
            change = changes.recv() => match change {
                Some(change) => {
                    desk.take(Arc::new(change));
                    continue;
                }
                None => return,
            },
            Some(step) = running.next() => step,
        };
        if let Some(key) = desk.done(key, step) {
            running.push(Box::pin(async move {
                tokio::time::sleep(PAUSE).await;
                (key, Step::Paused)
            }));
        }
    }
}

/// What has happened to an object's status.
enum Step {
    Written(Written, Arc<StatusChange>),
    /// Long enough since it could not be written.
    Paused,
}

/// What is to be written, and what is under way: one status of an object at a time, and so many in all. Those that wait are
/// replaced by newer ones, so many changes at once cost one request each.
#[derive(Default)]
struct Desk {
    /// By object, the newest.
    waiting: HashMap<Key, Arc<StatusChange>>,
    /// Those of `waiting` that may be written; entries in statuses of others' objects come after all others.
    first: VecDeque<Key>,
    then: VecDeque<Key>,
    /// Being written, or pausing.
    busy: HashSet<Key>,
    running: usize,
}

// === impl Desk ===

impl Desk {
    fn take(&mut self, change: Arc<StatusChange>) {
        let key = change.key.clone();
        let news = self.waiting.insert(key.clone(), change).is_none();
        if news && !self.busy.contains(&key) {
            self.queue(key);
        }
    }

    fn queue(&mut self, key: Key) {
        match self.waiting.get(&key).map(|change| &change.status) {
            Some(Status::Applied(_)) => self.first.push_back(key),
            Some(Status::Parents(_)) => self.then.push_back(key),
            None => {}
        }
    }

    /// What is to be written now; `None`: enough is under way, or nothing waits.
    fn next(&mut self) -> Option<Arc<StatusChange>> {
        if self.running >= STATUSES {
            return None;
        }
        let key = self.first.pop_front().or_else(|| self.then.pop_front())?;
        let change = self.waiting.remove(&key)?;
        self.busy.insert(key);
        self.running += 1;
        Some(change)
    }

    /// Returns the object where there is to be a pause.
    fn done(&mut self, key: Key, step: Step) -> Option<Key> {
        if let Step::Written(written, change) = step {
            self.running -= 1;
            if written == Written::Again {
                // It stays busy: whatever comes meanwhile waits too.
                self.waiting.entry(key.clone()).or_insert(change);
                return Some(key);
            }
        }
        self.busy.remove(&key);
        self.queue(key);
        None
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
    let mut object = shared.status(api.get(&owner.place.name)).await?;
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
    shared.status(request).await.map(|_| ())
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
    use crate::edge::kube::index::{Kind, Object, place};

    fn mk_change(name: &str, status: Status) -> Arc<StatusChange> {
        let namespace = json!({"metadata": {"name": name, "uid": "u"}});
        let object = Object::Namespace(Arc::new(serde_json::from_value(namespace).unwrap()));
        Arc::new(StatusChange {
            key: Key::new(Kind::Registration, place("team", name)),
            owner: object.owner(),
            status,
        })
    }

    fn applied(name: &str, number: u32) -> Arc<StatusChange> {
        mk_change(name, Status::Applied(json!(number)))
    }

    fn written(desk: &mut Desk, change: Arc<StatusChange>, written: Written) -> Option<Key> {
        desk.done(change.key.clone(), Step::Written(written, change))
    }

    #[test]
    fn of_what_waits_only_the_newest_is_written() {
        let mut desk = Desk::default();
        desk.take(applied("a", 1));
        let first = desk.next().expect("it may be written");
        desk.take(applied("a", 2));
        desk.take(applied("a", 3));
        assert!(desk.next().is_none(), "one of an object at a time");
        assert_eq!(written(&mut desk, first, Written::Done), None);
        let second = desk.next().expect("a newer one waits");
        assert_eq!(second, applied("a", 3));
        written(&mut desk, second, Written::Done);
        assert!(desk.next().is_none() && desk.busy.is_empty() && desk.waiting.is_empty());
    }

    #[test]
    fn what_cannot_be_written_pauses_and_a_newer_one_takes_its_place() {
        let mut desk = Desk::default();
        desk.take(applied("a", 1));
        let first = desk.next().expect("it may be written");
        let pausing = written(&mut desk, first, Written::Again).expect("a pause");
        desk.take(applied("a", 2));
        assert!(desk.next().is_none(), "it pauses");
        assert_eq!(desk.done(pausing, Step::Paused), None);
        assert_eq!(desk.next(), Some(applied("a", 2)));
    }

    #[test]
    fn entries_in_others_statuses_come_last_and_so_many_are_under_way() {
        let mut desk = Desk::default();
        desk.take(mk_change("route", Status::Parents(Vec::new())));
        let names: Vec<String> = (0..STATUSES).map(|number| number.to_string()).collect();
        names.iter().for_each(|name| desk.take(applied(name, 1)));
        let under_way: Vec<_> = std::iter::from_fn(|| desk.next()).collect();
        assert_eq!(under_way.len(), STATUSES);
        assert!(
            under_way
                .iter()
                .all(|change| matches!(change.status, Status::Applied(_)))
        );
        written(&mut desk, Arc::clone(&under_way[0]), Written::Done);
        assert!(matches!(desk.next().expect("room").status, Status::Parents(_)));
    }

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
