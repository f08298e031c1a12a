//! Compares what objects should show with what they show.

use super::changes::Changes;
use super::conditions::{Truth, Verdict};
use super::object::{Key, Kind};
use super::store::Unit;
use super::written::{Shown, Wanted};
use super::{Index, Object, Timestamp, denial, extension, filters, registration, road, status};
use crate::edge::kube::plan::Place;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Types of conditions on a registration.
const ON_REGISTRATION: &[&str] = &[
    status::READY,
    status::IGNORED,
    road::UNVERIFIED,
    denial::DIRECT_ACCESS_OPEN,
];
/// Types of conditions on an extension.
const ON_EXTENSION: &[&str] = &[status::READY, status::IGNORED, status::SESSIONS, filters::NOT_COVERED];

impl Index {
    /// Adds what the unit's object should show to the changes, where it shows something else.
    pub(super) fn tell(&mut self, unit: &Unit, now: Timestamp, changes: &mut Changes) {
        match unit {
            Unit::Extension(place) => self.tell_extension(place, now, changes),
            Unit::Registration(place) => self.tell_registration(place, now, changes),
            Unit::Backend(key) => self.tell_backend(key, now, changes),
            Unit::Route(place) => self.tell_route(place, now, changes),
            Unit::VirtualServer(place) => self.tell_virtual_server(place, now, changes),
        }
    }

    fn tell_registration(&mut self, place: &Place, now: Timestamp, changes: &mut Changes) {
        let key = Key::new(Kind::Registration, place.clone());
        let (Some(answer), Some(Object::Registration(object))) =
            (self.answers.registrations.get(place), self.store.get(&key))
        else {
            return;
        };
        let (answer, object) = (Arc::clone(answer), Arc::clone(object));
        let conditions = object
            .status
            .as_ref()
            .map(|status| status.conditions.as_slice())
            .unwrap_or_default();
        let found = self.found(&Unit::Registration(place.clone()), &answer);
        if found.silent && self.still_holds(conditions, answer.generation) {
            return;
        }
        let mut fields = Map::new();
        fields.insert("prefix".to_owned(), json!(answer.prefix));
        fields.insert("path".to_owned(), json!(answer.path));
        if let Some(report) = found.report.as_ref().filter(|report| report.ready) {
            fields.insert("discoveredTools".to_owned(), json!(report.tools));
            fields.insert("discoveredPrompts".to_owned(), json!(report.prompts));
            fields.insert("discoveredResources".to_owned(), json!(report.resources));
            if let Some(version) = report.protocol_version {
                fields.insert("protocolVersion".to_owned(), json!(version));
            }
        }
        let wanted = Wanted {
            key,
            owner: answer.owner.clone(),
            generation: answer.generation,
            verdicts: [
                Some(found.ready),
                status::ignored(&answer.ignored),
                found.warning,
                self.direct_access(&answer),
            ]
            .into_iter()
            .flatten()
            .collect(),
            fields,
        };
        let shown = Shown {
            ours: ON_REGISTRATION,
            conditions,
            status: &json!(object.status),
        };
        self.write(wanted, shown, now, changes);
    }

    fn tell_extension(&mut self, place: &Place, now: Timestamp, changes: &mut Changes) {
        let key = Key::new(Kind::Extension, place.clone());
        let (Some(answer), Some(Object::Extension(object))) =
            (self.answers.extensions.get(place), self.store.get(&key))
        else {
            return;
        };
        let (answer, object) = (Arc::clone(answer), Arc::clone(object));
        let conditions = object
            .status
            .as_ref()
            .map(|status| status.conditions.as_slice())
            .unwrap_or_default();
        let served = self.gateways.get(&answer.gateway);
        let heard = served.map(|served| &served.heard);
        let refused = served.and_then(|served| served.refused.get(&Unit::Extension(place.clone())));
        let (ready, silent) = status::extension(&answer, refused, heard);
        if silent && self.still_holds(conditions, answer.generation) {
            return;
        }
        let valid = answer.frame.is_ok();
        let sessions = status::sessions(heard).filter(|_| valid);
        let warnings = answer.warnings.iter().cloned().map(Some);
        let verdicts = [Some(ready), status::ignored(&answer.ignored), sessions]
            .into_iter()
            .chain(warnings);
        let wanted = Wanted {
            key,
            owner: answer.owner.clone(),
            generation: answer.generation,
            verdicts: verdicts.flatten().collect(),
            fields: self.counts(&answer),
        };
        let shown = Shown {
            ours: ON_EXTENSION,
            conditions,
            status: &json!(object.status),
        };
        self.write(wanted, shown, now, changes);
    }

    /// A virtual server is kept, and told that it has no effect.
    fn tell_virtual_server(&mut self, place: &Place, now: Timestamp, changes: &mut Changes) {
        let key = Key::new(Kind::VirtualServer, place.clone());
        let Some(Object::VirtualServer(object)) = self.store.get(&key) else {
            return;
        };
        let object = Arc::clone(object);
        let known = object.status.as_ref();
        let message = "virtual servers are not served yet: clients see all tools of their endpoint";
        let wanted = Wanted {
            key,
            owner: Object::VirtualServer(Arc::clone(&object)).owner(),
            generation: object.metadata.generation,
            verdicts: vec![Verdict::new(status::READY, Truth::False, "NotSupported", message)],
            fields: Map::new(),
        };
        let shown = Shown {
            ours: &[status::READY],
            conditions: known.map(|known| known.conditions.as_slice()).unwrap_or_default(),
            status: &json!(object.status),
        };
        self.write(wanted, shown, now, changes);
    }

    /// What is found of a registration now.
    fn found(&self, unit: &Unit, answer: &registration::Answer) -> status::Found {
        let gateway = answer.made.as_ref().ok().map(|made| &made.binding.gateway);
        let served = gateway.and_then(|gateway| self.gateways.get(gateway));
        let extension = || Some(Unit::Extension(answer.made.as_ref().ok()?.binding.extension.clone()));
        // One whose endpoint is not served is not served either.
        let refused = served.and_then(|served| {
            let own = served.refused.get(unit);
            own.or_else(|| served.refused.get(&extension()?))
        });
        status::registration(answer, refused, served.map(|served| &served.heard), self.probes())
    }

    /// The warning that clients can call a registered server directly.
    fn direct_access(&self, answer: &registration::Answer) -> Option<Verdict> {
        let made = answer.made.as_ref().ok()?;
        let served = self.gateways.get(&made.binding.gateway)?;
        let sentence = served.unguarded.get(made.upstream.assigned.name.as_str());
        denial::direct_access(served.heard.denials(), &made.upstream, sentence.map(String::as_str))
    }

    pub(super) fn probes(&self) -> status::Probes {
        match self.settings.probes {
            true => status::Probes::On,
            false => status::Probes::Off,
        }
    }

    /// How many servers an extension has, and its URL.
    fn counts(&self, answer: &extension::Answer) -> Map<String, Value> {
        let mut fields = Map::new();
        let (Ok(frame), Some(served)) = (&answer.frame, self.gateways.get(&answer.gateway)) else {
            return fields;
        };
        if let Some(url) = &frame.url {
            fields.insert("mcpEndpoint".to_owned(), json!(url));
        }
        let mut endpoints = served.plan.iter().flat_map(|plan| &plan.endpoints);
        if let Some(endpoint) = endpoints.find(|endpoint| endpoint.id == frame.endpoint.id) {
            let probes = self.probes();
            let upstreams = endpoint.upstreams.iter();
            let ready = upstreams.filter(|upstream| status::is_ready(upstream, &served.heard, probes));
            fields.insert("readyServers".to_owned(), json!(ready.count()));
            fields.insert("servers".to_owned(), json!(endpoint.upstreams.len()));
        }
        fields
    }

    /// Whether a condition that an earlier controller wrote still counts: processors come back to a new one within the
    /// grace, and the object is the same as then.
    pub(super) fn still_holds(&self, conditions: &[Condition], generation: Option<i64>) -> bool {
        let mut known = conditions.iter().filter(|condition| condition.type_ == status::READY);
        !self.settled && known.any(|condition| condition.observed_generation == generation)
    }

    pub(super) fn write(&mut self, wanted: Wanted, shown: Shown<'_>, now: Timestamp, changes: &mut Changes) {
        if let Some((change, note)) = self.written.decide(wanted, shown, now) {
            changes.statuses.push(change);
            changes.notes.extend(note);
        }
    }
}
