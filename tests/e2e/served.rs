//! A processor led by a registry, as in a cluster: several endpoints, changes, its controller gone, its own restart. Envoy
//! is wired as Envoy Gateway wires it.

mod draining;
mod pki;
mod room;

use crate::e2e::harness::client::{Client, Request, initialize};
use crate::e2e::harness::eventually;
use crate::e2e::harness::puppet::{Act, Puppet};
use mcp_manifold::engine::assignment::Told;
use mcp_manifold::engine::status::{Reason, UpstreamStatus};
use pki::Authority;
use room::{Controller, KEY, Room, mk_assignment, mk_upstream};
use serde_json::json;
use std::time::Duration;
use tokio::sync::watch;

/// A controller, and a processor that serves `one` and `two` at endpoint `a`.
async fn two_upstreams(more: &str) -> (Controller, Room, Puppet, Puppet) {
    let (one, two) = (Puppet::start(&["x"]).await, Puppet::start(&["y"]).await);
    let authority = Authority::new();
    let mut controller = Controller::start(&authority, None);
    let upstreams = [mk_upstream("one", &one, more), mk_upstream("two", &two, more)];
    controller.assign(mk_assignment(&[("a", "/mcp", &["one", "two"])], &upstreams));
    let room = Room::new(&controller, authority, &[("one", &one), ("two", &two)]).await;
    controller.accepted().await;
    room.until_ready("one").await;
    room.until_ready("two").await;
    (controller, room, one, two)
}

#[tokio::test]
async fn each_endpoint_has_its_own_lists_and_sessions_and_nobody_passes_by_the_processor() {
    let (one, two) = (Puppet::start(&["x"]).await, Puppet::start(&["y"]).await);
    let authority = Authority::new();
    let mut controller = Controller::start(&authority, None);
    let endpoints: [(&str, &str, &[&str]); 2] = [("a", "/mcp", &["one"]), ("b", "/other", &["two"])];
    let upstreams = [mk_upstream("one", &one, ""), mk_upstream("two", &two, "")];
    controller.assign(mk_assignment(&endpoints, &upstreams));
    let room = Room::new(&controller, authority, &[("one", &one), ("two", &two)]).await;
    controller.accepted().await;
    room.until_ready("one").await;
    room.until_ready("two").await;

    let client = room.client().await;
    assert_eq!(client.tools().await, ["one_x"]);
    assert_eq!(client.text_of("one_x", &json!({})).await, "x");
    let call = one.posted("tools/call").pop().expect("it came through Envoy");
    assert_eq!(call.header("x-mcp-route-key"), None);
    assert_eq!(two.posted("tools/call").len(), 0);

    let elsewhere = client.request(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#);
    let response = elsewhere.path("/other").send(room.address).await;
    assert_eq!(response.status, 404, "a session of another endpoint: {response:?}");

    let straight = || initialize("2025-11-25", &json!({})).with("x-mcp-upstream", "one");
    let with_key = straight().with("x-mcp-route-key", KEY).send(room.address).await;
    assert_eq!(with_key.status, 403, "on an upstream's route: {with_key:?}");
    let guessed = straight().with("x-mcp-route-key", "guessed").send(room.address).await;
    assert_eq!(guessed.status, 200, "the header means nothing: {guessed:?}");
    assert!(guessed.header("mcp-session-id").is_some(), "answered by the processor");
}

#[tokio::test]
async fn a_change_drops_no_running_call() {
    for via in ["", ", via: direct"] {
        let (mut controller, room, one, two) = two_upstreams(via).await;
        let client = room.client().await;
        let (gate, opened) = watch::channel(false);
        one.play_for("tools/call", Act::Wait(opened));
        let session = client.session.clone();
        let address = room.address;
        let running = tokio::spawn(async move {
            let client = Client::known(address, &session);
            client.text_of("one_x", &json!({})).await
        });
        one.until("the call is there", |_| one.posted("tools/call").len() == 1)
            .await;

        // Its upstream goes altogether, the other one gets another prefix.
        let renamed = mk_upstream("two", &two, &format!("{via}, prefix: other_"));
        controller.assign(mk_assignment(&[("a", "/mcp", &["two"])], &[renamed]));
        controller.accepted().await;
        assert_eq!(client.tools().await, ["other_y"]);
        assert_eq!(client.text_of("other_y", &json!({})).await, "y");
        gate.send(true).expect("somebody waits");
        assert_eq!(running.await.expect("no panic"), "x", "via {via:?}");
    }
}

#[tokio::test]
async fn a_processor_serves_without_its_controller_and_after_its_own_restart() {
    let (controller, mut room, _one, _two) = two_upstreams("").await;
    let client = room.client().await;
    assert_eq!(client.text_of("one_x", &json!({})).await, "x");
    let address = controller.address;
    controller.leaves().await;
    assert_eq!(client.text_of("two_y", &json!({})).await, "y");

    room.restart().await;
    eventually("Envoy finds the new processor", async || {
        let request = client.request(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
        request.send(room.address).await.status == 200
    })
    .await;
    assert_eq!(client.tools().await, ["one_x", "two_y"], "the session goes on");
    assert_eq!(client.text_of("one_x", &json!({})).await, "x");

    let mut controller = Controller::start(&room.authority, Some(address));
    let three = Puppet::start(&["z"]).await;
    controller.assign(mk_assignment(
        &[("a", "/mcp", &["three"])],
        &[mk_upstream("three", &three, "")],
    ));
    controller.accepted().await;
    room.until_ready("three").await;
    assert_eq!(client.tools().await, ["three_z"], "the new controller is followed");
}

#[tokio::test]
async fn an_assignment_that_does_not_fit_together_is_refused_and_changes_nothing() {
    let (mut controller, room, one, two) = two_upstreams("").await;
    let client = room.client().await;
    let upstreams = [mk_upstream("one", &one, ""), mk_upstream("two", &two, "")];
    let endpoints: [(&str, &str, &[&str]); 2] = [("a", "/mcp", &["one"]), ("b", "/other", &["two"])];
    let mut assignment = mk_assignment(&endpoints, &upstreams);
    for endpoint in assignment.endpoints.values_mut() {
        std::sync::Arc::make_mut(endpoint).routes = vec!["team/a".into()];
    }
    controller.assign(assignment);
    let is_refused = |told: &Told| matches!(told, Told::Refused { reason, .. } if reason.contains("two endpoints"));
    controller.hears("it is refused", is_refused).await;
    assert_eq!(client.tools().await, ["one_x", "two_y"]);
    assert!(!room.log().contains(KEY), "no secret is logged");
}

#[tokio::test]
async fn the_controller_hears_within_ten_seconds_that_an_upstream_has_died_and_that_it_is_back() {
    let (mut controller, _room, one, _two) = two_upstreams("").await;
    let is = |told: &Told, ready: bool| {
        let Told::Report(report) = told else { return false };
        let mut rows = report.upstreams.iter().filter(|row| row.name == "one");
        rows.any(|row| row.ready == ready && (ready || row.reason == Reason::Unreachable))
    };
    let address = one.address;
    drop(one);
    let noticed = controller.hears("it is unreachable", |told| is(told, false)).await;
    let one = Puppet::at(address, &["x"]).await;
    let back = controller.hears("it is ready again", |told| is(told, true)).await;
    let limit = Duration::from_secs(10);
    assert!(noticed < limit && back < limit, "{noticed:?}, {back:?}");
    drop(one);
}

#[tokio::test]
async fn a_thousand_upstreams_are_served_in_seconds_and_one_change_in_a_moment() {
    let puppet = Puppet::start(&["x"]).await;
    let authority = Authority::new();
    let mut controller = Controller::start(&authority, None);
    let names: Vec<String> = (0..1000).map(|number| format!("up{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mk = |changed: &str| {
        let prefix = |name: &str| if name == changed { ", prefix: changed_" } else { "" };
        let upstreams: Vec<String> = names
            .iter()
            .map(|name| mk_upstream(name, &puppet, prefix(name)))
            .collect();
        mk_assignment(&[("a", "/mcp", &names)], &upstreams)
    };
    controller.assign(mk(""));
    let began = std::time::Instant::now();
    let room = Room::new(&controller, authority, &[]).await;
    controller.accepted().await;
    let all = began.elapsed();
    let client = room.client().await;
    let are_ready = |rows: &[UpstreamStatus]| rows.iter().filter(|row| row.ready).count() == names.len();
    let is_listed = |told: &Told| matches!(told, Told::Report(report) if are_ready(&report.upstreams));
    controller.hears("all are listed", is_listed).await;
    assert_eq!(client.tools().await.len(), 1000);
    let listed = began.elapsed();
    controller.assign(mk("up500"));
    let one = controller.accepted().await;
    assert!(client.tools().await.contains(&"changed_x".to_owned()));
    println!("1,000 upstreams: in force after {all:?}, listed after {listed:?}; one change after {one:?}");
    assert!(all < Duration::from_secs(10), "{all:?}");
    assert!(
        one < Duration::from_secs(2),
        "{one:?}: 200 ms is for a release build on a quiet machine"
    );
    let _ = Request::bare("DELETE")
        .session(&client.session)
        .send(room.address)
        .await;
}
