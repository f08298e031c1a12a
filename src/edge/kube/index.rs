//! What the objects of a cluster come to: objects in, plans, assignments and statuses out. Pure.
//!
//! ```text
//! apply, delete -> store <---- reads ---- extension <-reads- registration      units: answers of one object each
//!                    |                        |                  |
//!                    `-> units that have      `--> assembly <----'             of one Gateway: plan, assignment
//!                        read it: dirty                |
//! told ------------------------------> heard ----> status                      conditions, events
//! ```
//! A unit is resolved anew only if something it has read has changed, and an answer that comes out as before goes no
//! further. So one change among a thousand registrations costs one resolution, and one Gateway put together.

mod assembly;
mod backends;
pub mod changes;
mod conditions;
mod denial;
mod extension;
mod filters;
mod grants;
mod heard;
mod listeners;
mod names;
pub mod object;
mod parents;
mod problem;
mod registered;
mod registration;
mod resolving;
mod rivals;
mod road;
mod served;
pub mod services;
mod status;
mod store;
mod telling;
mod trust;
mod written;

pub use assembly::PROCESSOR;
pub use changes::{CONTROLLER, Changes, Note, Status, StatusChange, Weight};
pub use denial::{Denial, Scope};
pub use extension::OWN_ROUTE;
pub use object::{Key, Kind, Object, place};
pub use registration::DIRECT_ACCESS;
pub use road::Road;

use super::plan::Place;
use crate::engine::assignment::Told;
use crate::engine::config::Confidential;
use gateway_api::httproutes::HttpRouteStatusParents;
use heard::Concerns;
use k8s_openapi::jiff::SignedDuration;
use served::Served;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use store::{Store, Topic, Unit};
use written::Written;

/// A point in time, as Kubernetes writes it.
pub type Timestamp = k8s_openapi::jiff::Timestamp;

/// What does not change while the controller runs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `controllerName` of the GatewayClasses whose Gateways are served.
    pub class_controller: String,
    /// Whether GatewayClasses are seen. Else every Gateway that is seen is taken for one of Envoy Gateway's.
    pub sees_cluster: bool,
    /// The cluster's DNS domain.
    pub cluster_domain: String,
    /// How long the word of a processor that is gone still counts, and of a status that an earlier controller wrote.
    pub grace: SignedDuration,
    /// Whether generated routes are probed: an upstream is not ready before [`Index::probed`] tells of its route.
    pub probes: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            class_controller: "gateway.envoyproxy.io/gatewayclass-controller".to_owned(),
            sees_cluster: true,
            cluster_domain: "cluster.local".to_owned(),
            grace: SignedDuration::from_secs(10),
            probes: false,
        }
    }
}

/// The secrets of one Gateway's processors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// What routes to upstreams require in `x-mcp-route-key`.
    pub route_key: Confidential,
    /// What session ids are signed with, the current one first. Never empty.
    pub session_keys: Vec<Confidential>,
}

/// What each unit came to.
#[derive(Debug, Default)]
struct Answers {
    extensions: BTreeMap<Place, Arc<extension::Answer>>,
    registrations: BTreeMap<Place, Arc<registration::Answer>>,
    backends: BTreeMap<Key, Arc<backends::Answer>>,
    routes: BTreeMap<Place, Arc<backends::routes::Answer>>,
}

/// See the module.
#[derive(Debug)]
pub struct Index {
    settings: Settings,
    store: Store,
    answers: Answers,
    /// Who has read what, both ways round.
    readers: HashMap<Topic, HashSet<Unit>>,
    reads: HashMap<Unit, HashSet<Topic>>,
    gateways: BTreeMap<Place, Served>,
    /// To be resolved.
    dirty: BTreeSet<Unit>,
    /// To be put together.
    loose: BTreeSet<Place>,
    /// Whose status is to be looked at.
    untold: BTreeSet<Unit>,
    /// Which registrations name an HTTPRoute.
    registered: BTreeMap<Place, BTreeSet<Place>>,
    written: Written,
    /// What routes were asked to show, and what they showed then.
    entries: HashMap<Place, (Vec<HttpRouteStatusParents>, Vec<HttpRouteStatusParents>)>,
    started: Option<Timestamp>,
    settled: bool,
}

impl Index {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            store: Store::default(),
            answers: Answers::default(),
            readers: HashMap::new(),
            reads: HashMap::new(),
            gateways: BTreeMap::new(),
            dirty: BTreeSet::new(),
            loose: BTreeSet::new(),
            untold: BTreeSet::new(),
            registered: BTreeMap::new(),
            written: Written::default(),
            entries: HashMap::new(),
            started: None,
            settled: false,
        }
    }

    /// The object exists, and looks like this.
    pub fn apply(&mut self, object: Object) {
        let key = object.key();
        let unit = Unit::of(&key);
        let topics = self.store.put(object);
        if key.kind == Kind::Gateway && !topics.is_empty() && self.gateways.contains_key(&key.place) {
            self.loose.insert(key.place);
        }
        if let Some(unit) = unit {
            if !topics.is_empty() {
                self.dirty.insert(unit.clone());
            }
            // Somebody may have changed its status.
            self.untold.insert(unit);
        }
        self.spread(topics);
    }

    /// The object does not exist any more.
    pub fn delete(&mut self, key: &Key) {
        let topics = self.store.remove(key);
        self.forget(key);
        self.dirty.extend(Unit::of(key));
        self.spread(topics);
    }

    /// A processor of this Gateway said something.
    pub fn told(&mut self, gateway: &Place, told: Told) {
        let served = self.gateways.entry(gateway.clone()).or_default();
        match served.heard.take(told) {
            Concerns::All => self.untold.extend(served.concerned().cloned()),
            Concerns::Upstreams(names) => {
                let units = names.iter().filter_map(|name| served.names.get(name));
                self.untold.extend(units.cloned());
                // They count those that are ready.
                self.untold.extend(served.extensions().cloned());
            }
        }
    }

    /// The secrets of a Gateway that is planned. Until they are known it has no assignment.
    pub fn keys(&mut self, gateway: &Place, keys: Keys) {
        let served = self.gateways.entry(gateway.clone()).or_default();
        if served.keys.as_ref() != Some(&keys) {
            served.keys = Some(keys);
            self.loose.insert(gateway.clone());
        }
    }

    /// A status could not be written: it is asked for again.
    pub fn unwritten(&mut self, key: &Key) {
        self.forget(key);
        self.untold.extend(Unit::of(key));
    }

    fn forget(&mut self, key: &Key) {
        self.written.forget(key);
        if key.kind == Kind::Route {
            self.entries.remove(&key.place);
        }
    }

    /// The objects of these kinds that somebody asked for by name, whether they exist or not: what has to be watched of
    /// Secrets and ConfigMaps.
    #[must_use]
    pub fn references(&self, kinds: &[Kind]) -> BTreeSet<Key> {
        let keys = self.readers.keys().filter_map(|topic| match topic {
            Topic::Object(key) => Some(key),
            Topic::Within(..)
            | Topic::All(_)
            | Topic::SlicesOf(_)
            | Topic::PoliciesOf(_)
            | Topic::Extensions
            | Topic::RoutesOf(_)
            | Topic::Backend(_) => None,
        });
        keys.filter(|key| kinds.contains(&key.kind)).cloned().collect()
    }

    /// Resolves what has changed; nothing comes of it before [`Index::changes`]. True where anything had: others may be
    /// among the [`Index::references`] then.
    pub fn look(&mut self) -> bool {
        let any = !self.dirty.is_empty();
        while let Some(unit) = self.dirty.pop_first() {
            self.resolve(&unit);
        }
        any
    }

    /// What has come of everything since the last time.
    pub fn changes(&mut self, now: Timestamp) -> Changes {
        // Kubernetes writes times without fractions.
        let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
        let mut changes = Changes {
            wake: self.settle(now),
            ..Changes::default()
        };
        self.look();
        for gateway in std::mem::take(&mut self.loose) {
            self.assemble(&gateway, &mut changes);
        }
        for unit in std::mem::take(&mut self.untold) {
            self.tell(&unit, now, &mut changes);
        }
        changes
    }

    /// Ends graces. Returns when the next one ends.
    fn settle(&mut self, now: Timestamp) -> Option<Timestamp> {
        let grace = self.settings.grace;
        let mut wake = None;
        for served in self.gateways.values_mut() {
            let (lost, next) = served.heard.settle(now, grace);
            if lost {
                self.untold.extend(served.concerned().cloned());
            }
            wake = [wake, next].into_iter().flatten().min();
        }
        let started = *self.started.get_or_insert(now);
        let end = started.checked_add(grace).unwrap_or(Timestamp::MAX);
        if self.settled {
            return wake;
        }
        if end > now {
            return Some(wake.map_or(end, |wake| wake.min(end)));
        }
        self.settled = true;
        self.untold.extend(self.reads.keys().cloned());
        wake
    }
}

#[cfg(test)]
mod tests;
