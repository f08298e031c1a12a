//! Upstream sessions on behalf of clients: opened once, recovered once, closed.

use super::puppet::{DEADLINE, Puppet, Reply, greeting, legacy, mk_dead_url, mk_targets, mk_upstream};
use futures_util::future::join_all;
use mcp_manifold::edge::http::{Target, Targets};
use mcp_manifold::edge::store::MemoryStore;
use mcp_manifold::edge::upstream::Binder;
use mcp_manifold::engine::exchange::Finding;
use mcp_manifold::engine::exchange::event::UpstreamFailure;
use mcp_manifold::engine::exchange::step::{Notice, SessionRef};
use mcp_manifold::engine::mcp::Version;
use mcp_manifold::engine::mcp::capabilities::ClientFlags;
use mcp_manifold::engine::session::{
    Binding, Client, Delegation, EndpointHash, Level, SessionKey, SessionStore, Timestamp,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

const LATER: Timestamp = Timestamp(u64::MAX);

pub(super) struct Bench {
    pub(super) binder: Binder,
    store: Arc<MemoryStore>,
    _ended: tokio_util::sync::DropGuard,
}

pub(super) fn mk_bench(targets: Arc<Targets>) -> Bench {
    let store = Arc::new(MemoryStore::new(1_000));
    let (binder, notices) = Binder::new(targets, Arc::clone(&store) as Arc<dyn SessionStore>, Handle::current());
    let cancel = CancellationToken::new();
    tokio::spawn(notices.run(cancel.clone()));
    Bench {
        binder,
        store,
        _ended: cancel.drop_guard(),
    }
}

pub(super) fn mk_session(key: u128) -> SessionRef {
    SessionRef {
        key: SessionKey(key),
        endpoint: EndpointHash(7),
        expires: LATER,
        version: Version::V2025_06_18,
        flags: ClientFlags::default(),
    }
}

pub(super) fn name() -> Arc<str> {
    "puppet".into()
}

pub(super) fn id_of(finding: &Finding) -> Option<&str> {
    let (Finding::Bound(binding) | Finding::Reopened(binding)) = finding else {
        panic!("not bound: {finding:?}")
    };
    binding.id.as_deref()
}

#[tokio::test]
async fn a_hundred_calls_at_once_open_one_session() {
    let puppet = Puppet::start(legacy).await;
    let bench = mk_bench(puppet.targets());
    let binds = (0..100).map(|_| bench.binder.bind(mk_session(1), name()));
    for finding in join_all(binds).await {
        assert_eq!(id_of(&finding), Some("session-1"));
    }
    assert_eq!(puppet.count("initialize"), 1);
    assert_eq!(puppet.count("notifications/initialized"), 1);
    let again = bench.binder.bind(mk_session(1), name()).await;
    assert_eq!(id_of(&again), Some("session-1"));
    bench.binder.bind(mk_session(2), name()).await;
    assert_eq!(puppet.count("initialize"), 2, "another client, another session");
}

#[tokio::test]
async fn the_upstream_meets_the_client_itself() {
    let puppet = Puppet::start(|seen| match seen.method.as_str() {
        "initialize" => Reply::Session("session-1", greeting(r#"{"tools":{},"logging":{}}"#)),
        "logging/setLevel" => Reply::Result("{}".to_owned()),
        _ => legacy(seen),
    })
    .await;
    let bench = mk_bench(puppet.targets());
    let client = Client {
        capabilities: r#"{"sampling":{},"x":12345678901234567890}"#.into(),
        info: r#"{"name":"inspector","version":"2"}"#.into(),
    };
    let session = mk_session(1);
    bench.store.start(session.key, LATER, client).expect("room");
    assert!(bench.store.set_level(session.key, LATER, Level::Warning));
    bench.binder.bind(session, name()).await;
    let initialize = puppet.all("initialize").remove(0);
    assert_eq!(initialize.body["params"]["protocolVersion"], "2025-06-18");
    assert_eq!(initialize.body["params"]["clientInfo"]["name"], "inspector");
    let capabilities = initialize.body["params"]["capabilities"].to_string();
    assert_eq!(capabilities, r#"{"sampling":{},"x":12345678901234567890}"#);
    let level = puppet.all("logging/setLevel").remove(0);
    assert_eq!(level.body["params"]["level"], "warning");
    assert_eq!(level.session.as_deref(), Some("session-1"));
    assert_eq!(level.headers["mcp-protocol-version"], "2025-11-25", "as agreed on");
}

#[tokio::test]
async fn an_upstream_without_session_ids_is_bound_without_one() {
    let puppet = Puppet::start(|seen| match seen.method.as_str() {
        "initialize" => Reply::Result(greeting("{}")),
        _ => legacy(seen),
    })
    .await;
    let bench = mk_bench(puppet.targets());
    let finding = bench.binder.bind(mk_session(1), name()).await;
    assert_eq!(id_of(&finding), None);
}

async fn failure_of(target: Target) -> UpstreamFailure {
    let bench = mk_bench(mk_targets(Arc::new(target)));
    let finding = bench.binder.bind(mk_session(1), name()).await;
    let Finding::Unbindable(failure) = finding else {
        panic!("{finding:?}")
    };
    failure
}

#[tokio::test]
async fn why_there_is_no_session_is_told() {
    let dead = Target::new(&mk_upstream(&mk_dead_url().await), None).expect("a target");
    assert_eq!(failure_of(dead).await, UpstreamFailure::Unreachable);

    let hanging = Puppet::start(|_| Reply::Hang).await;
    let mut upstream = mk_upstream(hanging.url());
    upstream.timeout.list = Duration::from_millis(100);
    let hanging = Target::new(&upstream, None).expect("a target");
    assert_eq!(failure_of(hanging).await, UpstreamFailure::TimedOut);

    let closed = Puppet::start(|_| Reply::Raw(403, "text/plain", String::new())).await;
    let target = Target::new(&mk_upstream(closed.url()), None).expect("a target");
    assert_eq!(failure_of(target).await, UpstreamFailure::Unauthorized);

    let page = Puppet::start(|_| Reply::Raw(200, "text/html", String::new())).await;
    let target = Target::new(&mk_upstream(page.url()), None).expect("a target");
    assert_eq!(failure_of(target).await, UpstreamFailure::Garbage);
}

/// An upstream that has forgotten `session-1`: says `status` to it; gives out `session-2` from then on.
async fn mk_forgetful(status: u16) -> Puppet {
    let opened = AtomicUsize::new(0);
    Puppet::start(move |seen| match (seen.method.as_str(), seen.session.as_deref()) {
        ("initialize", _) if opened.fetch_add(1, Ordering::SeqCst) == 0 => Reply::Session("session-1", greeting("{}")),
        ("initialize", _) => Reply::Session("session-2", greeting("{}")),
        ("ping", Some("session-1")) => Reply::Error(status, -32000),
        _ => legacy(seen),
    })
    .await
}

async fn lost_session_is_reopened_once(status: u16) {
    let puppet = mk_forgetful(status).await;
    let bench = mk_bench(puppet.targets());
    let Finding::Bound(stale) = bench.binder.bind(mk_session(1), name()).await else {
        panic!("not bound")
    };
    let recoveries = (0..50).map(|_| bench.binder.recover(Some(mk_session(1)), name(), stale.clone()));
    for finding in join_all(recoveries).await {
        assert!(matches!(finding, Finding::Reopened(_)), "{finding:?}");
        assert_eq!(id_of(&finding), Some("session-2"));
    }
    assert_eq!(puppet.count("ping"), 1);
    assert_eq!(puppet.count("initialize"), 2);
    let bound = bench.binder.bind(mk_session(1), name()).await;
    assert_eq!(id_of(&bound), Some("session-2"));
}

#[tokio::test]
async fn a_session_lost_with_404_is_reopened_once() {
    lost_session_is_reopened_once(404).await;
}

#[tokio::test]
async fn a_session_lost_with_400_is_reopened_once() {
    lost_session_is_reopened_once(400).await;
}

#[tokio::test]
async fn a_session_that_answers_a_ping_is_not_lost() {
    let puppet = Puppet::start(legacy).await;
    let bench = mk_bench(puppet.targets());
    let Finding::Bound(binding) = bench.binder.bind(mk_session(1), name()).await else {
        panic!("not bound")
    };
    let finding = bench.binder.recover(Some(mk_session(1)), name(), binding).await;
    assert!(matches!(finding, Finding::StillThere), "{finding:?}");
    assert_eq!(puppet.count("initialize"), 1);
}

#[tokio::test]
async fn a_one_shot_tie_is_recovered_and_closed_too() {
    let puppet = mk_forgetful(404).await;
    let bench = mk_bench(puppet.targets());
    let Finding::Bound(stale) = bench
        .binder
        .one_shot(name(), Version::V2025_03_26, Delegation::NONE)
        .await
    else {
        panic!("not bound")
    };
    let finding = bench.binder.recover(None, name(), stale).await;
    let Finding::Reopened(binding) = finding else {
        panic!("{finding:?}")
    };
    assert_eq!(binding.id.as_deref(), Some("session-2"));
    bench.binder.notify(Notice::Close {
        upstream: name(),
        binding,
    });
    puppet.wait_for("DELETE", 1).await;
    let delete = puppet.all("DELETE").remove(0);
    assert_eq!(delete.session.as_deref(), Some("session-2"));
}

#[tokio::test]
async fn an_upstream_session_that_comes_too_late_is_closed() {
    let release = Arc::new(Notify::new());
    let held = Arc::clone(&release);
    let puppet = Puppet::start(move |seen| match seen.method.as_str() {
        "initialize" => Reply::Held(Arc::clone(&held), Box::new(legacy(seen))),
        _ => legacy(seen),
    })
    .await;
    let bench = mk_bench(puppet.targets());
    let session = mk_session(1);
    bench.store.start(session.key, LATER, Client::default()).expect("room");
    let ending = async {
        puppet.wait_for("initialize", 1).await;
        assert!(bench.store.end(session.key, LATER).first);
        release.notify_one();
    };
    let (finding, ()) = futures_util::join!(bench.binder.bind(session, name()), ending);
    assert!(matches!(finding, Finding::Ended), "{finding:?}");
    puppet.wait_for("DELETE", 1).await;
    let delete = puppet.all("DELETE").remove(0);
    assert_eq!(delete.session.as_deref(), Some("session-1"));
}

#[tokio::test]
async fn a_client_that_leaves_does_not_take_the_attempt_with_it() {
    let puppet = Puppet::start(legacy).await;
    let bench = mk_bench(puppet.targets());
    {
        let mut leaving = Box::pin(bench.binder.bind(mk_session(1), name()));
        assert!(futures_util::poll!(&mut leaving).is_pending());
    }
    puppet.wait_for("notifications/initialized", 1).await;
    let finding = tokio::time::timeout(DEADLINE, bench.binder.bind(mk_session(1), name()))
        .await
        .expect("in time");
    assert_eq!(id_of(&finding), Some("session-1"));
    assert_eq!(puppet.count("initialize"), 1);
}

#[tokio::test]
async fn a_level_that_comes_late_is_told_in_the_session_that_is_open() {
    let puppet = Puppet::start(legacy).await;
    let bench = mk_bench(puppet.targets());
    bench.binder.notify(Notice::Level {
        upstream: name(),
        binding: Binding {
            id: Some("session-1".into()),
            ..Binding::stateless(Version::V2025_11_25)
        },
        level: Level::Warning,
    });
    puppet.wait_for("logging/setLevel", 1).await;
    let told = puppet.all("logging/setLevel").remove(0);
    assert_eq!(told.body["params"]["level"], "warning");
    assert_eq!(told.session.as_deref(), Some("session-1"));
}

#[tokio::test]
async fn a_cancelled_call_is_told_to_its_upstream() {
    let puppet = Puppet::start(legacy).await;
    let bench = mk_bench(puppet.targets());
    bench.binder.notify(Notice::Cancelled {
        upstream: name(),
        binding: Binding {
            id: Some("session-1".into()),
            ..Binding::stateless(Version::V2025_11_25)
        },
        id: r#""call-1""#.into(),
    });
    puppet.wait_for("notifications/cancelled", 1).await;
    let cancelled = puppet.all("notifications/cancelled").remove(0);
    assert_eq!(cancelled.body["params"]["requestId"], "call-1");
    assert_eq!(cancelled.session.as_deref(), Some("session-1"));
}
