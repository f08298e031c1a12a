//! Calls that the processor makes itself.

use super::puppet::{DEADLINE, Puppet, Reply, mk_dead_url, mk_targets, mk_upstream};
use bytes::Bytes;
use futures_util::StreamExt;
use mcp_manifold::edge::http::Target;
use mcp_manifold::edge::relay::{CallStream, Relay};
use mcp_manifold::engine::config::{Credential, Secret};
use mcp_manifold::engine::exchange::CallEvent;
use mcp_manifold::engine::exchange::event::UpstreamFailure;
use mcp_manifold::engine::exchange::step::Call;
use std::sync::Arc;
use std::time::Duration;

fn mk_call(timeout: Duration) -> Call {
    Call {
        upstream: "puppet".into(),
        headers: vec![
            ("mcp-session-id".into(), Bytes::from_static(b"session-1")),
            ("authorization".into(), Bytes::from_static(b"Bearer of the client")),
            ("x-team".into(), Bytes::from_static(b"of the call")),
        ],
        passed: [("content-type", "application/json; charset=utf-8"), ("x-own", "kept")]
            .into_iter()
            .collect(),
        body: Bytes::from_static(br#"{"jsonrpc":"2.0","id":5,"method":"tools/call"}"#),
        timeout,
    }
}

async fn next(stream: &mut CallStream) -> Option<CallEvent> {
    tokio::time::timeout(DEADLINE, stream.next()).await.expect("in time")
}

async fn body(stream: &mut CallStream) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        match next(stream).await {
            Some(CallEvent::Chunk(chunk)) => body.extend_from_slice(&chunk),
            Some(CallEvent::End) => return body,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn head_pieces_and_end_come_in_order() {
    let puppet = Puppet::start(|_| Reply::Result(r#"{"content":[]}"#.to_owned())).await;
    let relay = Relay::new(puppet.targets());
    let mut stream = relay.call(mk_call(DEADLINE));
    let Some(CallEvent::Head(head)) = next(&mut stream).await else {
        panic!("no head")
    };
    assert_eq!(head.headers.text(":status"), Some("200"));
    assert_eq!(head.headers.text("content-type"), Some("application/json"));
    assert_eq!(
        body(&mut stream).await,
        br#"{"jsonrpc":"2.0","id":5,"result":{"content":[]}}"#
    );
    assert!(next(&mut stream).await.is_none());
}

#[tokio::test]
async fn the_credential_wins_and_constants_give_way() {
    let puppet = Puppet::start(|_| Reply::Error(400, -32600)).await;
    let mut upstream = mk_upstream(puppet.url());
    upstream.headers = vec![
        ("x-team".to_owned(), "constant".to_owned()),
        ("x-more".to_owned(), "constant".to_owned()),
    ];
    upstream.credential = Some(Credential {
        header: "authorization".to_owned(),
        value: Secret::Env("UNUSED".to_owned()),
    });
    let target = Target::new(&upstream, Some("Bearer secret")).expect("a target");
    assert!(
        !format!("{target:?}").contains("Bearer secret"),
        "secrets are not printed"
    );
    let relay = Relay::new(mk_targets(Arc::new(target)));
    let mut stream = relay.call(mk_call(DEADLINE));
    let Some(CallEvent::Head(head)) = next(&mut stream).await else {
        panic!("no head")
    };
    assert_eq!(head.headers.text(":status"), Some("400"), "any answer is an answer");
    let seen = puppet.all("tools/call").remove(0);
    let authorization: Vec<_> = seen.headers.get_all("authorization").iter().collect();
    assert_eq!(authorization, ["Bearer secret"]);
    assert_eq!(seen.headers["x-team"], "of the call");
    assert_eq!(seen.headers["x-more"], "constant");
    assert_eq!(seen.headers["accept"], "application/json, text/event-stream");
    assert_eq!(seen.headers["content-type"], "application/json; charset=utf-8");
    assert_eq!(seen.headers["x-own"], "kept");
    assert!(!seen.headers.contains_key("accept-encoding"));
    assert_eq!(seen.session.as_deref(), Some("session-1"));
}

#[tokio::test]
async fn a_stream_is_passed_on_as_it_comes_and_dropping_it_ends_the_call() {
    let puppet = Puppet::start(|_| Reply::Open).await;
    let relay = Relay::new(puppet.targets());
    let mut stream = relay.call(mk_call(DEADLINE));
    assert!(matches!(next(&mut stream).await, Some(CallEvent::Head(_))));
    puppet.send("first").await;
    let Some(CallEvent::Chunk(chunk)) = next(&mut stream).await else {
        panic!("no chunk")
    };
    assert_eq!(chunk, "data: first\n\n");
    drop(stream);
    puppet.streams_closed().await;
}

async fn failure(mut stream: CallStream) -> UpstreamFailure {
    let Some(CallEvent::Failed(failure)) = next(&mut stream).await else {
        panic!("it did not fail")
    };
    assert!(next(&mut stream).await.is_none());
    failure
}

#[tokio::test]
async fn failures_have_their_names() {
    let hanging = Puppet::start(|_| Reply::Hang).await;
    let relay = Relay::new(hanging.targets());
    let stream = relay.call(mk_call(Duration::from_millis(100)));
    assert_eq!(failure(stream).await, UpstreamFailure::TimedOut);
    let stranger = Call {
        upstream: "stranger".into(),
        ..mk_call(DEADLINE)
    };
    assert_eq!(failure(relay.call(stranger)).await, UpstreamFailure::Unreachable);
    let dead = Target::new(&mk_upstream(&mk_dead_url().await), None).expect("a target");
    let relay = Relay::new(mk_targets(Arc::new(dead)));
    assert_eq!(
        failure(relay.call(mk_call(DEADLINE))).await,
        UpstreamFailure::Unreachable
    );
}

#[tokio::test]
async fn connections_of_a_runtime_that_has_ended_harm_no_other() {
    let puppet = Puppet::start(|_| Reply::Result("{}".to_owned())).await;
    let relay = Relay::new(puppet.targets());
    for _ in 0..2 {
        let relay = relay.clone();
        let call = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let mut stream = relay.call(mk_call(DEADLINE));
                assert!(matches!(next(&mut stream).await, Some(CallEvent::Head(_))));
                body(&mut stream).await
            })
        });
        // The puppet lives on this runtime.
        puppet.wait_for("tools/call", 1).await;
        let done = tokio::task::spawn_blocking(move || call.join()).await.expect("joined");
        assert!(!done.expect("no panic").is_empty());
    }
}
