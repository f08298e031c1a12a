//! What stands between the processors and a server that they have listed: objects that the API server refuses, upstreams
//! that cannot be told, routes that cannot be guarded.

use super::fixtures::{GATEWAY, Seen, World, at};
use super::*;
use crate::edge::kube::objects::names::{self, Purpose};
use crate::edge::kube::plan::{self, Owner};
use crate::engine::assignment::Told;
use serde_json::json;

const SERVER: &str = "mcp-test/my-mcp-server";
const EXTENSION: &str = "mcp-test/mcp-extension";

fn upstream(world: &World) -> Arc<plan::Upstream> {
    let served = world.index.gateways.get(&at(GATEWAY));
    let plan = served.and_then(|served| served.plan.clone()).expect("it is served");
    Arc::clone(&plan.endpoints[0].upstreams[0])
}

fn mk_denial(kind: &str, place: Place, purpose: Purpose, scope: Scope, owners: &[&Owner]) -> Denial {
    Denial {
        kind: kind.into(),
        place,
        purpose,
        scope,
        owners: owners.iter().copied().cloned().collect(),
        reason: "quota exceeded".to_owned(),
    }
}

fn ready(seen: &Seen, kind: Kind, name: &str) -> Option<String> {
    seen.ready(kind, name).map(|(head, _)| head)
}

/// The condition of this type on the registration: reason and message.
fn condition(seen: &Seen, kind: &str) -> Option<(String, String)> {
    let status = seen.status(Kind::Registration, SERVER).expect("it is told");
    let all = status["conditions"].as_array().expect("conditions");
    let found = all.iter().find(|condition| condition["type"] == kind)?;
    let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
    Some((text("reason"), text("message")))
}

#[test]
fn a_refused_route_makes_its_server_not_ready_until_it_stands() {
    let mut world = World::ready();
    let upstream = upstream(&world);
    let route = names::upstream_route(&upstream.namespace, &upstream.assigned.name);
    let denial = mk_denial("HTTPRoute", route, Purpose::Upstream, Scope::Object, &[&upstream.owner]);
    world.index.denied(&at(GATEWAY), vec![denial]);
    let seen = world.settle();
    let (head, message) = seen.ready(Kind::Registration, SERVER).expect("it is told");
    assert_eq!(head, "False ObjectRefused");
    assert!(
        message.contains("HTTPRoute mcp-test/mcp-upstream.") && message.contains("quota exceeded"),
        "{message}"
    );
    assert_eq!(
        ready(&seen, Kind::Extension, EXTENSION),
        Some("True ValidMCPGatewayExtension".to_owned())
    );
    let count = &seen.status(Kind::Extension, EXTENSION).expect("it is told")["readyServers"];
    assert_eq!(*count, json!(0));
    world.index.denied(&at(GATEWAY), Vec::new());
    assert_eq!(
        ready(&world.settle(), Kind::Registration, SERVER),
        Some("True Ready".to_owned())
    );
}

#[test]
fn a_refused_policy_shuts_everything_that_waits_for_it() {
    let mut world = World::ready();
    let policy = |namespace: &str| names::of_gateway("mcp-public", &at(GATEWAY), &namespace.into());
    let elsewhere = mk_denial(
        "ReferenceGrant",
        policy("team"),
        Purpose::Processor,
        Scope::Namespace,
        &[],
    );
    world.index.denied(&at(GATEWAY), vec![elsewhere]);
    assert!(world.settle().0.statuses.is_empty(), "nothing of theirs stands there");
    let home = mk_denial(
        "EnvoyExtensionPolicy",
        policy("home"),
        Purpose::Public,
        Scope::Gateway,
        &[],
    );
    world.index.denied(&at(GATEWAY), vec![home]);
    let seen = world.settle();
    for (kind, name) in [(Kind::Registration, SERVER), (Kind::Extension, EXTENSION)] {
        assert_eq!(ready(&seen, kind, name), Some("False ObjectRefused".to_owned()));
    }
}

#[test]
fn a_refused_guard_is_a_warning_that_the_server_is_open() {
    let mut world = World::ready();
    let upstream = upstream(&world);
    let guard = upstream.guard.as_ref().expect("its route is guarded");
    let place = names::guard_route(&at(GATEWAY), &guard.route);
    let denial = mk_denial("HTTPRoute", place, Purpose::Guard, Scope::Object, &[&upstream.owner]);
    world.index.denied(&at(GATEWAY), vec![denial]);
    let seen = world.settle();
    assert_eq!(ready(&seen, Kind::Registration, SERVER), Some("True Ready".to_owned()));
    let (reason, message) = condition(&seen, "DirectAccessOpen").expect("a warning");
    assert_eq!(reason, "ObjectRefused");
    assert!(message.contains("mcp-manifold/direct-access: allowed"), "{message}");
}

#[test]
fn a_route_that_no_guard_can_win_against_is_warned_of() {
    let mut world = World::ready();
    let headers: Vec<_> = (0..16)
        .map(|number| json!({"name": format!("x-{number}"), "value": "y"}))
        .collect();
    world.change("HTTPRoute", "my-mcp-server-route", |route| {
        route["spec"]["rules"][0]["matches"] = json!([{"headers": headers}]);
    });
    let plan = world.settle().plan(GATEWAY).expect("the guard is another one");
    world
        .index
        .unguarded(&at(GATEWAY), crate::edge::kube::objects::unguarded(&plan));
    let (reason, message) = condition(&world.settle(), "DirectAccessOpen").expect("a warning");
    assert_eq!(reason, "NoRouteWins");
    assert!(message.contains("asks for so many headers"), "{message}");
    world.change("HTTPRoute", "my-mcp-server-route", |_| {});
    let plan = world.settle().plan(GATEWAY).expect("the guard is another one");
    world
        .index
        .unguarded(&at(GATEWAY), crate::edge::kube::objects::unguarded(&plan));
    assert_eq!(condition(&world.settle(), "DirectAccessOpen"), None);
}

#[test]
fn what_cannot_be_told_to_processors_says_so_itself() {
    let mut world = World::ready();
    let name: Arc<str> = upstream(&world).assigned.name.as_str().into();
    let unsent = |upstreams: &[&Arc<str>], whole: Option<&str>| Told::Unsent {
        upstreams: upstreams
            .iter()
            .map(|name| (Arc::clone(name), "its path is too long".to_owned()))
            .collect(),
        whole: whole.map(str::to_owned),
    };
    world.told(unsent(&[&name], None));
    let seen = world.settle();
    let (head, message) = seen.ready(Kind::Registration, SERVER).expect("it is told");
    assert_eq!(head, "False Invalid");
    assert!(message.contains("its path is too long"), "{message}");
    world.told(unsent(&[], Some("two endpoints have one id")));
    let seen = world.settle();
    assert_eq!(ready(&seen, Kind::Registration, SERVER), Some("True Ready".to_owned()));
    let (head, message) = seen.ready(Kind::Extension, EXTENSION).expect("it is told");
    assert_eq!(head, "False DeploymentNotReady");
    assert!(message.contains("two endpoints have one id"), "{message}");
    world.told(unsent(&[], None));
    assert_eq!(
        ready(&world.settle(), Kind::Extension, EXTENSION),
        Some("True ValidMCPGatewayExtension".to_owned())
    );
}

#[test]
fn what_is_to_be_looked_up_is_known_before_anything_is_concluded() {
    let mut world = World::ready();
    world.change("MCPGatewayExtension", "mcp-extension", |extension| {
        extension["spec"]["caCertBundleRef"] = json!({"name": "bundle"});
    });
    assert!(world.index.look(), "the extension is resolved");
    let wanted = world.index.references(&[Kind::ConfigMap]);
    assert_eq!(
        wanted.into_iter().collect::<Vec<_>>(),
        [Key::new(Kind::ConfigMap, at("mcp-test/bundle"))]
    );
    let bundle = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bundle, namespace: mcp-test}\n\
                  data: {ca.crt: \"-----BEGIN CERTIFICATE-----\"}\n";
    world.apply(bundle);
    let seen = world.settle();
    assert!(
        seen.ready(Kind::Extension, EXTENSION)
            .is_none_or(|(head, _)| head.starts_with("True"))
    );
    assert!(!world.index.look(), "and then there is silence");
}
