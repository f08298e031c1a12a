//! What single objects come to: a unit is resolved anew only if something that it has read has changed.

use super::object::Object;
use super::store::{Reader, Topic, Unit};
use super::{Index, backends, extension, registration};
use crate::edge::kube::plan::Place;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

impl Index {
    /// Marks whoever has read what changed.
    pub(super) fn spread(&mut self, topics: impl IntoIterator<Item = Topic>) {
        for topic in topics {
            self.dirty
                .extend(self.readers.get(&topic).into_iter().flatten().cloned());
        }
    }

    pub(super) fn resolve(&mut self, unit: &Unit) {
        let before = self.gateways_of(unit);
        let mut reader = Reader::new(&self.store, &self.answers, &self.settings);
        let read;
        let changed = match unit {
            Unit::Extension(place) => {
                let answer = reader
                    .extension(place)
                    .map(|object| extension::resolve(&mut reader, object));
                read = reader.read();
                renew(&mut self.answers.extensions, place, answer)
            }
            Unit::Registration(place) => {
                let answer = reader
                    .registration(place)
                    .map(|object| registration::resolve(&mut reader, object));
                read = reader.read();
                let before = self.answers.registrations.get(place).cloned();
                let changed = renew(&mut self.answers.registrations, place, answer);
                self.note_route(place, before.as_deref());
                changed
            }
            Unit::Backend(key) => {
                let object = reader.object(key.clone());
                let answer = object.and_then(|object| backends::resolve(&mut reader, object));
                read = reader.read();
                renew(&mut self.answers.backends, key, answer)
            }
            Unit::Route(place) => {
                let route = reader.route(place);
                let answer = route.and_then(|route| backends::routes::resolve(&mut reader, route));
                read = reader.read();
                renew(&mut self.answers.routes, place, answer)
            }
            Unit::VirtualServer(_) => {
                reader.object(unit.key());
                read = reader.read();
                false
            }
        };
        self.note_reads(unit, read);
        if !changed {
            return;
        }
        let after = self.gateways_of(unit);
        for gateway in before.iter().chain(&after) {
            let served = self.gateways.entry(gateway.clone()).or_default();
            if after.contains(gateway) {
                served.members.insert(unit.clone());
            } else {
                served.members.remove(unit);
            }
            self.loose.insert(gateway.clone());
        }
        self.untold.insert(unit.clone());
        match unit {
            Unit::Extension(_) => self.spread([Topic::Extensions]),
            Unit::Registration(_) | Unit::VirtualServer(_) => {}
            Unit::Backend(key) => self.spread([Topic::Backend(key.clone())]),
            Unit::Route(_) => {
                // They count it among those that name them.
                let Some(Object::Route(route)) = self.store.get(&unit.key()) else {
                    return;
                };
                let named = backends::routes::backends_of(route);
                self.untold.extend(named.into_iter().map(Unit::Backend));
            }
        }
    }

    /// Remembers what the unit depends on. One that does not exist depends on nothing.
    fn note_reads(&mut self, unit: &Unit, mut read: HashSet<Topic>) {
        if self.store.get(&unit.key()).is_none() {
            read.clear();
        }
        for topic in self.reads.remove(unit).into_iter().flatten() {
            if let Some(units) = self.readers.get_mut(&topic).filter(|_| !read.contains(&topic)) {
                units.remove(unit);
                if units.is_empty() {
                    self.readers.remove(&topic);
                }
            }
        }
        for topic in &read {
            self.readers.entry(topic.clone()).or_default().insert(unit.clone());
        }
        if !read.is_empty() {
            self.reads.insert(unit.clone(), read);
        }
    }

    /// The Gateways that a unit has a part in, by its answer.
    fn gateways_of(&self, unit: &Unit) -> Vec<Place> {
        match unit {
            Unit::Extension(place) => {
                let answer = self.answers.extensions.get(place);
                answer.map(|answer| answer.gateway.clone()).into_iter().collect()
            }
            Unit::Registration(place) => {
                let answer = self.answers.registrations.get(place);
                let made = answer.and_then(|answer| answer.made.as_ref().ok());
                made.map(|made| made.binding.gateway.clone()).into_iter().collect()
            }
            // Its endpoints are those of the routes that name it.
            Unit::Backend(_) | Unit::VirtualServer(_) => Vec::new(),
            Unit::Route(place) => {
                let answer = self.answers.routes.get(place);
                let endpoints = answer.into_iter().flat_map(|answer| &answer.endpoints);
                endpoints.map(|(gateway, _)| gateway.clone()).collect()
            }
        }
    }
}

/// Keeps the answer. Returns whether it is another one than before.
fn renew<K: Clone + Ord, T: PartialEq>(answers: &mut BTreeMap<K, Arc<T>>, of: &K, answer: Option<T>) -> bool {
    match answer {
        None => answers.remove(of).is_some(),
        Some(answer) if answers.get(of).is_some_and(|before| **before == answer) => false,
        Some(answer) => {
            answers.insert(of.clone(), Arc::new(answer));
            true
        }
    }
}
