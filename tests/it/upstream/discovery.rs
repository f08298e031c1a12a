//! What is found out about upstreams, and how soon.

mod lasting;
mod watching;

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

/// What a server of 2026-07-28 answers.
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
