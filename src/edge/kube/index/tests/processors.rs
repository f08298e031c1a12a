//! What processors say, and what becomes of it in conditions and events.

use super::fixtures::{GATEWAY, World, at, mk_report};
use super::*;
use crate::engine::assignment::Report;
use crate::engine::status::{Reason, UpstreamStatus};
use serde_json::json;

const SERVER: &str = "mcp-test/my-mcp-server";

fn told(world: &mut World) -> Option<String> {
    world.settle().ready(Kind::Registration, SERVER).map(|ready| ready.0)
}

fn reported(world: &mut World, change: impl FnOnce(&mut UpstreamStatus)) {
    let plan = world
        .index
        .gateways
        .get(&at(GATEWAY))
        .and_then(|served| served.plan.clone());
    let plan = plan.expect("it is served");
    let upstream = plan
        .endpoints
        .first()
        .and_then(|endpoint| endpoint.upstreams.first())
        .expect("one");
    let mut report = mk_report(upstream, 5);
    change(&mut report);
    world.told(Told::Report(Report {
        processor: "one".into(),
        upstreams: vec![report],
    }));
}

#[test]
fn ready_means_that_a_processor_has_listed_the_server() {
    let mut world = World::guide();
    let plan = world.changes().plan(GATEWAY).expect("it is served");
    world.settle();
    world.told(Told::Connected {
        processor: "one".into(),
    });
    assert_eq!(told(&mut world).as_deref(), Some("False Pending"));
    world.pass(3);
    world.report(&plan, 5);
    let changes = world.settle();
    let status = changes.status(Kind::Registration, SERVER).expect("it is told");
    assert_eq!(
        (&status["discoveredTools"], &status["prefix"], &status["path"]),
        (&json!(5), &json!("myserver_"), &json!("/mcp"))
    );
    let condition = &status["conditions"][0];
    assert_eq!(
        (&condition["status"], &condition["reason"]),
        (&json!("True"), &json!("Ready"))
    );
    assert_eq!(condition["observedGeneration"], 1);
    assert_eq!(condition["lastTransitionTime"], "1970-01-01T00:16:43Z");
    let note = changes
        .0
        .notes
        .iter()
        .find(|note| &*note.about.kind == "MCPServerRegistration")
        .expect("an event");
    assert_eq!((note.weight, note.reason.as_str()), (Weight::Normal, "Ready"));
    assert!(world.settle().0.is_empty(), "and then there is silence");
}

#[test]
fn the_reason_of_a_failure_is_passed_on_and_the_count_goes() {
    let mut world = World::ready();
    for (reason, word) in [
        (Reason::Unreachable, "False Unreachable"),
        (Reason::Unauthorized, "False Unauthorized"),
        (Reason::ProtocolError, "False ProtocolError"),
    ] {
        reported(&mut world, |report| {
            report.ready = false;
            report.reason = reason;
            report.last_error = Some("it said no".to_owned());
        });
        let changes = world.settle();
        let (ready, message) = changes.ready(Kind::Registration, SERVER).expect("it is told");
        assert_eq!(ready, word);
        assert!(message.contains("it said no"), "{message}");
        let status = changes.status(Kind::Registration, SERVER).expect("it is told");
        assert!(status.get("discoveredTools").is_none());
    }
    reported(&mut world, |_| {});
    assert_eq!(told(&mut world).as_deref(), Some("True Ready"));
}

#[test]
fn a_report_of_the_configuration_before_counts_for_nothing() {
    let mut world = World::ready();
    world.change("MCPServerRegistration", "my-mcp-server", |object| {
        object["spec"]["path"] = json!("/other");
        object["metadata"]["generation"] = json!(2);
    });
    assert_eq!(told(&mut world).as_deref(), Some("False Pending"));
    reported(&mut world, |report| {
        report.url = "http://my-mcp-server.mcp.local/mcp".to_owned()
    });
    assert_eq!(told(&mut world), None, "it speaks of the path before");
    reported(&mut world, |_| {});
    assert_eq!(told(&mut world).as_deref(), Some("True Ready"));
}

#[test]
fn a_processor_that_comes_back_in_time_was_never_away() {
    let mut world = World::ready();
    world.told(Told::Gone {
        processor: "one".into(),
    });
    let changes = world.settle();
    assert!(changes.0.statuses.is_empty());
    assert!(changes.0.wake.is_some(), "the grace ends some time");
    world.pass(5);
    world.told(Told::Connected {
        processor: "one".into(),
    });
    world.pass(60);
    assert!(world.settle().0.statuses.is_empty());
}

#[test]
fn when_the_last_processor_stays_away_nothing_is_ready() {
    let mut world = World::ready();
    world.told(Told::Gone {
        processor: "one".into(),
    });
    let wake = world.settle().0.wake.expect("a time to look again");
    world.now = wake;
    let changes = world.settle();
    assert_eq!(
        changes
            .ready(Kind::Registration, SERVER)
            .map(|ready| ready.0)
            .as_deref(),
        Some("False NoProcessor")
    );
    assert!(
        changes
            .ready(Kind::Extension, "mcp-test/mcp-extension")
            .is_some_and(|ready| ready.0.starts_with("False"))
    );
}

#[test]
fn one_processor_that_has_it_is_enough() {
    let mut world = World::ready();
    world.told(Told::Connected {
        processor: "two".into(),
    });
    let changes = world.settle();
    let status = changes
        .status(Kind::Extension, "mcp-test/mcp-extension")
        .expect("it is told");
    let types: Vec<_> = status["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|one| one["type"].clone())
        .collect();
    assert!(types.contains(&json!("SessionsNotShared")), "{types:?}");
    let plan = world
        .index
        .gateways
        .get(&at(GATEWAY))
        .and_then(|served| served.plan.clone())
        .expect("it is served");
    let upstream = plan
        .endpoints
        .first()
        .and_then(|endpoint| endpoint.upstreams.first())
        .expect("one");
    let mut report = mk_report(upstream, 0);
    report.ready = false;
    report.reason = Reason::Unreachable;
    world.told(Told::Report(Report {
        processor: "two".into(),
        upstreams: vec![report],
    }));
    let (ready, message) = world
        .settle()
        .ready(Kind::Registration, SERVER)
        .expect("the message has changed");
    assert_eq!(ready, "True Ready");
    assert!(message.contains("1 of 2 processors"), "{message}");
}

#[test]
fn a_refused_assignment_is_told_on_the_extension() {
    let mut world = World::ready();
    world.told(Told::Refused {
        processor: "one".into(),
        version: 2,
        reason: "two upstreams of one name".to_owned(),
    });
    let (ready, message) = world
        .settle()
        .ready(Kind::Extension, "mcp-test/mcp-extension")
        .expect("it is told");
    assert_eq!(ready, "False DeploymentNotReady");
    assert!(message.contains("two upstreams of one name"), "{message}");
    world.told(Told::Accepted {
        processor: "one".into(),
        version: 3,
    });
    assert!(
        world
            .settle()
            .ready(Kind::Extension, "mcp-test/mcp-extension")
            .is_some_and(|ready| ready.0.starts_with("True"))
    );
}

#[test]
fn a_new_controller_leaves_what_stands_until_processors_had_time_to_come() {
    let mut old = World::ready();
    let mut new = World::new();
    for (_, object) in [
        Kind::Extension,
        Kind::Registration,
        Kind::Gateway,
        Kind::GatewayClass,
        Kind::Grant,
    ]
    .into_iter()
    .chain([Kind::Route, Kind::Service, Kind::EndpointSlice])
    .flat_map(|kind| {
        old.index
            .store
            .all(kind)
            .map(|(key, object)| (key.clone(), object.clone()))
            .collect::<Vec<_>>()
    }) {
        new.index.apply(object);
    }
    assert!(old.settle().0.statuses.is_empty());
    let changes = new.settle();
    assert!(changes.0.statuses.is_empty(), "{:?}", changes.0.statuses);
    new.pass(11);
    assert_eq!(told(&mut new).as_deref(), Some("False NoProcessor"));
}

#[test]
fn a_status_that_somebody_overwrites_is_written_again() {
    let mut world = World::ready();
    world.change("MCPServerRegistration", "my-mcp-server", |object| {
        object["status"] = json!({"conditions": [{"type": "Ready", "status": "False", "reason": "Mine", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z"}]});
    });
    assert_eq!(told(&mut world).as_deref(), Some("True Ready"));
}

#[test]
fn a_status_that_could_not_be_written_is_asked_for_again() {
    let mut world = World::guide();
    assert!(!world.changes().0.statuses.is_empty());
    assert!(world.changes().0.statuses.is_empty(), "once is enough");
    world.index.unwritten(&Key::new(Kind::Registration, at(SERVER)));
    assert_eq!(world.changes().0.statuses.len(), 1);
}

#[test]
fn a_listed_server_is_ready_only_once_its_route_is_known_to_be_guarded() {
    let mut world = World::guide();
    world.index.settings.probes = true;
    let plan = world.changes().plan(GATEWAY).expect("it is served");
    world.settle();
    world.told(Told::Connected {
        processor: "one".into(),
    });
    world.pass(20);
    told(&mut world);
    let name = plan.endpoints[0].upstreams[0].assigned.name.clone();
    world.report(&plan, 5);
    assert_eq!(told(&mut world).as_deref(), Some("False RoutePending"));
    let mut probed = |road| {
        world.index.probed(&at(GATEWAY), &name, Some(road));
        told(&mut world)
    };
    assert_eq!(probed(Road::Open(200)).as_deref(), Some("False RouteOpen"));
    assert_eq!(probed(Road::Broken(500)).as_deref(), Some("False RouteBroken"));
    assert_eq!(probed(Road::Guarded).as_deref(), Some("True Ready"));
    assert_eq!(probed(Road::Guarded), None, "nothing is told twice");
    let unverified = Road::Unverified("nobody answers".to_owned());
    world.index.probed(&at(GATEWAY), &name, Some(unverified));
    let changes = world.settle();
    let status = changes
        .status(Kind::Registration, SERVER)
        .expect("it is told")
        .to_string();
    assert!(
        status.contains("RouteUnverified") && status.contains("nobody answers"),
        "{status}"
    );
    assert!(status.contains("\"discoveredTools\":5"), "ready all the same: {status}");
}
