//! HTTPRoutes that registrations name: their owners see on the route that it is used, as with Kuadrant.

use super::changes::CONTROLLER;
use super::conditions::{self, Truth, Verdict};
use super::object::place_of;
use super::store::Unit;
use super::{Index, Timestamp, parents, registration};
use crate::edge::kube::plan::{Parent, Place};
use gateway_api::httproutes::{HttpRoute, HttpRouteStatusParents, HttpRouteStatusParentsParentRef};

/// Kuadrant's condition on a parent of a registered route.
const PROGRAMMED: &str = "Programmed";
/// The group in the parent references of our entries. Envoy Gateway (1.9) looks at the reference alone, not at the
/// controller: an entry with Gateway API's own group would be replaced by a copy of Envoy Gateway's, again and again.
const GROUP: &str = "mcp-manifold.dev";

impl Index {
    /// Keeps track of who names which route, after a registration was resolved.
    pub(super) fn note_route(&mut self, registration: &Place, before: Option<&registration::Answer>) {
        let after = self.answers.registrations.get(registration);
        let (before, after) = (before.map(|answer| &answer.route), after.map(|answer| &answer.route));
        if let Some(route) = before.filter(|_| before != after)
            && let Some(users) = self.registered.get_mut(route)
        {
            users.remove(registration);
        }
        if let Some(route) = after {
            let users = self.registered.entry(route.clone()).or_default();
            users.insert(registration.clone());
        }
        self.untold
            .extend(before.into_iter().chain(after).cloned().map(Unit::Route));
    }

    /// What a route shows for the Gateway on which its registrations are served; nothing if there are none.
    pub(super) fn registered_parents(
        &self,
        route: &HttpRoute,
        shown: &[HttpRouteStatusParents],
        now: Timestamp,
    ) -> Vec<HttpRouteStatusParents> {
        let users = self.registered.get(&place_of(&route.metadata)).into_iter().flatten();
        let made = users.filter_map(|user| Some((user, self.answers.registrations.get(user)?.made.as_ref().ok()?)));
        let served: Vec<_> = made.map(|(user, made)| (user, &made.binding.gateway)).collect();
        let mut entries = Vec::new();
        for parent in parents::of(route) {
            let names: Vec<String> = served
                .iter()
                .filter(|(_, gateway)| **gateway == parent.gateway)
                .map(|(user, _)| user.to_string())
                .collect();
            if names.is_empty() {
                continue;
            }
            let message = format!("leads to the server of MCPServerRegistration {}", names.join(", "));
            let verdict = Verdict::new(PROGRAMMED, Truth::True, "InUseByMCPServerRegistration", message);
            entries.push(parent_entry(&parent, &[verdict], route.metadata.generation, shown, now));
        }
        entries
    }
}

/// An entry of this controller in `status.parents`, with the times of the one that is shown.
pub(crate) fn parent_entry(
    parent: &Parent,
    verdicts: &[Verdict],
    generation: Option<i64>,
    shown: &[HttpRouteStatusParents],
    now: Timestamp,
) -> HttpRouteStatusParents {
    let parent_ref = HttpRouteStatusParentsParentRef {
        group: Some(GROUP.to_owned()),
        kind: Some("Gateway".to_owned()),
        namespace: Some(parent.gateway.namespace.to_string()),
        name: parent.gateway.name.to_string(),
        section_name: parent.section.as_deref().map(str::to_owned),
        port: parent.port,
    };
    let before = shown.iter().find(|entry| entry.parent_ref == parent_ref);
    let conditions = before.map_or(&[][..], |entry| &entry.conditions);
    HttpRouteStatusParents {
        conditions: conditions::fold(conditions, verdicts, generation, now),
        controller_name: CONTROLLER.to_owned(),
        parent_ref,
    }
}
