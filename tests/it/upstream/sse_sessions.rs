//! Discovery and upstream sessions of HTTP+SSE upstreams: listed, opened, lost, opened again.

use super::binder::{id_of, mk_bench, mk_session, name};
use super::discovery::{Running, mk_settings, tool_names};
use super::old::{Done, OldServer, done, plain, response};
use super::puppet::{DEADLINE, greeting, mk_targets};
use super::sse::{mk_config, mk_target};
use mcp_manifold::edge::http::Target;
use mcp_manifold::engine::exchange::Finding;
use mcp_manifold::engine::exchange::event::UpstreamFailure;
use mcp_manifold::engine::exchange::step::Notice;
use mcp_manifold::engine::mcp::{Era, Version};
use mcp_manifold::engine::session::Level;
use mcp_manifold::engine::status::Reason;
use std::sync::Arc;
use std::time::Duration;

#[tokio::test]
async fn it_is_listed_as_legacy_and_never_asked_whether_it_is_modern() {
    let server = OldServer::start(plain).await;
    let mut running = Running::start(mk_target(&server), mk_settings(), None);
    let report = running.until(|report| report.settled).await;
    assert_eq!(report.reason, Reason::Ready);
    assert_eq!(tool_names(&report, Era::Legacy), ["a"]);
    let listing = report.catalog.listing(Era::Legacy).expect("listed");
    assert_eq!(listing.version, Version::V2025_11_25, "as agreed on");
    assert!(listing.stateful, "a connection is a session");
    assert!(report.catalog.listing(Era::Modern).is_none());
    assert!(server.all("server/discover").is_empty());
    assert_eq!(server.gets().len(), 2, "one to stay, one to see what others are listed");
    running.end().await;
    server.closed(0).await;
}

#[tokio::test]
async fn a_restart_is_noticed_at_once_though_it_announces_no_changes() {
    let server = OldServer::start(plain).await;
    let mut running = Running::start(mk_target(&server), mk_settings(), None);
    running.until(|report| report.reason == Reason::Ready).await;
    server.cut(0);
    server.wait_for("tools/list", 3).await;
    assert_eq!(server.all("tools/list").remove(2).stream, 2, "over a new connection");
    running.end().await;
}

#[tokio::test]
async fn a_change_is_heard_on_the_stream() {
    let server = OldServer::start(|posted| match posted.method.as_str() {
        "initialize" => done(&[response(posted, &greeting(r#"{"tools":{"listChanged":true}}"#))]),
        _ => plain(posted),
    })
    .await;
    let mut running = Running::start(mk_target(&server), mk_settings(), None);
    running.until(|report| report.reason == Reason::Ready).await;
    server.say(0, r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#);
    server.wait_for("tools/list", 3).await;
    assert_eq!(server.all("tools/list").remove(2).stream, 0, "in the same session");
    running.end().await;
}

#[tokio::test]
async fn status_says_what_is_wrong_with_the_endpoint() {
    let server = OldServer::with_endpoint("//mcp.example/messages/$N", plain).await;
    let mut running = Running::start(mk_target(&server), mk_settings(), None);
    let report = running.until(|report| report.settled).await;
    assert_eq!(report.reason, Reason::ProtocolError);
    let error = report.last_error.expect("an error");
    assert!(error.contains("to http://mcp.example: that is not followed"), "{error}");
    running.end().await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unreachable() {
    let server = OldServer::start(plain).await;
    let mut upstream = mk_config(&server);
    upstream.url = super::puppet::mk_dead_url().await.parse().expect("a URL");
    let target = Arc::new(Target::new(&upstream, None).expect("a target"));
    let mut running = Running::start(target, mk_settings(), None);
    let report = running.until(|report| report.settled).await;
    assert_eq!(report.reason, Reason::Unreachable);
    running.end().await;
}

#[tokio::test]
async fn each_gateway_session_has_a_connection_of_its_own() {
    let server = OldServer::start(plain).await;
    let bench = mk_bench(mk_targets(mk_target(&server)));
    let one = bench.binder.bind(mk_session(1), name()).await;
    let two = bench.binder.bind(mk_session(2), name()).await;
    assert_ne!(id_of(&one), id_of(&two));
    let again = bench.binder.bind(mk_session(1), name()).await;
    assert_eq!(id_of(&again), id_of(&one));
    assert_eq!(server.gets().len(), 2);
    let initialize = server.all("initialize").remove(0);
    assert_eq!(
        initialize.body["params"]["protocolVersion"], "2025-06-18",
        "the client's own"
    );
    server.wait_for("notifications/initialized", 2).await;
}

#[tokio::test]
async fn a_lost_connection_is_a_lost_session_and_is_opened_again() {
    let server = OldServer::start(plain).await;
    let bench = mk_bench(mk_targets(mk_target(&server)));
    let Finding::Bound(stale) = bench.binder.bind(mk_session(1), name()).await else {
        panic!("not bound")
    };
    let found = bench.binder.recover(Some(mk_session(1)), name(), stale.clone()).await;
    assert!(matches!(found, Finding::StillThere), "{found:?}");
    server.cut(0);
    // The end of the stream is on its way.
    let found = loop {
        let found = bench.binder.recover(Some(mk_session(1)), name(), stale.clone()).await;
        if !matches!(found, Finding::StillThere) {
            break found;
        }
    };
    assert!(
        matches!(&found, Finding::Reopened(fresh) if *fresh != stale),
        "{found:?}"
    );
    assert_eq!(server.gets().len(), 2);
}

#[tokio::test]
async fn a_session_of_an_earlier_life_is_opened_again() {
    let server = OldServer::start(plain).await;
    let targets = mk_targets(mk_target(&server));
    let bench = mk_bench(Arc::clone(&targets));
    let Finding::Bound(stale) = bench.binder.bind(mk_session(1), name()).await else {
        panic!("not bound")
    };
    targets.store(mk_targets(mk_target(&server)).load_full());
    server.closed(0).await;
    let found = bench.binder.recover(Some(mk_session(1)), name(), stale).await;
    assert!(matches!(found, Finding::Reopened(_)), "{found:?}");
}

#[tokio::test]
async fn levels_cancels_and_the_end_reach_it() {
    let server = OldServer::start(plain).await;
    let bench = mk_bench(mk_targets(mk_target(&server)));
    let Finding::Bound(binding) = bench.binder.bind(mk_session(1), name()).await else {
        panic!("not bound")
    };
    bench.binder.notify(Notice::Level {
        upstream: name(),
        binding: binding.clone(),
        level: Level::Warning,
    });
    server.wait_for("logging/setLevel", 1).await;
    bench.binder.notify(Notice::Cancelled {
        upstream: name(),
        binding: binding.clone(),
        id: "7".into(),
    });
    server.wait_for("notifications/cancelled", 1).await;
    assert_eq!(
        server.all("notifications/cancelled").remove(0).body["params"]["requestId"],
        7
    );
    bench.binder.notify(Notice::Close {
        upstream: name(),
        binding,
    });
    server.closed(0).await;
}

#[tokio::test]
async fn a_server_that_never_answers_initialize_is_given_up_and_its_connection_closed() {
    let server = OldServer::start(|_| Done {
        status: 202,
        says: Vec::new(),
    })
    .await;
    let mut upstream = mk_config(&server);
    upstream.timeout.list = Duration::from_millis(200);
    let target = Arc::new(Target::new(&upstream, None).expect("a target"));
    let bench = mk_bench(mk_targets(target));
    let found = tokio::time::timeout(DEADLINE, bench.binder.bind(mk_session(1), name())).await;
    let found = found.expect("in time");
    assert!(
        matches!(found, Finding::Unbindable(UpstreamFailure::TimedOut)),
        "{found:?}"
    );
    server.closed(0).await;
}
