//! Compares what backend objects and the HTTPRoutes that name them should show with what they show.

use super::super::changes::{CONTROLLER, Changes, Status, StatusChange};
use super::super::object::{Key, Kind, Object};
use super::super::problem::Problem;
use super::super::registered::parent_entry;
use super::super::road::UNVERIFIED;
use super::super::status::{IGNORED, READY, SESSIONS, ignored, sessions};
use super::super::written::{Shown, Wanted};
use super::super::{Index, Timestamp};
use super::status::{self, ACCEPTED, NAMES, Served};
use super::{Answer, routes};
use crate::edge::kube::plan::{Parent, Place};
use gateway_api::httproutes::HttpRouteStatusParents;
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
        let ours = endpoints.filter(|(_, endpoint)| {
            let mut owners = endpoint.upstreams.iter().map(|upstream| &upstream.owner);
            owners.any(|owner| *owner == answer.owner)
        });
        let heard = |gateway| self.gateways.get(gateway).map(|served| &served.heard);
        ours.map(|(gateway, endpoint)| (gateway, endpoint, heard(gateway)))
            .collect()
    }

    /// The first thing that is wrong with a route that names it.
    fn problem_of(&self, answer: &Answer) -> Option<&Problem> {
        let mut routes = answer.users.iter().filter_map(|route| self.answers.routes.get(route));
        routes.find_map(|route| {
            let refused = route.parents.iter().find_map(|(_, taken)| taken.as_ref().err());
            refused.or(route.problems.first())
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
            .map(|(answer, parent, taken)| entry(answer, parent, taken, asked, now))
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

fn entry(
    answer: &routes::Answer,
    parent: &Parent,
    taken: &Result<(), Problem>,
    shown: &[HttpRouteStatusParents],
    now: Timestamp,
) -> HttpRouteStatusParents {
    parent_entry(parent, &status::parent(answer, taken), answer.generation, shown, now)
}
