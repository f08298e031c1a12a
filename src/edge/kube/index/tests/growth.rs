//! Any order of events leads to the same end, and one change among many costs little.

use super::fixtures::{GATEWAY, World, at, documents, mk_object};
use super::*;
use proptest::prelude::*;
use std::fmt::Write;

/// Objects that touch each other in many ways.
const MORE: &str = include_str!("more.yaml");

fn objects() -> Vec<Object> {
    let guide = include_str!("guide.yaml");
    documents(guide).iter().chain(&documents(MORE)).map(mk_object).collect()
}

fn keys(number: u32) -> Keys {
    Keys {
        route_key: Confidential(format!("route {number}").into()),
        session_keys: vec![Confidential(format!("session {number}").into())],
    }
}

/// Everything the index stands for.
fn end(world: &mut World) -> String {
    world.changes();
    let mut text = String::new();
    for (place, served) in &world.index.gateways {
        if let Some(plan) = &served.plan {
            let _ = writeln!(text, "{place} {plan:#?} {:#?}", served.refused);
        }
    }
    let _ = write!(
        text,
        "{:#?} {:#?}",
        world.index.answers.extensions, world.index.answers.registrations
    );
    text
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_happened_on_the_way_makes_no_difference(
        steps in prop::collection::vec((0usize..64, any::<bool>(), any::<bool>()), 0..60),
        order in Just((0..objects().len()).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let objects = objects();
        let mut travelled = World::new();
        for (which, present, look) in steps {
            let object = &objects[which % objects.len()];
            if present { travelled.index.apply(object.clone()) } else { travelled.index.delete(&object.key()) }
            if look { travelled.changes(); }
        }
        let mut fresh = World::new();
        for (number, which) in order.iter().enumerate() {
            let object = &objects[*which];
            // Every fourth is missing in the end.
            if number % 4 == 3 {
                travelled.index.delete(&object.key());
            } else {
                travelled.index.apply(object.clone());
                fresh.index.apply(object.clone());
            }
        }
        prop_assert_eq!(end(&mut travelled), end(&mut fresh));
    }
}

#[test]
fn an_assignment_waits_for_its_keys_and_follows_them() {
    let mut world = World::guide();
    assert!(
        world.changes().0.assignments.is_empty(),
        "without keys there is nothing to serve with"
    );
    world.index.keys(&at(GATEWAY), keys(1));
    let changes = world.changes().0;
    let [(_, Some(assignment))] = changes.assignments.as_slice() else {
        panic!("one assignment")
    };
    assert!(changes.plans.is_empty());
    assert!(assignment.upstreams.contains_key("mcp-test.my-mcp-server"));
    world.index.keys(&at(GATEWAY), keys(1));
    assert!(world.changes().0.is_empty(), "the same keys change nothing");
    world.index.keys(&at(GATEWAY), keys(2));
    assert_eq!(world.changes().0.assignments.len(), 1);
    world.index.delete(&Key::new(Kind::Gateway, at(GATEWAY)));
    let changes = world.changes().0;
    assert!(matches!(changes.assignments.as_slice(), [(_, None)]) && matches!(changes.plans.as_slice(), [(_, None)]));
}

#[test]
fn what_is_not_read_changes_nothing() {
    let mut world = World::ready();
    world.change("Gateway", "mcp-gateway", |object| {
        object["metadata"]["resourceVersion"] = "77".into();
        object["status"] = serde_json::json!({"listeners": [{"name": "mcp", "attachedRoutes": 3, "conditions": []}]});
    });
    world.apply(include_str!("guide.yaml").split("\n---\n").next().expect("a document"));
    assert!(world.index.dirty.is_empty(), "{:?}", world.index.dirty);
}

fn server(number: usize) -> String {
    let template = "apiVersion: v1\nkind: Service\nmetadata: {name: sN, namespace: mcp-test, uid: sN}\nspec: {ports: [{port: 80}]}\n---\n\
        kind: EndpointSlice\nmetadata: {name: sN-x, namespace: mcp-test, labels: {kubernetes.io/service-name: sN}}\naddressType: IPv4\n\
        ports: [{port: 80}]\nendpoints: [{addresses: [10.1.0.1]}]\n---\n\
        kind: HTTPRoute\nmetadata: {name: rN, namespace: mcp-test, uid: rN}\nspec:\n  parentRefs: [{name: mcp-gateway, namespace: \
        gateway-system}]\n  hostnames: [sN.mcp.local]\n  rules: [{backendRefs: [{name: sN, port: 80}]}]\n---\n\
        apiVersion: mcp.kuadrant.io/v1\nkind: MCPServerRegistration\nmetadata: {name: mN, namespace: mcp-test, uid: mN, generation: 1}\n\
        spec: {prefix: pN_, targetRef: {name: rN}}\n";
    ["s", "r", "m", "p"].iter().fold(template.to_owned(), |text, letter| {
        text.replace(&format!("{letter}N"), &format!("{letter}{number}"))
    })
}

#[test]
fn one_change_among_a_thousand_resolves_one() {
    let mut world = World::guide();
    for number in 0..1_000 {
        world.apply(&server(number));
    }
    let plan = world.settle().plan(GATEWAY).expect("it is served");
    world.settle();
    assert_eq!(
        plan.endpoints.first().map(|endpoint| endpoint.upstreams.len()),
        Some(1_001)
    );
    let moved = server(500).replace("10.1.0.1", "10.1.0.2");
    world.apply(moved.split("\n---\n").nth(1).expect("the slice"));
    let dirty: Vec<_> = world
        .index
        .dirty
        .iter()
        .map(|unit| unit.key().place.to_string())
        .collect();
    assert_eq!(dirty, ["mcp-test/m500"]);
    let started = std::time::Instant::now();
    let changes = world.changes().0;
    let took = started.elapsed();
    assert_eq!((changes.plans.len(), changes.statuses.len()), (1, 0));
    assert!(took.as_millis() < 500, "took {took:?}, without optimisation");
}
