//! HTTP+SSE upstreams: what they say comes out as a Streamable HTTP server would have said it.

mod troubles;

use super::old::{Done, OldServer, Posted, done, plain, response};
use super::puppet::{DEADLINE, Puppet, greeting, legacy, mk_targets, mk_upstream};
use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderMap, HeaderValue};
use mcp_manifold::edge::http::{HttpError, Media, Response, Target};
use mcp_manifold::edge::relay::Relay;
use mcp_manifold::engine::config::{self, Credential, Protocol, Secret};
use mcp_manifold::engine::exchange::CallEvent;
use mcp_manifold::engine::exchange::event::UpstreamFailure;
use mcp_manifold::engine::exchange::step::Call;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

pub(super) fn mk_config(server: &OldServer) -> config::Upstream {
    config::Upstream {
        protocol: Protocol::Sse,
        via: config::Via::Direct,
        ..mk_upstream(&server.url())
    }
}

pub(super) fn mk_target(server: &OldServer) -> Arc<Target> {
    Arc::new(Target::new(&mk_config(server), None).expect("a target"))
}

fn in_session(session: &str) -> HeaderMap {
    let session = HeaderValue::from_str(session).expect("visible");
    HeaderMap::from_iter([(http::HeaderName::from_static("mcp-session-id"), session)])
}

fn request(id: &str, method: &str, params: &str) -> Bytes {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{{params}}}}}"#).into()
}

async fn post(target: &Target, headers: HeaderMap, body: Bytes) -> Result<Response, HttpError> {
    target.post(headers, body, DEADLINE).await
}

/// A session; its id.
async fn open(target: &Target) -> String {
    let response = post(target, HeaderMap::new(), request("0", "initialize", ""))
        .await
        .expect("answered");
    assert_eq!(response.status(), 200);
    response.header("mcp-session-id").expect("a session").to_owned()
}

async fn whole(response: Response) -> String {
    let body = response.collect(1 << 20, DEADLINE).await.expect("a body");
    String::from_utf8(body.to_vec()).expect("text")
}

async fn next(response: &mut Response) -> Option<String> {
    let chunk = tokio::time::timeout(DEADLINE, response.chunk())
        .await
        .expect("in time")?;
    Some(String::from_utf8(chunk.expect("whole").to_vec()).expect("text"))
}

fn event(data: &str) -> String {
    format!("event: message\ndata: {data}\n\n")
}

#[tokio::test]
async fn a_request_is_answered_as_json_if_nothing_comes_before() {
    let server = OldServer::start(plain).await;
    let target = mk_target(&server);
    let session = open(&target).await;
    let response = post(&target, in_session(&session), request("7", "tools/call", "")).await;
    let response = response.expect("answered");
    assert_eq!((response.status(), response.media()), (200, Media::Json));
    assert_eq!(
        whole(response).await,
        r#"{"jsonrpc":"2.0","id":7,"result":{"stream":0}}"#
    );
}

#[tokio::test]
async fn what_comes_meanwhile_is_part_of_the_answer() {
    let progress = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"t","progress":1}}"#;
    let log = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}"#;
    let asked = r#"{"jsonrpc":"2.0","id":0,"method":"sampling/createMessage","params":{}}"#;
    let server = OldServer::start(move |posted| match posted.method.as_str() {
        "tools/call" => done(&[
            progress.to_owned(),
            log.to_owned(),
            asked.to_owned(),
            response(posted, "{}"),
        ]),
        _ => plain(posted),
    })
    .await;
    let target = mk_target(&server);
    let session = open(&target).await;
    let call = request("7", "tools/call", r#""_meta":{"progressToken":"t"}"#);
    let response = post(&target, in_session(&session), call).await.expect("answered");
    assert_eq!((response.status(), response.media()), (200, Media::EventStream));
    let answer = r#"{"jsonrpc":"2.0","id":7,"result":{}}"#;
    assert_eq!(
        whole(response).await,
        [progress, log, asked, answer].map(event).concat()
    );
    let answer = Bytes::from_static(br#"{"jsonrpc":"2.0","id":0,"result":{"role":"user"}}"#);
    let response = post(&target, in_session(&session), answer).await.expect("taken");
    assert_eq!(response.status(), 202);
    server.wait_for("", 1).await;
}

#[tokio::test]
async fn progress_finds_its_call_among_several() {
    let server = OldServer::start(|posted| match posted.method.as_str() {
        "tools/call" => done(&[]),
        _ => plain(posted),
    })
    .await;
    let target = mk_target(&server);
    let session = open(&target).await;
    let call = |id: &str| {
        let meta = format!(r#""_meta":{{"progressToken":{id}}}"#);
        post(&target, in_session(&session), request(id, "tools/call", &meta))
    };
    let progress = |token: &str| {
        let message = format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":1}}}}"#
        );
        server.say(0, &message);
        event(&message)
    };
    let speak = async {
        server.wait_for("tools/call", 2).await;
        let said = [progress("2"), progress("1")];
        server.say(0, r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
        server.say(0, r#"{"jsonrpc":"2.0","id":2,"result":{}}"#);
        said
    };
    let (first, second, [of_second, of_first]) = tokio::join!(call("1"), call("2"), speak);
    let end = |id: &str| event(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#));
    assert_eq!(whole(first.expect("answered")).await, of_first + &end("1"));
    assert_eq!(whole(second.expect("answered")).await, of_second + &end("2"));
}

#[tokio::test]
async fn two_sessions_use_the_same_ids_without_meeting() {
    let server = OldServer::start(plain).await;
    let target = mk_target(&server);
    let (one, two) = (open(&target).await, open(&target).await);
    for (session, stream) in [(&one, 0), (&two, 1), (&one, 0)] {
        let response = post(&target, in_session(session), request("7", "tools/call", "")).await;
        let expected = format!(r#"{{"jsonrpc":"2.0","id":7,"result":{{"stream":{stream}}}}}"#);
        assert_eq!(whole(response.expect("answered")).await, expected);
    }
}

#[tokio::test]
async fn an_id_in_flight_is_not_taken_a_second_time() {
    let server = OldServer::start(|posted| match posted.method.as_str() {
        "tools/call" => done(&[]),
        _ => plain(posted),
    })
    .await;
    let target = mk_target(&server);
    let session = open(&target).await;
    let first = post(&target, in_session(&session), request(r#""a""#, "tools/call", ""));
    let second = async {
        server.wait_for("tools/call", 1).await;
        let again = request(r#""\u0061""#, "tools/call", "");
        let second = post(&target, in_session(&session), again).await.expect("answered");
        assert_eq!(second.status(), 400);
        assert!(whole(second).await.contains(r#""id":"\u0061""#), "its own id");
        server.say(0, r#"{"jsonrpc":"2.0","id":"a","result":{}}"#);
    };
    let (first, ()) = tokio::join!(first, second);
    assert_eq!(
        whole(first.expect("answered")).await,
        r#"{"jsonrpc":"2.0","id":"a","result":{}}"#
    );
    assert_eq!(server.all("tools/call").len(), 1);
}

#[tokio::test]
async fn what_belongs_to_no_call_is_for_the_listener() {
    let server = OldServer::start(plain).await;
    let target = mk_target(&server);
    let session = open(&target).await;
    let changed = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;
    let asked = r#"{"jsonrpc":"2.0","id":"r","method":"roots/list"}"#;
    server.say(0, changed);
    let mut news = target.get(in_session(&session), DEADLINE).await.expect("a stream");
    assert_eq!((news.status(), news.media()), (200, Media::EventStream));
    assert_eq!(
        next(&mut news).await,
        Some(event(changed)),
        "said before anybody listened"
    );
    let second = target.get(in_session(&session), DEADLINE).await.expect("answered");
    assert_eq!(second.status(), 409, "no message goes to two listeners");
    server.say(0, asked);
    assert_eq!(next(&mut news).await, Some(event(asked)));
    drop(news);
    server.say(0, changed);
    let mut again = target.get(in_session(&session), DEADLINE).await.expect("a stream");
    assert_eq!(again.status(), 200);
    assert_eq!(next(&mut again).await, Some(event(changed)));
    server.cut(0);
    let end = tokio::time::timeout(DEADLINE, again.chunk()).await.expect("in time");
    assert!(matches!(end, Some(Err(HttpError::BrokenOff(_)))), "{end:?}");
}

#[tokio::test]
async fn a_ping_of_the_upstream_is_answered_whoever_listens() {
    let server = OldServer::start(plain).await;
    let target = mk_target(&server);
    open(&target).await;
    server.say(0, r#"{"jsonrpc":"2.0","id":"p-1","method":"ping"}"#);
    server.wait_for("", 1).await;
    let pong = server.all("").remove(0).body;
    assert_eq!(pong.to_string(), r#"{"id":"p-1","jsonrpc":"2.0","result":{}}"#);
}

#[tokio::test]
async fn credential_and_constants_go_with_everything_and_our_session_id_with_nothing() {
    let server = OldServer::start(plain).await;
    let upstream = config::Upstream {
        headers: vec![("x-team".to_owned(), "tools".to_owned())],
        credential: Some(Credential {
            header: "authorization".to_owned(),
            value: Secret::Env("UNUSED".to_owned()),
        }),
        ..mk_config(&server)
    };
    let target = Target::new(&upstream, Some("Bearer secret")).expect("a target");
    let session = open(&target).await;
    post(&target, in_session(&session), request("7", "tools/call", ""))
        .await
        .expect("answered");
    let note = Bytes::from_static(br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    post(&target, in_session(&session), note).await.expect("taken");
    let mut seen = server.gets();
    for method in ["initialize", "tools/call", "notifications/initialized"] {
        seen.extend(server.all(method).into_iter().map(|posted| posted.headers));
    }
    assert_eq!(seen.len(), 4);
    for headers in seen {
        assert_eq!(headers["authorization"], "Bearer secret");
        assert_eq!(headers["x-team"], "tools");
        assert!(!headers.contains_key("mcp-session-id"));
    }
}

#[tokio::test]
async fn results_of_twenty_megabytes_pass() {
    let server = OldServer::start(|posted| match posted.method.as_str() {
        "tools/call" => done(&[response(posted, &format!(r#"{{"text":"{}"}}"#, "x".repeat(20 << 20)))]),
        _ => plain(posted),
    })
    .await;
    let target = mk_target(&server);
    let session = open(&target).await;
    let response = post(&target, in_session(&session), request("7", "tools/call", "")).await;
    let body = response
        .expect("answered")
        .collect(32 << 20, DEADLINE)
        .await
        .expect("a body");
    assert!(body.len() > 20 << 20);
}

#[tokio::test]
async fn a_call_that_is_left_does_not_hold_up_the_others() {
    let server = OldServer::start(|posted: &Posted| match posted.body["params"]["name"].as_str() {
        Some("silent") => done(&[]),
        _ => plain(posted),
    })
    .await;
    let target = mk_target(&server);
    let session = open(&target).await;
    let silent = request("7", "tools/call", r#""name":"silent""#);
    let left = target
        .post(in_session(&session), silent, Duration::from_millis(20))
        .await;
    assert!(matches!(left, Err(HttpError::TimedOut(_))), "{left:?}");
    server.say(0, r#"{"jsonrpc":"2.0","id":7,"result":{"late":true}}"#);
    let response = post(&target, in_session(&session), request("8", "tools/call", "")).await;
    assert_eq!(
        whole(response.expect("answered")).await,
        r#"{"jsonrpc":"2.0","id":8,"result":{"stream":0}}"#
    );
}

#[tokio::test]
async fn the_relay_sees_head_events_and_end_and_a_break() {
    let log = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}"#;
    let server = OldServer::start(move |posted| match posted.method.as_str() {
        "tools/call" => done(&[log.to_owned()]),
        _ => plain(posted),
    })
    .await;
    let target = mk_target(&server);
    let session = open(&target).await;
    let relay = Relay::new(mk_targets(target));
    let mut call = relay.call(Call {
        upstream: "puppet".into(),
        headers: vec![("mcp-session-id".into(), Bytes::from(session))],
        passed: mcp_manifold::engine::exchange::Headers::default(),
        body: request("7", "tools/call", ""),
        timeout: DEADLINE,
    });
    let Some(CallEvent::Head(head)) = call.next().await else {
        panic!("no head")
    };
    assert_eq!(head.headers.text("content-type"), Some("text/event-stream"));
    let Some(CallEvent::Chunk(chunk)) = call.next().await else {
        panic!("no event")
    };
    assert_eq!(chunk, event(log));
    server.cut(0);
    let end = call.next().await;
    assert!(
        matches!(end, Some(CallEvent::Failed(UpstreamFailure::Unreachable))),
        "{end:?}"
    );
    assert!(call.next().await.is_none());
}

#[tokio::test]
async fn what_agrees_on_a_version_is_the_upstream() {
    let server = OldServer::start(plain).await;
    let response = post(&mk_target(&server), HeaderMap::new(), request("0", "initialize", "")).await;
    let body: Value = serde_json::from_str(&whole(response.expect("answered")).await).expect("JSON");
    let expected: Value = serde_json::from_str(&greeting(r#"{"tools":{},"logging":{}}"#)).expect("JSON");
    assert_eq!(body["result"], expected);
}
