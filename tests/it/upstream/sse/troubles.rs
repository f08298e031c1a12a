//! Streams that break off, sessions that end, servers that are not what they should be.

use super::*;

#[tokio::test]
async fn a_stream_that_breaks_off_fails_its_calls_and_loses_its_session() {
    let server = OldServer::start(|posted| match posted.method.as_str() {
        "tools/call" => done(&[]),
        _ => plain(posted),
    })
    .await;
    let target = mk_target(&server);
    let session = open(&target).await;
    let call = post(&target, in_session(&session), request("7", "tools/call", ""));
    let cut = async {
        server.wait_for("tools/call", 1).await;
        server.cut(0);
    };
    let (failed, ()) = tokio::join!(call, cut);
    assert!(matches!(failed, Err(HttpError::BrokenOff(_))), "{failed:?}");
    let later = post(&target, in_session(&session), request("8", "tools/call", "")).await;
    let later = later.expect("answered");
    assert_eq!(later.status(), 404);
    assert!(whole(later).await.contains(r#""id":8"#));
    let news = target.get(in_session(&session), DEADLINE).await.expect("answered");
    assert_eq!(news.status(), 404);
}

#[tokio::test]
async fn a_session_that_the_upstream_has_forgotten_is_lost() {
    let server = OldServer::start(|posted| match posted.method.as_str() {
        "tools/call" => Done {
            status: 404,
            says: Vec::new(),
        },
        _ => plain(posted),
    })
    .await;
    let target = mk_target(&server);
    let session = open(&target).await;
    for method in ["tools/call", "ping"] {
        let response = post(&target, in_session(&session), request("7", method, "")).await;
        assert_eq!(response.expect("answered").status(), 404, "{method}");
    }
    server.closed(0).await;
}

#[tokio::test]
async fn refusals_of_the_upstream_stand_as_they_are() {
    for status in [400, 401, 403, 413, 500, 503] {
        let server = OldServer::start(move |posted| match posted.method.as_str() {
            "tools/call" => Done {
                status,
                says: Vec::new(),
            },
            _ => plain(posted),
        })
        .await;
        let target = mk_target(&server);
        let session = open(&target).await;
        let refused = post(&target, in_session(&session), request("7", "tools/call", "")).await;
        assert_eq!(refused.expect("answered").status(), status);
        let ping = post(&target, in_session(&session), request("8", "ping", "")).await;
        assert_eq!(
            ping.expect("answered").status(),
            200,
            "the session lives after {status}"
        );
    }
}

#[tokio::test]
async fn a_late_answer_of_the_post_costs_nothing() {
    // The response is on the stream before the POST is answered, and 200 is as good as 202.
    let server = OldServer::start(|posted| Done {
        status: 200,
        ..plain(posted)
    })
    .await;
    let target = mk_target(&server);
    let session = open(&target).await;
    for id in 1..50 {
        let response = post(
            &target,
            in_session(&session),
            request(&id.to_string(), "tools/call", ""),
        )
        .await;
        assert_eq!(response.expect("answered").status(), 200);
    }
}

#[tokio::test]
async fn a_session_ends_with_delete_and_with_its_target() {
    let server = OldServer::start(plain).await;
    let target = mk_target(&server);
    let session = open(&target).await;
    open(&target).await;
    let ended = target.delete(in_session(&session), DEADLINE).await.expect("answered");
    assert_eq!(ended.status(), 204);
    server.closed(0).await;
    let again = target.delete(in_session(&session), DEADLINE).await.expect("answered");
    assert_eq!(again.status(), 404);
    drop(target);
    server.closed(1).await;
}

#[tokio::test]
async fn outside_a_session_there_is_only_initialize() {
    let server = OldServer::start(plain).await;
    let target = mk_target(&server);
    let refused = post(&target, HeaderMap::new(), request("7", "server/discover", "")).await;
    assert_eq!(refused.expect("answered").status(), 400);
    assert_eq!(
        target.get(HeaderMap::new(), DEADLINE).await.expect("answered").status(),
        405
    );
    assert!(server.gets().is_empty(), "the upstream was not even asked");
}

async fn failure(endpoint: &str, limit: Duration) -> HttpError {
    let server = OldServer::with_endpoint(endpoint, plain).await;
    let target = mk_target(&server);
    let opened = target
        .post(HeaderMap::new(), request("0", "initialize", ""), limit)
        .await;
    assert!(server.all("initialize").is_empty(), "nothing is POSTed anywhere");
    opened.expect_err("no session")
}

#[tokio::test]
async fn an_endpoint_off_the_origin_is_not_followed() {
    let error = failure("http://127.0.0.1:1/messages/$N", DEADLINE).await;
    let words = "its endpoint event leads off the origin of url, to http://127.0.0.1:1: that is not followed";
    assert_eq!(error, HttpError::NotSse(words.to_owned()));
}

#[tokio::test]
async fn a_stream_that_names_no_endpoint_is_given_up_in_time() {
    let error = failure("", Duration::from_millis(400)).await;
    let words = "sent no endpoint event within 300ms";
    assert_eq!(error, HttpError::NotSse(words.to_owned()));
}

#[tokio::test]
async fn another_kind_of_server_is_told_apart() {
    let puppet = Puppet::start(|seen| match seen.verb.as_str() {
        "GET" => crate::it::upstream::puppet::Reply::Raw(200, "text/html", "<p>".to_owned()),
        _ => legacy(seen),
    })
    .await;
    let upstream = config::Upstream {
        protocol: Protocol::Sse,
        ..mk_upstream(puppet.url())
    };
    let target = Target::new(&upstream, None).expect("a target");
    let error = post(&target, HeaderMap::new(), request("0", "initialize", ""))
        .await
        .expect_err("no session");
    assert!(matches!(error, HttpError::NotSse(_)), "{error:?}");
}

#[tokio::test]
async fn a_refused_initialize_leaves_nothing_open() {
    let server = OldServer::start(|posted| {
        let id = &posted.body["id"];
        done(&[format!(
            r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32602,"message":"no"}}}}"#
        )])
    })
    .await;
    let target = mk_target(&server);
    let response = post(&target, HeaderMap::new(), request("0", "initialize", ""))
        .await
        .expect("answered");
    assert_eq!(response.header("mcp-session-id"), None);
    assert!(whole(response).await.contains("-32602"));
    server.closed(0).await;
}
