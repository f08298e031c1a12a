//! Lists that change, servers that are slow or dead, callers that are too many.

use super::*;
use crate::e2e::harness::gateway::address_in;
use crate::e2e::harness::stream::Stream;
use crate::e2e::harness::{PATIENCE, eventually, http};
use std::time::{Duration, Instant};
use tokio::sync::watch;

const CHANGED: &str = "notifications/tools/list_changed";

/// A server with a tool for whoever asks.
async fn puppet() -> Puppet {
    let puppet = Puppet::start(&[]).await;
    puppet.play(for_visitor);
    puppet
}

fn for_visitor(seen: &Seen) -> Option<Act> {
    let visitor = seen.header("x-user").and_then(|user| user.strip_prefix("key:"));
    let visitor = visitor.unwrap_or("nobody");
    let tools = json!({"tools": [tool(&format!("for_{visitor}"))]});
    (seen.method == "tools/list").then(|| seen.result(&tools))
}

/// How often it was listed for this caller with the session that takes requests.
fn listed(puppet: &Puppet, name: &str) -> usize {
    let handshakes = puppet.posted("initialize");
    let of =
        |seen: &&Seen| seen.header("x-user") == Some(&*format!("key:{name}")) && seen.text().contains("elicitation");
    handshakes.iter().filter(of).count()
}

/// The stream of a session.
async fn stream(caller: &Caller<'_>) -> Stream {
    let request = Request::bare("GET")
        .with("accept", "text/event-stream")
        .session(&caller.session);
    let stream = Stream::open(caller.gateway.address, &caller.dressed(request)).await;
    assert_eq!(stream.status, 200);
    stream
}

#[tokio::test]
async fn what_is_known_is_asked_once_and_the_oldest_caller_is_forgotten() {
    let puppet = puppet().await;
    let gateway = setup(&["ann", "bob", "cyd"])
        .with("lists: { first: 20s, principals: 2 }")
        .upstream_with("a", &puppet.url(), OWN)
        .up()
        .await;
    let tools = async |name| Caller::new(&gateway, Some(name)).tools().await;
    for name in ["ann", "bob", "ann", "bob", "cyd", "bob", "cyd"] {
        assert_eq!(tools(name).await, [format!("a_for_{name}")]);
    }
    assert_eq!(["ann", "bob", "cyd"].map(|name| listed(&puppet, name)), [1, 1, 1]);
    let metrics = gateway.ask("/metrics").await.text();
    assert!(metrics.contains("mcp_manifold_callers_listed 2"), "{metrics}");
    assert_eq!(tools("ann").await, ["a_for_ann"], "listed again");
    assert_eq!(["ann", "bob", "cyd"].map(|name| listed(&puppet, name)), [2, 1, 1]);
}

#[tokio::test]
async fn callers_who_come_at_once_wait_for_one_listing() {
    let puppet = puppet().await;
    let (open, gate) = watch::channel(false);
    puppet.also(move |seen| {
        let own = seen.method == "tools/list" && seen.header("x-user").is_some();
        own.then(|| Act::After(gate.clone(), Box::new(for_visitor(seen).expect("a list"))))
    });
    let gateway = setup(&["ann"]).upstream_with("a", &puppet.url(), OWN).up().await;
    let ann = Caller::new(&gateway, Some("ann"));
    let waiting = futures_util::future::join_all((0..8).map(|_| ann.tools()));
    let opening = async {
        puppet
            .until("it is asked", |seen| {
                seen.iter().any(|seen| seen.method == "tools/list")
            })
            .await;
        open.send(true).expect("it waits");
    };
    let (lists, ()) = tokio::join!(waiting, opening);
    assert!(lists.iter().all(|tools| *tools == ["a_for_ann"]), "{lists:?}");
    assert_eq!(listed(&puppet, "ann"), 1);
}

#[tokio::test]
async fn what_grows_old_is_listed_again() {
    let puppet = puppet().await;
    let gateway = setup(&["ann"])
        .with("lists: { first: 20s, principalAge: 300ms }")
        .upstream_with("a", &puppet.url(), OWN)
        .up()
        .await;
    let ann = Caller::new(&gateway, Some("ann"));
    eventually("it is listed again", async || {
        assert_eq!(ann.tools().await, ["a_for_ann"]);
        listed(&puppet, "ann") >= 3
    })
    .await;
}

#[tokio::test]
async fn a_change_is_listed_and_told_to_whom_it_concerns() {
    let (_server, url) = fixture(&["ann", "bob"], &[]).await;
    let gateway = setup(&["ann", "bob"]).upstream_with("a", &url, OWN).up().await;
    let ann = Caller::connect(&gateway, Some("ann")).await;
    let mut heard = stream(&ann).await;
    assert_eq!(ann.tools().await, ["a_for_ann_own"]);
    // Her session there tells her what it hears.
    assert!(ann.call("a_for_ann_own").await["result"].is_object());
    let put = "PUT /control/tools/for_ann_new HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let told = http::exchange(address_in(&url), put.as_bytes()).await;
    assert_eq!(told.expect("the server answers").status, 200);
    assert_eq!(heard.message().await["method"], CHANGED);
    assert_eq!(ann.tools().await, ["a_for_ann_own", "a_for_ann_new"]);
    assert!(ann.call("a_for_ann_new").await["result"].is_object());
    let bob = Caller::connect(&gateway, Some("bob")).await;
    assert_eq!(bob.tools().await, ["a_for_bob_own"]);
    assert_unknown(&bob.call("a_for_ann_new").await, "a_for_ann_new");
}

#[tokio::test]
async fn a_modern_client_hears_of_its_own_list_too() {
    let (_server, url) = fixture(&["ann"], &[]).await;
    let gateway = setup(&["ann"]).upstream_with("a", &url, OWN).up().await;
    let ann = Caller::new(&gateway, Some("ann"));
    let listen = modern(
        1,
        "subscriptions/listen",
        &json!({"notifications": {"toolsListChanged": true}}),
    );
    let mut heard = Stream::open(gateway.address, &ann.dressed(listen)).await;
    assert_eq!(
        heard.message().await["method"],
        "notifications/subscriptions/acknowledged"
    );
    // Nobody listed anything before; it is watched from the moment that it was.
    assert_eq!(ann.tools().await, ["a_for_ann_own"]);
    let mut number = 0;
    loop {
        let put = format!(
            "PUT /control/tools/for_ann_{number} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
        let told = http::exchange(address_in(&url), put.as_bytes()).await;
        assert_eq!(told.expect("the server answers").status, 200);
        number += 1;
        if tokio::time::timeout(Duration::from_secs(1), heard.message())
            .await
            .is_ok()
        {
            break;
        }
        assert!(number < 20, "no change is told");
    }
    let last = format!("a_for_ann_{}", number - 1);
    assert!(ann.tools().await.contains(&last));
}

#[tokio::test]
async fn a_legacy_client_hears_of_its_own_resource_at_a_modern_server() {
    let (_server, url) = fixture(&["ann"], &["--eras", "modern"]).await;
    let gateway = setup(&["ann"]).upstream_with("a", &url, OWN).up().await;
    let ann = Caller::connect(&gateway, Some("ann")).await;
    let mut heard = stream(&ann).await;
    let uri = "test://for_ann_own";
    let answer = ann.rpc("resources/subscribe", &json!({"uri": uri})).await;
    assert_eq!(answer["result"], json!({}), "{answer}");
    // When a subscription takes effect nobody hears: it is told again until it is heard.
    let telling = async {
        loop {
            let tell = format!("POST /control/updated?uri={uri} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
            http::exchange(address_in(&url), tell.as_bytes())
                .await
                .expect("the server answers");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let message = tokio::select! {
        message = tokio::time::timeout(PATIENCE, heard.message()) => message.expect("an update in time"),
        () = telling => unreachable!("it goes on"),
    };
    assert_eq!(message["method"], "notifications/resources/updated", "{message}");
    assert_eq!(message["params"]["uri"], uri);
}

#[tokio::test]
async fn a_dead_server_is_left_out_and_told_of_once_it_is_there() {
    let (dead, other) = (puppet().await, Puppet::start(&["echo"]).await);
    let address = dead.address;
    let url = dead.url();
    drop(dead);
    let gateway = setup(&["ann"])
        .with("lists: { first: 2s }")
        .upstream_with("a", &url, OWN)
        .puppet("other", &other)
        .up()
        .await;
    gateway
        .until_upstream("a", "known to be down", |upstream| upstream["reason"] == "Unreachable")
        .await;
    let ann = Caller::connect(&gateway, Some("ann")).await;
    let mut heard = stream(&ann).await;
    assert_eq!(ann.tools().await, ["other_echo"]);
    let refused = ann.call("a_for_ann").await;
    assert_eq!(refused["error"]["code"], -31010, "{refused}");
    let back = Puppet::at(address, &[]).await;
    back.play(for_visitor);
    assert_eq!(heard.message().await["method"], CHANGED, "nobody had to ask");
    assert_eq!(ann.tools().await, ["a_for_ann", "other_echo"]);
    gateway
        .until_upstream("a", "known to be there", |upstream| upstream["reason"] == "Ready")
        .await;
}

#[tokio::test]
async fn a_slow_server_holds_up_nobody_for_longer_than_that() {
    let (slow, other) = (puppet().await, Puppet::start(&["echo"]).await);
    let (open, gate) = watch::channel(false);
    slow.also(move |seen| {
        let own = seen.method == "tools/list" && seen.header("x-user").is_some();
        own.then(|| Act::After(gate.clone(), Box::new(for_visitor(seen).expect("a list"))))
    });
    let gateway = setup(&["ann"])
        .with("lists: { first: 500ms }")
        .upstream_with("a", &slow.url(), OWN)
        .puppet("other", &other)
        .up()
        .await;
    let ann = Caller::connect(&gateway, Some("ann")).await;
    assert_eq!(ann.tools().await, ["other_echo"]);
    let begun = Instant::now();
    let called = ann.call("other_echo").await;
    assert_eq!(called["result"]["content"][0]["text"], "echo");
    assert!(begun.elapsed() < Duration::from_secs(2), "nobody waits a second time");
    let mut heard = stream(&ann).await;
    open.send(true).expect("it waits");
    assert_eq!(heard.message().await["method"], CHANGED);
    assert_eq!(ann.tools().await, ["a_for_ann", "other_echo"]);
}

#[tokio::test]
async fn a_refused_credential_shows_nothing_any_more() {
    let puppet = puppet().await;
    let gateway = setup(&["ann"]).upstream_with("a", &puppet.url(), OWN).up().await;
    let ann = Caller::connect(&gateway, Some("ann")).await;
    assert_eq!(ann.tools().await, ["a_for_ann"]);
    puppet.also(|seen| seen.header("x-user").map(|_| Act::text(401, "{}")));
    let refused = ann.call("a_for_ann").await;
    assert_eq!(refused["error"]["code"], -31010, "{refused}");
    eventually("it is left out", async || ann.tools().await.is_empty()).await;
    let status = gateway.upstream("a").await;
    assert_eq!(
        status["reason"], "Ready",
        "one caller's credential says nothing of the server"
    );
}
