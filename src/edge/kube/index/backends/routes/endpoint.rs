//! One endpoint of a backend object: the plan of its public routes and of its upstreams.

use super::super::{Server, names};
use super::attachment::{Attachment, is_kept};
use super::{admitted, door};
use crate::edge::kube::index::names as index_names;
use crate::edge::kube::index::object::{Object, place_of};
use crate::edge::kube::index::registration::timeouts;
use crate::edge::kube::index::store::Reader;
use crate::edge::kube::plan::{self, Parent, Place};
use crate::edge::kube::resources::{Route, Rule, Whole, kind_of_filter};
use crate::engine::config::{self, Eras, Via};
use gateway_api::httproutes::HttpRouteRules;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// The endpoint of an attachment on the Gateway of these parents. `None`: the object is none of ours.
pub(crate) fn make(
    reader: &mut Reader<'_>,
    route: &Arc<Route>,
    attachment: &Attachment,
    parents: &[Parent],
    earlier: &[(Place, plan::Endpoint)],
) -> Option<plan::Endpoint> {
    let backend = reader.backend(&attachment.backend)?;
    let own = place_of(&route.metadata);
    let id = id(&own, attachment, parents);
    let has = |endpoint: &plan::Endpoint| endpoint.upstreams.iter().any(|one| one.owner == backend.owner);
    let first = backend.users.first() == Some(&own) && !earlier.iter().any(|(_, endpoint)| has(endpoint));
    let hosts = route.spec.hostnames.as_deref().unwrap_or_default();
    let mut upstreams = Vec::with_capacity(backend.servers.len());
    for (server, prefix) in &backend.servers {
        // A route of ours in the Service's namespace needs no grant, but a listener that takes it.
        let mut open = |namespace: &Arc<str>| {
            let taken = |parent: &Parent| admitted(reader, parent, namespace, hosts).is_ok();
            *namespace == own.namespace || parents.iter().all(taken)
        };
        let routed = server.routable.as_ref().filter(|service| open(&service.namespace));
        let place = &backend.key.place;
        let other = (!first).then_some(&*id);
        let name = names::upstream(&place.namespace, &place.name, &server.target.name, other);
        let rule = routed.map(|service| leading_to(service, &own, server.target.port, &attachment.rule));
        let assigned = assigned(server, name, prefix, &attachment.rule, rule.is_some());
        upstreams.push(Arc::new(plan::Upstream {
            assigned: Arc::new(assigned),
            owner: backend.owner.clone(),
            namespace: Arc::clone(routed.map_or(&place.namespace, |service| &service.namespace)),
            rule,
            host: Some(Arc::clone(&server.host)),
            path: server.target.path.as_str().into(),
            guard: None,
        }));
    }
    let first = parents.first();
    Some(plan::Endpoint {
        door: first.and_then(|parent| door(reader, parent, &own.namespace, hosts).ok()),
        owner: Object::Route(Arc::clone(route)).owner(),
        parents: parents.to_vec(),
        hosts: hosts.iter().map(|host| host.to_ascii_lowercase().into()).collect(),
        path: attachment.path.as_str().into(),
        outranks: attachment.matches.clone(),
        managed: true,
        own_routes: Vec::new(),
        body_limit: None,
        upstreams,
        id: id.into(),
    })
}

/// Stays for as long as the route leads to the object on this path of this Gateway.
fn id(route: &Place, attachment: &Attachment, parents: &[Parent]) -> String {
    let (version, kind) = attachment.backend.kind.types();
    let backend = &attachment.backend.place;
    let gateway = parents
        .first()
        .map(|parent| parent.gateway.to_string())
        .unwrap_or_default();
    let parts = [
        version,
        kind,
        &backend.namespace,
        &backend.name,
        &gateway,
        &attachment.path,
    ];
    format!(
        "{}.httproute.{}.{}",
        route.namespace,
        route.name,
        index_names::hash(&parts)
    )
}

fn assigned(server: &Server, name: String, prefix: &str, rule: &HttpRouteRules, routed: bool) -> config::Upstream {
    config::Upstream {
        name,
        url: server.url.clone(),
        prefix: prefix.to_owned(),
        credential: None,
        headers: Vec::new(),
        timeout: timeouts(rule),
        ca: server.ca.clone(),
        enabled: true,
        resources_rewrite: false,
        resources_probe: false,
        via: if routed { Via::Envoy } else { Via::Direct },
        protocol: server.target.protocol,
        eras: Eras::Both,
        merge: true,
        addresses: server.addresses.clone(),
        protection: crate::engine::config::Protection::default(),
        delegated: crate::engine::config::Delegated::default(),
        listing: crate::engine::config::Listing::Shared,
    }
}

/// The user's rule with a Service in the place of the backend object.
fn leading_to(service: &Place, route: &Place, port: u16, rule: &Rule) -> Whole {
    let here = service.namespace == route.namespace;
    // These name objects beside the user's route; so may those that are not known.
    let anywhere = ["RequestHeaderModifier", "ResponseHeaderModifier"];
    let kept = |filter: &&Value| {
        let kind = kind_of_filter(filter);
        is_kept(kind) && (here || anywhere.contains(&kind))
    };
    let filters: Vec<&Value> = rule.filters().filter(kept).collect();
    let mut whole = Map::clone(&rule.whole);
    whole.insert("filters".to_owned(), json!(filters));
    whole.insert(
        "backendRefs".to_owned(),
        json!([{"name": &*service.name, "port": port}]),
    );
    Arc::new(whole)
}
