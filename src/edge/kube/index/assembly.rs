//! Puts the answers of one Gateway's members together: its plan, and what its processors are assigned.
//!
//! Who comes second with a prefix is left out here, because only here all of an endpoint's upstreams are seen.

use super::object::{Age, Kind};
use super::problem::{Problem, Why};
use super::store::Unit;
use super::{Answers, Keys, backends, rivals};
use crate::edge::kube::objects::names;
use crate::edge::kube::plan::{self, Place, Processor};
use crate::engine::assignment::{self, Assignment};
use gateway_api::gateways::Gateway;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// On a Gateway: `deployment` where its processors run in pods of their own instead of the Envoy pods.
pub const PROCESSOR: &str = "mcp-manifold/processor";

/// One Gateway, put together.
#[derive(Debug, Default)]
pub(crate) struct Assembled {
    /// `None`: nothing on it is ours.
    pub plan: Option<Arc<plan::Gateway>>,
    /// Members that lost against an older one.
    pub refused: BTreeMap<Unit, Problem>,
    /// Whose upstreams they are.
    pub names: HashMap<String, Unit>,
}

/// Where a Gateway says that its processors run.
#[must_use]
pub(crate) fn processor(gateway: &Gateway) -> Processor {
    let annotations = gateway.metadata.annotations.as_ref();
    match annotations.and_then(|all| all.get(PROCESSOR)).map(String::as_str) {
        Some("deployment") => Processor::Deployment,
        Some(_) | None => Processor::Sidecar,
    }
}

/// Puts a Gateway together from its members. Endpoints that came out as before stay the same in memory.
pub(crate) fn assemble(
    place: &Place,
    processor: Processor,
    members: &BTreeSet<Unit>,
    answers: &Answers,
    before: Option<&plan::Gateway>,
) -> Assembled {
    let mut assembled = Assembled::default();
    let mut endpoints: Vec<(&Age, Unit, Arc<plan::Endpoint>)> = Vec::new();
    for answer in answers.extensions.values().filter(|answer| answer.gateway == *place) {
        let Ok(frame) = &answer.frame else { continue };
        let extension = &answer.owner.place;
        let mut endpoint = frame.endpoint.clone();
        endpoint.upstreams = upstreams(extension, members, answers, &mut assembled.refused);
        let unit = Unit::Extension(extension.clone());
        endpoints.push((&answer.age, unit, kept(endpoint, before)));
    }
    for unit in members {
        let Unit::Route(route) = unit else { continue };
        let Some(answer) = answers.routes.get(route) else {
            continue;
        };
        for (_, endpoint) in answer.endpoints.iter().filter(|(gateway, _)| gateway == place) {
            endpoints.push((&answer.age, unit.clone(), kept(endpoint.clone(), before)));
        }
    }
    endpoints.sort_by_key(|(age, ..)| *age);
    let mut served: Vec<Arc<plan::Endpoint>> = Vec::with_capacity(endpoints.len());
    for (_, unit, endpoint) in endpoints {
        if let Some(problem) = rivals::conflict(&served, &endpoint) {
            assembled.refused.insert(unit, problem);
            continue;
        }
        let names = endpoint
            .upstreams
            .iter()
            .map(|upstream| (upstream.assigned.name.clone(), speaker(upstream)));
        assembled.names.extend(names);
        served.push(endpoint);
    }
    if !served.is_empty() {
        assembled.plan = Some(Arc::new(plan::Gateway {
            place: place.clone(),
            processor,
            endpoints: served,
        }));
    }
    assembled
}

/// Whose status speaks of an upstream.
fn speaker(upstream: &plan::Upstream) -> Unit {
    if &*upstream.owner.kind == Kind::Registration.types().1 {
        return Unit::Registration(upstream.owner.place.clone());
    }
    Unit::Backend(backends::key_of(&upstream.owner))
}

fn kept(endpoint: plan::Endpoint, before: Option<&plan::Gateway>) -> Arc<plan::Endpoint> {
    let mut known = before.iter().flat_map(|gateway| &gateway.endpoints);
    match known.find(|known| ***known == endpoint) {
        Some(known) => Arc::clone(known),
        None => Arc::new(endpoint),
    }
}

/// The registrations of an extension, the oldest first.
fn upstreams(
    extension: &Place,
    members: &BTreeSet<Unit>,
    answers: &Answers,
    refused: &mut BTreeMap<Unit, Problem>,
) -> Vec<Arc<plan::Upstream>> {
    let registrations = members.iter().filter_map(|unit| match unit {
        Unit::Registration(place) => Some((unit, answers.registrations.get(place)?)),
        Unit::Extension(_) | Unit::Backend(_) | Unit::Route(_) | Unit::VirtualServer(_) => None,
    });
    let mut bound: Vec<_> = registrations
        .filter_map(|(unit, answer)| Some((unit, answer, answer.made.as_ref().ok()?)))
        .filter(|(_, _, made)| made.binding.extension == *extension)
        .collect();
    bound.sort_by_key(|(_, answer, _)| &answer.age);
    let mut prefixes: HashMap<&str, &Place> = HashMap::new();
    let mut upstreams = Vec::with_capacity(bound.len());
    for (unit, answer, made) in bound {
        let owner = &answer.owner.place;
        if let Some(older) = prefixes
            .get(answer.prefix.as_str())
            .filter(|_| !answer.prefix.is_empty())
        {
            let message = format!("prefix {:?} belongs to the older registration {older}", answer.prefix);
            refused.insert(unit.clone(), Problem::new(Why::PrefixConflict, message));
            continue;
        }
        prefixes.insert(&answer.prefix, owner);
        upstreams.push(Arc::clone(&made.upstream));
    }
    upstreams
}

/// What processors of the Gateway serve.
#[must_use]
pub(crate) fn assign(gateway: &plan::Gateway, keys: &Keys) -> Assignment {
    let mut assignment = Assignment::default();
    for endpoint in &gateway.endpoints {
        let name = |upstream: &Arc<plan::Upstream>| Arc::<str>::from(upstream.assigned.name.as_str());
        let assigned = assignment::Endpoint {
            id: Arc::clone(&endpoint.id),
            path: Arc::clone(&endpoint.path),
            hosts: endpoint.hosts.clone(),
            origins: Vec::new(),
            routes: routes(endpoint),
            route_key: keys.route_key.clone(),
            session_keys: keys.session_keys.clone(),
            body_limit: endpoint.body_limit,
            upstreams: endpoint.upstreams.iter().map(name).collect(),
        };
        assignment
            .endpoints
            .insert(Arc::clone(&endpoint.id), Arc::new(assigned));
        for upstream in &endpoint.upstreams {
            assignment
                .upstreams
                .insert(name(upstream), Arc::clone(&upstream.assigned));
        }
    }
    assignment
}

/// The HTTPRoutes that requests of an endpoint come by.
fn routes(endpoint: &plan::Endpoint) -> Vec<Arc<str>> {
    let written = |place: Place| Arc::<str>::from(format!("{}/{}", place.namespace, place.name));
    let generated = endpoint
        .managed
        .then(|| [names::public_route(endpoint), names::inspected_route(endpoint)]);
    let generated = generated.into_iter().flatten().map(written);
    generated.chain(endpoint.own_routes.iter().cloned()).collect()
}
