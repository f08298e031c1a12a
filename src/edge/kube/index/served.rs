//! One Gateway: what its members come to together, and what was heard of it.

use super::changes::Changes;
use super::denial::Denial;
use super::heard::Heard;
use super::object::{Key, Kind, Object};
use super::problem::Problem;
use super::road::Road;
use super::store::Unit;
use super::{Answers, Index, Keys, assembly, backends};
use crate::edge::kube::plan::{self, Place};
use crate::engine::assignment::Assignment;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// One Gateway as it is served.
#[derive(Debug, Default)]
pub(super) struct Served {
    pub(super) members: BTreeSet<Unit>,
    pub(super) plan: Option<Arc<plan::Gateway>>,
    pub(super) assignment: Option<Arc<Assignment>>,
    pub(super) refused: BTreeMap<Unit, Problem>,
    pub(super) names: HashMap<String, Unit>,
    pub(super) keys: Option<Keys>,
    pub(super) heard: Heard,
    /// Upstreams whose own routes clients can use around the processor, and why.
    pub(super) unguarded: BTreeMap<Arc<str>, String>,
}

impl Served {
    /// Whose status rests on what processors say.
    pub(super) fn concerned(&self) -> impl Iterator<Item = &Unit> {
        self.members.iter().chain(self.names.values())
    }

    /// The gateway extensions among its members.
    pub(super) fn extensions(&self) -> impl Iterator<Item = &Unit> {
        self.members.iter().filter(|unit| matches!(unit, Unit::Extension(_)))
    }
}

impl Index {
    /// Probes found this of the route to an upstream; `None`: what was found does not count any more.
    pub fn probed(&mut self, gateway: &Place, upstream: &str, road: Option<Road>) {
        let served = self.gateways.entry(gateway.clone()).or_default();
        if served.heard.probed(upstream, road) {
            self.untold.extend(served.names.get(upstream).cloned());
            self.untold.extend(served.extensions().cloned());
        }
    }

    /// The API server refuses these generated objects of a Gateway, and no others.
    pub fn denied(&mut self, gateway: &Place, denials: Vec<Denial>) {
        let served = self.gateways.entry(gateway.clone()).or_default();
        if served.heard.denied(denials) {
            self.untold.extend(served.concerned().cloned());
        }
    }

    /// The own routes of these upstreams, and of no others, can be used around the processor: a sentence for each.
    pub fn unguarded(&mut self, gateway: &Place, open: BTreeMap<Arc<str>, String>) {
        let served = self.gateways.entry(gateway.clone()).or_default();
        if served.unguarded != open {
            let names = open.keys().chain(served.unguarded.keys());
            self.untold
                .extend(names.filter_map(|name| served.names.get(&**name)).cloned());
            served.unguarded = open;
        }
    }

    /// Puts a Gateway together from what its members came to.
    pub(super) fn assemble(&mut self, gateway: &Place, changes: &mut Changes) {
        let Some(served) = self.gateways.get_mut(gateway) else {
            return;
        };
        let mut processor = plan::Processor::default();
        if let Some(Object::Gateway(object)) = self.store.get(&Key::new(Kind::Gateway, gateway.clone())) {
            processor = assembly::processor(object);
        }
        let before = served.plan.as_deref();
        let assembled = assembly::assemble(gateway, processor, &served.members, &self.answers, before);
        if assembled.plan != served.plan {
            changes.plans.push((gateway.clone(), assembled.plan.clone()));
            served.plan = assembled.plan;
        }
        let both = served.plan.as_ref().zip(served.keys.as_ref());
        let assignment = both.map(|(plan, keys)| assembly::assign(plan, keys));
        if served.assignment.as_deref() != assignment.as_ref() {
            served.assignment = assignment.map(Arc::new);
            changes.assignments.push((gateway.clone(), served.assignment.clone()));
        }
        let lost = assembled.refused.iter().chain(&served.refused);
        let speakers = lost.flat_map(|(unit, _)| speakers(unit, &self.answers));
        self.untold.extend(speakers);
        self.untold.extend(served.extensions().cloned());
        let named = served.names.values().chain(assembled.names.values());
        let backends = named.filter(|unit| matches!(unit, Unit::Backend(_)));
        self.untold.extend(backends.cloned());
        served.refused = assembled.refused;
        served.names = assembled.names;
    }
}

/// Whose status tells of what a unit has lost.
fn speakers(unit: &Unit, answers: &Answers) -> Vec<Unit> {
    let mut speakers = vec![unit.clone()];
    match unit {
        Unit::Route(place) => {
            let answer = answers.routes.get(place);
            let endpoints = answer.into_iter().flat_map(|answer| &answer.endpoints);
            let upstreams = endpoints.flat_map(|(_, endpoint)| &endpoint.upstreams);
            speakers.extend(upstreams.map(|upstream| Unit::Backend(backends::key_of(&upstream.owner))));
        }
        Unit::Extension(place) => {
            let bound = answers
                .registrations
                .iter()
                .filter(|(_, answer)| answer.is_bound_to(place));
            speakers.extend(bound.map(|(place, _)| Unit::Registration(place.clone())));
        }
        Unit::Registration(_) | Unit::Backend(_) | Unit::VirtualServer(_) => {}
    }
    speakers
}
