//! What changes while an upstream is watched: lists, sessions, in either era.

use super::*;

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
