//! Compares what backend objects and the HTTPRoutes that name them should show with what they show.

use super::super::changes::{CONTROLLER, Changes, Status, StatusChange};
use super::super::conditions::Verdict;
use super::super::object::{Key, Kind, Object};
use super::super::problem::Problem;
use super::super::registered::parent_entry;
use super::super::road::UNVERIFIED;
use super::super::status::{IGNORED, READY, SESSIONS, ignored, sessions};
use super::super::store::Unit;
use super::super::written::{Shown, Wanted};
use super::super::{Index, Timestamp};
use super::status::{self, ACCEPTED, NAMES, Served};
use super::{Answer, routes};
use crate::edge::kube::plan::{self, Parent, Place};
use serde_json::{Map, json};
use std::sync::Arc;

/// Types of conditions on a backend object.
const ON_BACKEND: &[&str] = &[ACCEPTED, READY, NAMES, IGNORED, SESSIONS, UNVERIFIED];
/// The same where `Accepted` is another controller's.
const BESIDE_OTHERS: &[&str] = &[READY, NAMES, IGNORED, SESSIONS, UNVERIFIED];

impl Index {
    /// A backend object.
    pub(in super::super) fn tell_backend(&mut self, key: &Key, now: Timestamp, changes: &mut Changes) {
        let Some(Object::AgentgatewayBackend(object) | Object::KgatewayBackend(object)) = self.store.get(key) else {
            return;
        };
        let object = Arc::clone(object);
        let Some(answer) = self.answers.backends.get(key).cloned() else {
            return;
        };
        let shown = object
            .status
            .as_ref()
            .map(|status| status.conditions.as_slice())
            .unwrap_or_default();
        if !self.is_for_us(&answer) {
            return;
        }
        let accepted_by_others = status::is_accepted_by_others(shown);
        let endpoints = self.endpoints_of(&answer);
        let sight = status::ready(&answer, &endpoints, self.problem_of(&answer), self.probes());
        let shared = endpoints.iter().find_map(|(_, _, heard)| sessions(*heard));
        if sight.silent && self.still_holds(shown, answer.generation) {
            return;
        }
        let mut fields = Map::new();
        fields.insert("servers".to_owned(), json!(answer.servers.len()));
        fields.insert("readyServers".to_owned(), json!(sight.count));
        fields.insert("discoveredTools".to_owned(), json!(sight.tools));
        let verdicts = [
            (!accepted_by_others).then(|| status::accepted(&answer)),
            Some(sight.ready),
            status::names(&answer),
            ignored(&answer.ignored),
            shared,
            sight.warning,
        ];
        let wanted = Wanted {
            key: key.clone(),
            owner: answer.owner.clone(),
            generation: answer.generation,
            verdicts: verdicts.into_iter().flatten().collect(),
            fields,
        };
        let shown = Shown {
            ours: if accepted_by_others { BESIDE_OTHERS } else { ON_BACKEND },
            conditions: shown,
            status: &json!(object.status),
        };
        self.write(wanted, shown, now, changes);
    }

    /// Not if all routes that name it are on Gateways of others.
    fn is_for_us(&self, answer: &Answer) -> bool {
        let mut routes = answer.users.iter().filter_map(|route| self.answers.routes.get(route));
        answer.users.is_empty() || routes.any(|route| !route.parents.is_empty())
    }

    /// Its endpoints, those of the oldest route first.
    fn endpoints_of(&self, answer: &Answer) -> Vec<Served<'_>> {
        let routes = answer.users.iter().filter_map(|route| self.answers.routes.get(route));
        let endpoints = routes.flat_map(|route| &route.endpoints);
        let ours = endpoints.filter(|(gateway, endpoint)| {
            let mut owners = endpoint.upstreams.iter().map(|upstream| &upstream.owner);
            owners.any(|owner| *owner == answer.owner) && self.is_served(gateway, endpoint)
        });
        let heard = |gateway| self.gateways.get(gateway).map(|served| &served.heard);
        ours.map(|(gateway, endpoint)| (gateway, endpoint, heard(gateway)))
            .collect()
    }

    /// Not if it lost against an older one.
    fn is_served(&self, gateway: &Place, endpoint: &plan::Endpoint) -> bool {
        let plan = self.gateways.get(gateway).and_then(|served| served.plan.as_ref());
        plan.is_some_and(|plan| plan.endpoints.iter().any(|served| served.id == endpoint.id))
    }

    /// What a route has lost on a Gateway against an older one.
    fn lost(&self, route: &Place, gateway: &Place) -> Option<&Problem> {
        let served = self.gateways.get(gateway)?;
        served.refused.get(&Unit::Route(route.clone()))
    }

    /// What a route shows for a parent.
    fn verdicts(
        &self,
        route: &Place,
        answer: &routes::Answer,
        parent: &Parent,
        taken: &Result<(), Problem>,
    ) -> Vec<Verdict> {
        let lost = self.lost(route, &parent.gateway);
        let mut here = answer
            .endpoints
            .iter()
            .filter(|(gateway, _)| *gateway == parent.gateway);
        let all_lost = lost.filter(|_| !here.any(|(gateway, endpoint)| self.is_served(gateway, endpoint)));
        match (taken, all_lost) {
            (Ok(()), Some(problem)) => status::parent(answer, &Err(problem.clone()), lost),
            (Ok(()), None) | (Err(_), _) => status::parent(answer, taken, lost),
        }
    }

    /// The first thing that is wrong with a route that names it.
    fn problem_of(&self, answer: &Answer) -> Option<&Problem> {
        let routes = answer.users.iter();
        let mut routes = routes.filter_map(|place| Some((place, self.answers.routes.get(place)?)));
        routes.find_map(|(place, route)| {
            let refused = route.parents.iter().find_map(|(_, taken)| taken.as_ref().err());
            let lost = || {
                let mut gateways = route.endpoints.iter().map(|(gateway, _)| gateway);
                gateways.find_map(|gateway| self.lost(place, gateway))
            };
            refused.or(route.problems.first()).or_else(lost)
        })
    }

    /// An HTTPRoute: entries of `status.parents` beside those of Envoy Gateway, which knows no backend objects.
    pub(in super::super) fn tell_route(&mut self, place: &Place, now: Timestamp, changes: &mut Changes) {
        let key = Key::new(Kind::Route, place.clone());
        let Some(Object::Route(object)) = self.store.get(&key) else {
            return;
        };
        let entries = object.status.iter().flat_map(|status| &status.parents);
        let shown: Vec<_> = entries
            .filter(|entry| entry.controller_name == CONTROLLER)
            .cloned()
            .collect();
        // A wish that is under way is not made again.
        let before = self.entries.get(place).filter(|(_, seen)| *seen == shown);
        let asked = before.map_or(shown.as_slice(), |(asked, _)| asked.as_slice());
        let answer = self.answers.routes.get(place);
        let mut wanted: Vec<_> = answer
            .into_iter()
            .flat_map(|answer| {
                answer
                    .parents
                    .iter()
                    .map(move |(parent, taken)| (answer, parent, taken))
            })
            .map(|(answer, parent, taken)| {
                let verdicts = self.verdicts(place, answer, parent, taken);
                parent_entry(parent, &verdicts, answer.generation, asked, now)
            })
            .collect();
        if wanted.is_empty() {
            wanted = self.registered_parents(object, asked, now);
        }
        if wanted == shown {
            self.entries.remove(place);
        } else if before.is_none() || wanted != asked {
            changes.statuses.push(StatusChange {
                owner: Object::Route(Arc::clone(object)).owner(),
                key,
                status: Status::Parents(wanted.clone()),
            });
            self.entries.insert(place.clone(), (wanted, shown));
        }
    }
}
