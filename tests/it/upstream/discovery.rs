//! What is found out about upstreams, and how soon.

use super::puppet::{DEADLINE, Puppet, Reply, Seen, greeting, legacy, mk_dead_url, mk_upstream, tools};
use mcp_manifold::edge::http::Target;
use mcp_manifold::edge::upstream::{Discovery, Hearsay, Report, Settings, Shelf};
use mcp_manifold::engine::catalog::Catalog;
use mcp_manifold::engine::mcp::{Era, Version};
use mcp_manifold::engine::status::Reason;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A running discovery and what it has reported.
pub(super) struct Running {
    reports: mpsc::UnboundedReceiver<Report>,
    _settings: watch::Sender<Settings>,
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    pub(super) fn start(target: Arc<Target>, settings: Settings, shelf: Option<Shelf>) -> Self {
        let (out, reports) = mpsc::unbounded_channel();
        let (sender, settings) = watch::channel(settings);
        let cancel = CancellationToken::new();
        let discovery = Discovery {
            hearsay: Hearsay::default(),
            target,
            settings,
            shelf,
            shown: Catalog::default(),
            reports: out,
        };
        let task = tokio::spawn(discovery.run(cancel.clone()));
        Self {
            reports,
            _settings: sender,
            cancel,
            task,
        }
    }

    pub(super) async fn until(&mut self, expected: impl Fn(&Report) -> bool) -> Report {
        let mut last = None;
        let waiting = async {
            loop {
                let report = self.reports.recv().await.expect("discovery runs");
                if expected(&report) {
                    return report;
                }
                last = Some(report);
            }
        };
        match tokio::time::timeout(DEADLINE, waiting).await {
            Ok(report) => report,
            Err(_) => panic!("the last report was {last:?}"),
        }
    }

    async fn settled(&mut self) -> Report {
        self.until(|report| report.reason != Reason::Pending).await
    }

    pub(super) async fn end(self) {
        self.cancel.cancel();
        tokio::time::timeout(DEADLINE, self.task)
            .await
            .expect("ends promptly")
            .expect("without panic");
    }
}

pub(super) fn mk_settings() -> Settings {
    Settings {
        refresh: Duration::from_secs(300),
        keep_last_good: Duration::from_secs(600),
        pulse: None,
    }
}

fn mk_hurried() -> Settings {
    Settings {
        refresh: Duration::from_millis(50),
        ..mk_settings()
    }
}

async fn discover(puppet: &Puppet) -> Report {
    let mut running = Running::start(puppet.target(), mk_settings(), None);
    let report = running.until(is_concluded).await;
    running.end().await;
    report
}

/// Both eras were tried.
fn is_concluded(report: &Report) -> bool {
    report.settled
}

pub(super) fn tool_names(report: &Report, era: Era) -> Vec<String> {
    let listing = report.catalog.listing(era).expect("listed");
    listing.tools.iter().map(|tool| tool.key.to_string()).collect()
}

#[tokio::test]
async fn event_streams_with_priming_events_and_comments_are_read() {
    let puppet = Puppet::start(|seen| match seen.method.as_str() {
        "initialize" => Reply::Pieces(vec![
            ": welcome\n\nid: 1\nretry: 3000\ndata:\n\n".to_owned(),
            "event: message\r\nid: 2\r\ndata: {\"jsonrpc\":\"2.0\",\"id\":$ID,\r".to_owned(),
            format!("\ndata: \"result\":{}}}\r\n\r\n", greeting(r#"{"tools":{}}"#)),
        ]),
        "tools/list" => Reply::Pieces(vec![
            "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{}}\n\n".to_owned(),
            format!(
                "data: {{\"jsonrpc\":\"2.0\",\"id\":$ID,\"result\":{}}}\n\n",
                tools(&["a", "b"])
            ),
        ]),
        _ => legacy(seen),
    })
    .await;
    let report = discover(&puppet).await;
    assert_eq!((report.reason, report.tools), (Reason::Ready, 2), "{report:?}");
    assert_eq!(report.version, Some(Version::V2025_11_25));
    assert_eq!(report.warnings, [""; 0], "an upstream of one era is nothing odd");
    let listing = report.catalog.legacy.expect("listed");
    assert!(!listing.stateful, "it issued no session id");
    assert_eq!(listing.instructions.as_deref(), Some("Be kind."));
}

#[tokio::test]
async fn cursors_that_do_not_advance_end_the_list_with_a_warning() {
    let puppet = Puppet::start(|seen| match seen.method.as_str() {
        "tools/list" => Reply::Result(r#"{"tools":[{"name":"a"}],"nextCursor":"again"}"#.to_owned()),
        _ => legacy(seen),
    })
    .await;
    let report = discover(&puppet).await;
    assert!(report.ready, "{report:?}");
    assert!(
        report
            .warnings
            .iter()
            .any(|warning| warning.contains("names a cursor again")),
        "{:?}",
        report.warnings
    );
    assert_eq!(puppet.count("tools/list"), 4, "two pages, for two kinds of clients");
}

#[tokio::test]
async fn all_pages_of_all_declared_kinds_are_read() {
    let puppet = Puppet::start(|seen| match seen.method.as_str() {
        "initialize" => Reply::Session("session-1", greeting(r#"{"tools":{},"prompts":{},"resources":{}}"#)),
        "tools/list" => match seen.body["params"]["cursor"].as_str() {
            None => Reply::Result(r#"{"tools":[{"name":"a"}],"nextCursor":""}"#.to_owned()),
            Some("") => Reply::Result(r#"{"tools":[{"name":"b"}],"nextCursor":"\"2"}"#.to_owned()),
            Some(_) => Reply::Result(tools(&["c"])),
        },
        "resources/list" => Reply::Result(r#"{"resources":[{"uri":"file:///a","name":"a"}]}"#.to_owned()),
        "resources/templates/list" => Reply::Result(r#"{"resourceTemplates":[]}"#.to_owned()),
        // Declared, but not there.
        "prompts/list" => Reply::Error(200, -32601),
        _ => legacy(seen),
    })
    .await;
    let report = discover(&puppet).await;
    assert_eq!(tool_names(&report, Era::Legacy), ["a", "b", "c"]);
    assert_eq!((report.tools, report.prompts, report.resources), (3, 0, 1));
    for seen in puppet.all("tools/list") {
        assert_eq!(seen.session.as_deref(), Some("session-1"));
        assert_eq!(seen.headers["mcp-protocol-version"], "2025-11-25");
    }
}

async fn refused_with(reply: fn() -> Reply) -> Report {
    let puppet = Puppet::start(move |_| reply()).await;
    discover(&puppet).await
}

#[tokio::test]
async fn what_is_wrong_is_said_in_words_with_a_next_step() {
    let html = refused_with(|| Reply::Raw(200, "text/html; charset=utf-8", "<p>hello</p>".to_owned())).await;
    assert_eq!(html.reason, Reason::ProtocolError);
    let error = html.last_error.expect("an error");
    assert_eq!(
        error,
        "answered text/html, not JSON; is url the MCP endpoint, path included?"
    );

    let closed = refused_with(|| Reply::Raw(401, "", String::new())).await;
    assert_eq!(closed.reason, Reason::Unauthorized);
    assert_eq!(
        closed.last_error.as_deref(),
        Some("401 Unauthorized; check its credential")
    );

    let absent = refused_with(|| Reply::Raw(404, "text/plain", "not here".to_owned())).await;
    assert_eq!(absent.reason, Reason::ProtocolError);
    let error = absent.last_error.expect("an error");
    assert!(error.starts_with("initialize was refused: 404 Not Found"), "{error}");

    let broken = refused_with(|| Reply::Raw(503, "", String::new())).await;
    assert_eq!(broken.reason, Reason::Unreachable);
    let error = broken.last_error.expect("an error");
    assert!(
        error.starts_with("answered 503 Service Unavailable to initialize"),
        "{error}"
    );

    let garbage = refused_with(|| Reply::Raw(200, "application/json", "{\"jsonrpc\"".to_owned())).await;
    assert_eq!(garbage.reason, Reason::ProtocolError);
    assert!(!garbage.ready && garbage.eras.is_empty());
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_unreachable() {
    let target = Target::new(&mk_upstream(&mk_dead_url().await), None).expect("a target");
    let mut running = Running::start(Arc::new(target), mk_settings(), None);
    let report = running.settled().await;
    assert_eq!(report.reason, Reason::Unreachable);
    let error = report.last_error.expect("an error");
    assert_eq!(
        error,
        "connection refused; is it running, and are host and port of url right?"
    );
    running.end().await;
}

#[tokio::test]
async fn an_upstream_that_never_answers_is_a_timeout() {
    let puppet = Puppet::start(|_| Reply::Hang).await;
    let mut upstream = mk_upstream(puppet.url());
    upstream.timeout.list = Duration::from_millis(100);
    let target = Target::new(&upstream, None).expect("a target");
    let mut running = Running::start(Arc::new(target), mk_settings(), None);
    let report = running.settled().await;
    assert_eq!(report.reason, Reason::Timeout);
    let error = report.last_error.expect("an error");
    assert!(error.starts_with("no answer within 100ms"), "{error}");
    running.end().await;
}

#[tokio::test]
async fn a_hanging_probe_of_one_era_does_not_delay_the_other() {
    let puppet = Puppet::start(|seen| match seen.method.as_str() {
        "server/discover" => Reply::Hang,
        _ => legacy(seen),
    })
    .await;
    let start = Instant::now();
    let mut running = Running::start(puppet.target(), mk_settings(), None);
    let report = running.settled().await;
    assert!(report.ready, "{report:?}");
    assert!(start.elapsed() < Duration::from_secs(5), "the probe may take 10 s");
    running.end().await;
}

/// Of one that an upstream may send requests.
fn is_capable(capabilities: &serde_json::Value) -> bool {
    ["sampling", "elicitation", "roots"]
        .iter()
        .all(|name| capabilities[name].is_object())
}

#[tokio::test]
async fn an_announced_change_is_listed_within_a_second() {
    let count = Arc::new(AtomicUsize::new(1));
    let now = Arc::clone(&count);
    let puppet = Puppet::start(move |seen| match (seen.verb.as_str(), seen.method.as_str()) {
        ("POST", "initialize") => Reply::Session("session-1", greeting(r#"{"tools":{"listChanged":true}}"#)),
        ("POST", "tools/list") => Reply::Result(tools(&["a", "b", "c"][..now.load(Ordering::SeqCst)])),
        ("GET", _) => Reply::Open,
        _ => legacy(seen),
    })
    .await;
    let mut running = Running::start(puppet.target(), mk_settings(), None);
    running.until(|report| report.tools == 1).await;
    for tools in [2, 3] {
        count.store(tools, Ordering::SeqCst);
        puppet
            .send(r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#)
            .await;
        let start = Instant::now();
        running.until(|report| report.tools == tools).await;
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    }
    let get = puppet.all("GET").remove(0);
    assert_eq!(get.session.as_deref(), Some("session-1"));
    assert_eq!(get.headers["accept"], "text/event-stream");
    let greetings = puppet.all("initialize");
    let capable = greetings
        .iter()
        .filter(|seen| is_capable(&seen.body["params"]["capabilities"]));
    assert_eq!(capable.count(), 1, "the discovery session lives on");
    running.end().await;
}

#[tokio::test]
async fn a_ping_of_the_upstream_is_answered() {
    let puppet = Puppet::start(|seen| match (seen.verb.as_str(), seen.method.as_str()) {
        ("POST", "initialize") => Reply::Session("session-1", greeting(r#"{"tools":{"listChanged":true}}"#)),
        ("GET", _) => Reply::Open,
        _ => legacy(seen),
    })
    .await;
    let running = Running::start(puppet.target(), mk_settings(), None);
    puppet.send(r#"{"jsonrpc":"2.0","id":"p","method":"ping"}"#).await;
    let answer = loop {
        let seen = puppet.all("").len();
        if let Some(answer) = puppet.all("").into_iter().find(|seen| seen.body["id"] == "p") {
            break answer;
        }
        puppet.wait_for("", seen + 1).await;
    };
    assert_eq!(answer.body["result"], serde_json::json!({}));
    running.end().await;
}

/// Forgets its session once; says `status` to the old one.
async fn lost_session_is_reopened(status: u16) {
    let lost = Arc::new(AtomicBool::new(false));
    let forget = Arc::clone(&lost);
    let puppet = Puppet::start(move |seen| match (seen.method.as_str(), seen.session.as_deref()) {
        ("initialize", _) if lost.load(Ordering::SeqCst) => Reply::Session("session-2", greeting(r#"{"tools":{}}"#)),
        ("tools/list", Some("session-1")) if lost.load(Ordering::SeqCst) => Reply::Error(status, -32000),
        ("tools/list", Some("session-2")) => Reply::Result(tools(&["a", "b"])),
        _ => legacy(seen),
    })
    .await;
    let mut running = Running::start(puppet.target(), mk_hurried(), None);
    running.until(|report| report.tools == 1).await;
    forget.store(true, Ordering::SeqCst);
    let report = running
        .until(|report| {
            assert!(report.ready, "nobody sees that the session was lost: {report:?}");
            report.tools == 2
        })
        .await;
    assert_eq!(report.last_error, None);
    running.end().await;
}

#[tokio::test]
async fn a_discovery_session_lost_with_404_is_reopened() {
    lost_session_is_reopened(404).await;
}

#[tokio::test]
async fn a_discovery_session_lost_with_400_is_reopened() {
    lost_session_is_reopened(400).await;
}

fn modern(seen: &Seen) -> Reply {
    match (seen.verb.as_str(), seen.method.as_str()) {
        ("POST", "server/discover") => Reply::Result(
            r#"{"resultType":"complete","supportedVersions":["2025-11-25","2026-07-28"],"capabilities":{"tools":{"listChanged":true}},"ttlMs":0,"cacheScope":"public"}"#
                .to_owned(),
        ),
        ("POST", "tools/list") => Reply::Result(tools(&["a", "b"])),
        ("POST", "subscriptions/listen") => Reply::Open,
        _ => Reply::Error(404, -32601),
    }
}

#[tokio::test]
async fn a_modern_upstream_is_discovered_listed_and_watched() {
    let puppet = Puppet::start(modern).await;
    let mut running = Running::start(puppet.target(), mk_settings(), None);
    let report = running.until(is_concluded).await;
    assert_eq!((report.reason, &*report.eras), (Reason::Ready, &[Era::Modern][..]));
    assert_eq!(report.version, Some(Version::V2026_07_28));
    assert_eq!(report.warnings, [""; 0], "an upstream of one era is nothing odd");
    let listing = report.catalog.modern.expect("listed");
    assert_eq!(
        (listing.ttl_ms, listing.public, listing.stateful),
        (60_000, true, false)
    );
    puppet
        .send(r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"_meta":{}}}"#)
        .await;
    puppet.wait_for("tools/list", 3).await;
    for seen in puppet
        .all("POST")
        .iter()
        .filter(|seen| seen.method != "initialize" && !seen.method.is_empty())
    {
        assert_eq!(seen.headers["mcp-method"], seen.method.as_str());
        assert_eq!(seen.headers["mcp-protocol-version"], "2026-07-28");
        let meta = &seen.body["params"]["_meta"];
        assert_eq!(
            meta["io.modelcontextprotocol/protocolVersion"], "2026-07-28",
            "{seen:?}"
        );
        let capabilities = &meta["io.modelcontextprotocol/clientCapabilities"];
        assert!(
            is_capable(capabilities) || *capabilities == serde_json::json!({}),
            "{capabilities}"
        );
        assert_eq!(meta["io.modelcontextprotocol/clientInfo"]["name"], "mcp-manifold");
    }
    let listen = puppet.all("subscriptions/listen").remove(0);
    assert_eq!(
        listen.body["params"]["notifications"],
        serde_json::json!({"toolsListChanged": true})
    );
    running.end().await;
    puppet.streams_closed().await;
}

#[tokio::test]
async fn an_upstream_of_both_eras_is_listed_in_both() {
    let puppet = Puppet::start(|seen| {
        if seen.headers.contains_key("mcp-method") {
            modern(seen)
        } else {
            legacy(seen)
        }
    })
    .await;
    let report = discover(&puppet).await;
    assert_eq!(report.eras, [Era::Legacy, Era::Modern]);
    assert_eq!(report.warnings, [""; 0]);
    assert_eq!(tool_names(&report, Era::Legacy), ["a"]);
    assert_eq!(tool_names(&report, Era::Modern), ["a", "b"]);
    assert_eq!(report.tools, 2, "of the era that has more");
}

/// An upstream that can be switched off.
async fn mk_mortal() -> (Puppet, Arc<AtomicBool>) {
    let dead = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&dead);
    let puppet = Puppet::start(move |seen| {
        if dead.load(Ordering::SeqCst) {
            Reply::Raw(503, "", String::new())
        } else {
            legacy(seen)
        }
    })
    .await;
    (puppet, switch)
}

#[tokio::test]
async fn a_dead_upstream_keeps_its_items_for_a_while_and_comes_back() {
    let (puppet, dead) = mk_mortal().await;
    let settings = Settings {
        refresh: Duration::from_millis(50),
        keep_last_good: Duration::from_millis(700),
        pulse: None,
    };
    let mut running = Running::start(puppet.target(), settings, None);
    running.until(|report| report.ready).await;
    dead.store(true, Ordering::SeqCst);
    let marked = running.until(|report| !report.ready).await;
    assert_eq!((marked.tools, marked.reason), (1, Reason::Unreachable));
    assert_eq!(marked.warnings, ["what it listed last is still shown"]);
    assert!(marked.last_listed.is_some());
    let withdrawn = running.until(|report| report.tools == 0).await;
    assert!(withdrawn.catalog.is_empty());
    assert_eq!(withdrawn.warnings, [""; 0]);
    dead.store(false, Ordering::SeqCst);
    let back = running.until(|report| report.ready).await;
    assert_eq!((back.tools, back.last_error), (1, None));
    running.end().await;
}

#[tokio::test]
async fn an_upstream_that_dies_while_nobody_says_so_is_noticed_and_so_is_its_return() {
    let (puppet, dead) = mk_mortal().await;
    let settings = Settings {
        pulse: Some(Duration::from_millis(50)),
        ..mk_settings()
    };
    let mut running = Running::start(puppet.target(), settings, None);
    running.until(|report| report.ready).await;
    puppet.wait_for("ping", 2).await;
    assert_eq!(
        puppet.count("tools/list"),
        2,
        "for two kinds of clients, and not again while it is there"
    );
    dead.store(true, Ordering::SeqCst);
    let gone = running.until(|report| !report.ready).await;
    assert_eq!((gone.tools, gone.reason), (1, Reason::Unreachable));
    dead.store(false, Ordering::SeqCst);
    running.until(|report| report.ready).await;
    running.end().await;
}

#[tokio::test]
async fn an_upstream_that_changes_its_era_is_shown_in_the_new_one_only() {
    let changed = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&changed);
    let puppet =
        Puppet::start(
            move |seen| match (changed.load(Ordering::SeqCst), seen.headers.contains_key("mcp-method")) {
                (false, false) => legacy(seen),
                (true, true) => modern(seen),
                (false, true) | (true, false) => Reply::Error(400, -32000),
            },
        )
        .await;
    let mut running = Running::start(puppet.target(), mk_hurried(), None);
    let before = running.until(|report| report.settled && report.ready).await;
    assert_eq!(before.eras, [Era::Legacy]);
    switch.store(true, Ordering::SeqCst);
    let after = running.until(|report| report.eras == [Era::Modern]).await;
    assert_eq!(
        (after.reason, &*after.warnings),
        (Reason::Ready, &[][..]),
        "nothing is odd about it"
    );
    running.end().await;
}

#[tokio::test]
async fn a_restarted_gateway_shows_what_was_listed_last() {
    let folder = tempfile::tempdir().expect("tempdir");
    let shelf = Shelf::new(folder.path().to_owned());
    let (puppet, dead) = mk_mortal().await;
    let mut running = Running::start(puppet.target(), mk_settings(), Some(shelf.clone()));
    running.until(|report| report.ready).await;
    let saved = async {
        while !matches!(shelf.load(&puppet.target()), Ok(Some(_))) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, saved).await.expect("saved");
    running.end().await;

    dead.store(true, Ordering::SeqCst);
    let mut running = Running::start(puppet.target(), mk_settings(), Some(shelf));
    let first = running.reports.recv().await.expect("a report");
    assert_eq!((first.reason, first.ready, first.tools), (Reason::Pending, false, 1));
    assert!(first.last_listed.is_some());
    let tried = running.settled().await;
    assert_eq!((tried.reason, tried.tools), (Reason::Unreachable, 1));
    running.end().await;
}

#[tokio::test]
async fn a_discovery_that_ends_closes_its_session() {
    let puppet = Puppet::start(legacy).await;
    let mut running = Running::start(puppet.target(), mk_settings(), None);
    running.until(|report| report.ready).await;
    running.end().await;
    let delete = puppet.all("DELETE").remove(0);
    assert_eq!(delete.session.as_deref(), Some("session-1"));
}

#[tokio::test]
async fn an_upstream_that_comes_up_is_found_without_waiting_for_the_refresh() {
    let refused = Arc::new(AtomicUsize::new(0));
    let puppet = Puppet::start(move |seen| match seen.method.as_str() {
        "initialize" if refused.fetch_add(1, Ordering::SeqCst) == 0 => Reply::Error(400, -32600),
        _ => legacy(seen),
    })
    .await;
    let mut running = Running::start(puppet.target(), mk_settings(), None);
    let report = running.until(|report| report.ready).await;
    assert_eq!(
        report.tools, 1,
        "an upstream that comes up is found without waiting for the refresh"
    );
    running.end().await;
}

#[tokio::test]
async fn an_era_that_failed_is_tried_again_as_soon_as_the_other_is_back() {
    let probes = Arc::new(AtomicUsize::new(0));
    let seen_probes = Arc::clone(&probes);
    let puppet = Puppet::start(move |seen| match seen.method.as_str() {
        "server/discover" if seen_probes.fetch_add(1, Ordering::SeqCst) == 0 => Reply::Raw(503, "", String::new()),
        // The legacy listing comes after the failed probe.
        "initialize" if seen_probes.load(Ordering::SeqCst) == 0 => Reply::Raw(503, "", String::new()),
        _ if seen.headers.contains_key("mcp-method") => modern(seen),
        _ => legacy(seen),
    })
    .await;
    let report = discover_both(&puppet).await;
    assert!(report.ready, "{report:?}");
    assert!(probes.load(Ordering::SeqCst) >= 2);
}

async fn discover_both(puppet: &Puppet) -> Report {
    let mut running = Running::start(puppet.target(), mk_settings(), None);
    let report = running.until(|report| report.eras.len() == 2).await;
    running.end().await;
    report
}
