//! Controller and processors around the registry, in this process: real sockets, real certificates, real files.

mod faults;
mod pki;
mod proxy;
mod room;
mod scale;

use mcp_manifold::edge::registry::{Follower, Identity};
use mcp_manifold::engine::assignment::Told;
use mcp_manifold::engine::status::Reason;
use pki::mount;
use proxy::Proxy;
use room::{Processor, Room, mk_assignment, mk_status};
use std::sync::Arc;

#[tokio::test]
async fn an_assignment_reaches_its_processor_and_the_verdict_comes_back() {
    let mut room = Room::new().await;
    let assigned = mk_assignment(&["files", "search"]);
    let version = room.registry.assign("team/edge", Arc::clone(&assigned)).expect("fine");

    let mut processor = room.processor("team/edge", "pod-1");
    let received = processor.accept().await;

    assert_eq!(received, (version, assigned), "secrets included");
    let printed = format!("{received:?}");
    assert!(
        !printed.contains("very-secret") && !printed.contains("-key\""),
        "{printed}"
    );
    room.hears("pod-1 connected").await;
    room.hears("pod-1 accepted 1").await;
}

#[tokio::test]
async fn only_what_changed_travels_and_the_rest_is_the_same_value() {
    let mut room = Room::new().await;
    room.assign("team/edge", &["a", "b", "c"]);
    let mut processor = room.processor("team/edge", "pod-1");
    let (_, before) = processor.accept().await;

    room.assign("team/edge", &["a", "c", "d"]);
    let (version, after) = processor.accept().await;

    assert_eq!((version, &after), (2, &mk_assignment(&["a", "c", "d"])));
    assert!(Arc::ptr_eq(&before.upstreams["a"], &after.upstreams["a"]), "told once");
    room.hears("pod-1 accepted 2").await;
}

#[tokio::test]
async fn a_refusal_says_why_and_the_next_version_differs_from_what_is_held() {
    let mut room = Room::new().await;
    room.assign("team/edge", &["a"]);
    let mut processor = room.processor("team/edge", "pod-1");
    processor.accept().await;

    room.assign("team/edge", &["a", "b"]);
    processor.refuse("b is too much").await;
    room.hears("pod-1 refused 2: b is too much").await;

    room.assign("team/edge", &["a", "b", "c"]);
    let (_, after) = processor.accept().await;
    assert_eq!(
        after,
        mk_assignment(&["a", "b", "c"]),
        "b is told again: it was not taken"
    );
}

#[tokio::test]
async fn reports_come_back_whole_whatever_changed() {
    let mut room = Room::new().await;
    room.assign("team/edge", &["a", "b"]);
    let mut processor = room.processor("team/edge", "pod-1");
    processor.accept().await;

    processor.report(vec![mk_status("a", Reason::Ready), mk_status("b", Reason::Pending)]);
    room.hears_report(&[("a", Reason::Ready), ("b", Reason::Pending)]).await;
    processor.report(vec![
        mk_status("a", Reason::Ready),
        mk_status("b", Reason::Unauthorized),
    ]);
    room.hears_report(&[("a", Reason::Ready), ("b", Reason::Unauthorized)])
        .await;
    processor.report(vec![mk_status("b", Reason::Unauthorized)]);
    room.hears_report(&[("b", Reason::Unauthorized)]).await;
}

#[tokio::test]
async fn each_gateway_hears_of_its_own_only() {
    let room = Room::new().await;
    room.assign("team/one", &["a"]);
    room.assign("team/two", &["b"]);
    let mut one = room.processor("team/one", "pod-1");
    let mut two = room.processor("team/two", "pod-1");

    assert_eq!(one.accept().await.1, mk_assignment(&["a"]));
    assert_eq!(two.accept().await.1, mk_assignment(&["b"]));
    room.assign("team/two", &["b", "c"]);
    assert_eq!(two.accept().await.0, 2);
    room.registry.withdraw("team/two");
    assert_eq!(two.accept().await.1, mk_assignment(&[]), "nothing is left");
    assert!(one.is_idle(), "its assignment has not changed");
}

#[tokio::test]
async fn two_processors_of_a_gateway_serve_the_same_and_leave_one_by_one() {
    let mut room = Room::new().await;
    room.assign("team/edge", &["a"]);
    let mut first = room.processor("team/edge", "pod-1");
    let mut second = room.processor("team/edge", "pod-2");
    assert_eq!(first.accept().await, second.accept().await);

    second.end().await;
    room.hears("pod-2 gone").await;
    room.assign("team/edge", &["a", "b"]);
    assert_eq!(first.accept().await.0, 2);
    assert!(!room.heard("pod-1 gone"));
}

#[tokio::test]
async fn an_assignment_that_no_processor_could_use_is_not_sent() {
    let mut room = Room::new().await;
    room.assign("team/edge", &["a"]);
    let mut lonely = (*mk_assignment(&["a"])).clone();
    lonely.endpoints.clear();
    let error = room
        .registry
        .assign("team/edge", Arc::new(lonely))
        .expect_err("nobody's");
    assert_eq!(error.to_string(), "no endpoint names upstream \"a\"");

    let mut processor = room.processor("team/edge", "pod-1");
    assert_eq!(
        processor.accept().await,
        (1, mk_assignment(&["a"])),
        "the last good one"
    );
    room.hears("pod-1 accepted 1").await;
    assert!(!room.heard_any(|told| matches!(told, Told::Refused { .. })));
}

/// A processor that reaches the controller through the proxy.
fn through(proxy: &Proxy, room: &Room, name: &str) -> Processor {
    stranger(proxy, room, name, &room.authority.client("team/edge"))
}

fn stranger(proxy: &Proxy, room: &Room, name: &str, identity: &Identity) -> Processor {
    let folder = room.folder.path().join(name);
    mount(&folder.join("certificates"), identity);
    Processor::start(Follower {
        url: format!("https://{}", proxy.address),
        certificates: folder.join("certificates"),
        gateway: "team/edge".into(),
        processor: name.into(),
        state: folder.join("assignment"),
    })
}
