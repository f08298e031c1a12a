//! A cluster in a few lines: objects as YAML, an index that holds them, and what it says.

use super::super::*;
use crate::edge::kube::plan;
use crate::engine::assignment::Report;
use crate::engine::status::{Reason, UpstreamStatus};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// An index and a clock.
pub(super) struct World {
    pub(super) index: Index,
    pub(super) now: Timestamp,
}

/// What has changed, for looking things up.
pub(super) struct Seen(pub(super) Changes);

/// The Gateway of the guide.
pub(super) const GATEWAY: &str = "gateway-system/mcp-gateway";

const GUIDE: &str = include_str!("guide.yaml");

fn read<T: DeserializeOwned>(value: &Value) -> Arc<T> {
    Arc::new(serde_json::from_value(value.clone()).expect("an object of its kind"))
}

fn changed<T: Clone>(object: &Arc<T>, change: impl FnOnce(&mut T)) -> Arc<T> {
    let mut object = T::clone(object);
    change(&mut object);
    Arc::new(object)
}

fn of<T: DeserializeOwned>(status: Value) -> Option<T> {
    Some(serde_json::from_value(status).expect("a status"))
}

/// Any object, by its kind.
pub(super) fn mk_object(value: &Value) -> Object {
    match value["kind"].as_str().expect("a kind") {
        "MCPGatewayExtension" => Object::Extension(read(value)),
        "MCPServerRegistration" => Object::Registration(read(value)),
        "MCPVirtualServer" => Object::VirtualServer(read(value)),
        "AgentgatewayBackend" => Object::AgentgatewayBackend(read(value)),
        "Backend" => Object::KgatewayBackend(read(value)),
        "Gateway" => Object::Gateway(read(value)),
        "GatewayClass" => Object::GatewayClass(read(value)),
        "HTTPRoute" => Object::Route(read(value)),
        "ReferenceGrant" => Object::Grant(read(value)),
        "BackendTLSPolicy" => Object::TlsPolicy(read(value)),
        "Service" => Object::Service(read(value)),
        "EndpointSlice" => Object::EndpointSlice(read(value)),
        "Secret" => Object::Secret(read(value)),
        "ConfigMap" => Object::ConfigMap(read(value)),
        "Namespace" => Object::Namespace(read(value)),
        "EnvoyProxy" => Object::EnvoyProxy(read(value)),
        other => panic!("no {other} is read"),
    }
}

/// Documents of a YAML text.
pub(super) fn documents(text: &str) -> Vec<Value> {
    let documents = text.split("\n---\n").filter(|document| !document.trim().is_empty());
    documents
        .map(|document| serde_saphyr::from_str(document).expect("YAML"))
        .collect()
}

/// `namespace/name`
pub(super) fn at(text: &str) -> Place {
    let (namespace, name) = text.split_once('/').expect("namespace/name");
    place(namespace, name)
}

/// A report of an upstream that was listed.
pub(super) fn mk_report(upstream: &plan::Upstream, tools: usize) -> UpstreamStatus {
    let assigned = &upstream.assigned;
    UpstreamStatus {
        name: assigned.name.clone(),
        prefix: assigned.prefix.clone(),
        url: assigned.url.to_string(),
        enabled: assigned.enabled,
        ready: true,
        reason: Reason::Ready,
        eras: Vec::new(),
        protocol_version: None,
        tools,
        prompts: 0,
        resources: 0,
        last_listed: None,
        last_error: None,
        warnings: Vec::new(),
    }
}

impl World {
    /// Empty.
    pub(super) fn new() -> Self {
        Self {
            index: Index::new(Settings::default()),
            now: Timestamp::from_second(1_000).expect("a time"),
        }
    }

    /// The objects of the registration guide.
    pub(super) fn guide() -> Self {
        let mut world = Self::new();
        world.apply(GUIDE);
        world
    }

    /// The guide's, served, listed by one processor, and settled.
    pub(super) fn ready() -> Self {
        let mut world = Self::guide();
        let plan = world.settle().plan(GATEWAY).expect("it is served");
        world.told(Told::Connected {
            processor: "one".into(),
        });
        world.report(&plan, 5);
        world.pass(20);
        world.settle();
        world.settle();
        world
    }

    /// Applies every document.
    pub(super) fn apply(&mut self, text: &str) {
        for document in documents(text) {
            self.index.apply(mk_object(&document));
        }
    }

    /// The object of the guide, changed.
    pub(super) fn change(&mut self, kind: &str, name: &str, change: impl FnOnce(&mut Value)) {
        let mut found = documents(GUIDE)
            .into_iter()
            .filter(|document| document["kind"] == kind && document["metadata"]["name"] == name);
        let mut document = found.next().expect("the guide has it");
        change(&mut document);
        self.index.apply(mk_object(&document));
    }

    pub(super) fn told(&mut self, told: Told) {
        self.index.told(&at(GATEWAY), told);
    }

    /// Every upstream of the plan is listed by the processor `one`.
    pub(super) fn report(&mut self, plan: &plan::Gateway, tools: usize) {
        let upstreams = plan.endpoints.iter().flat_map(|endpoint| &endpoint.upstreams);
        self.told(Told::Report(Report {
            processor: "one".into(),
            upstreams: upstreams.map(|upstream| mk_report(upstream, tools)).collect(),
        }));
    }

    pub(super) fn pass(&mut self, seconds: i64) {
        self.now = self
            .now
            .checked_add(SignedDuration::from_secs(seconds))
            .expect("a time");
    }

    pub(super) fn changes(&mut self) -> Seen {
        Seen(self.index.changes(self.now))
    }

    /// Writes every status that is asked for into its object, as the controller and the API server do.
    pub(super) fn settle(&mut self) -> Seen {
        let changes = self.changes();
        for change in &changes.0.statuses {
            let status = match &change.status {
                Status::Applied(status) => status.clone(),
                Status::Parents(parents) => serde_json::json!({ "parents": parents }),
            };
            let object = self.index.store.get(&change.key).expect("it exists");
            #[expect(clippy::wildcard_enum_match_arm, reason = "a status has only some of them")]
            let written = match object {
                Object::Registration(object) => Object::Registration(changed(object, |one| one.status = of(status))),
                Object::Extension(object) => Object::Extension(changed(object, |one| one.status = of(status))),
                Object::AgentgatewayBackend(object) => {
                    Object::AgentgatewayBackend(changed(object, |one| one.status = of(status)))
                }
                Object::Route(object) => Object::Route(changed(object, |one| one.object.status = of(status))),
                other => panic!("no status is written to {:?}", other.key()),
            };
            self.index.apply(written);
        }
        changes
    }
}

impl Seen {
    /// The plan of a Gateway, if it has changed and is served.
    pub(super) fn plan(&self, gateway: &str) -> Option<Arc<plan::Gateway>> {
        let (_, plan) = self.0.plans.iter().find(|(place, _)| *place == at(gateway))?;
        plan.clone()
    }

    /// `True Ready`, or `False Reason`, and the message of an object's Ready condition, if it is to be written.
    pub(super) fn ready(&self, kind: Kind, name: &str) -> Option<(String, String)> {
        let status = self.status(kind, name)?;
        let conditions = status["conditions"].as_array()?;
        let ready = conditions.iter().find(|condition| condition["type"] == "Ready")?;
        let text = |key: &str| ready[key].as_str().unwrap_or_default().to_owned();
        Some((format!("{} {}", text("status"), text("reason")), text("message")))
    }

    pub(super) fn status(&self, kind: Kind, name: &str) -> Option<&Value> {
        let mut changes = self.0.statuses.iter();
        let change = changes.find(|change| change.key == Key::new(kind, at(name)))?;
        match &change.status {
            Status::Applied(status) => Some(status),
            Status::Parents(_) => None,
        }
    }
}
