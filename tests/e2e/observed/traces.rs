//! One trace across client, Envoy, processor and upstream.

use super::collector::{Collector, Span, attribute, each, mk_setup};
use crate::e2e::harness::check::answered;
use crate::e2e::harness::client::{Client, Request, modern, rpc};
use crate::e2e::harness::eventually;
use crate::e2e::harness::gateway::{Gateway, Setup};
use crate::e2e::harness::http::Response;
use crate::e2e::harness::puppet::{Act, Puppet, Seen};
use crate::e2e::harness::terminator::certificate;
use crate::e2e::process::free_port;
use mcp_manifold::engine::mcp::trace::TraceContext;
use serde_json::{Value, json};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CLIENT: &str = "b7ad6b7169203331";

fn mk_context(flags: &str) -> String {
    format!("00-{TRACE}-{CLIENT}-{flags}")
}

/// Calls the puppet's tool with this `traceparent` and this `_meta`.
async fn call(gateway: &Gateway, client: &Client, header: Option<&str>, meta: &Value) -> Response {
    let mut params = json!({"name": "puppet_echo", "arguments": {"a": 1}});
    if !meta.is_null() {
        params["_meta"] = meta.clone();
    }
    let mut request = client.request(rpc("my-id", "tools/call", &params));
    if let Some(header) = header {
        request = request.with("traceparent", header);
    }
    let response = request.send(gateway.address).await;
    answered("the call", &response, "\"my-id\"");
    response
}

/// What the upstream was told in a header, and in `_meta`.
fn told(seen: &Seen) -> (TraceContext, TraceContext) {
    let header = seen.header("traceparent").and_then(TraceContext::parse);
    let meta = seen.json()["params"]["_meta"]["traceparent"]
        .as_str()
        .and_then(TraceContext::parse);
    (header.expect("in a header"), meta.expect("in _meta"))
}

fn id(context: &TraceContext) -> String {
    format!("{:016x}", context.span)
}

/// The processor's span of the call, as server or client.
async fn of_processor(collector: &Collector, kind: u64) -> Span {
    let is_it = |span: &Span| span.name() == "tools/call puppet_echo" && span.kind() == kind;
    collector.span("the processor's span arrives", is_it).await
}

#[tokio::test]
async fn a_call_is_one_trace_from_the_client_to_the_upstream() {
    let Some(collector) = Collector::start().await else {
        return;
    };
    let puppet = Puppet::start(&["echo"]).await;
    let setup = collector.setup("").with("envoy: { accessLog: access.log }");
    let gateway = setup.upstream_with("puppet", &puppet.url(), "via: envoy").up().await;
    let client = gateway.client().await;
    call(&gateway, &client, Some(&mk_context("01")), &Value::Null).await;
    let server = of_processor(&collector, 2).await;
    assert_eq!((server.service.as_str(), server.trace()), ("mcp-manifold", TRACE));
    for (key, value) in [
        ("mcp.method.name", "tools/call"),
        ("gen_ai.tool.name", "puppet_echo"),
        ("gen_ai.operation.name", "execute_tool"),
        ("jsonrpc.request.id", "my-id"),
        ("mcp.manifold.way", "forward"),
    ] {
        assert_eq!(server.said(key), value, "{key}");
    }
    // Upwards: Envoy's call of the processor, Envoy's own span, the client's.
    let of_stream = collector.by_id("Envoy's span of the stream", server.parent()).await;
    assert_eq!(of_stream.service, "mcp-manifold-envoy");
    let of_envoy = collector.by_id("Envoy's span of the request", of_stream.parent()).await;
    assert_eq!(
        (of_envoy.parent(), of_envoy.trace(), of_envoy.kind()),
        (CLIENT, TRACE, 2)
    );
    // Downwards: the processor's span of the call in `_meta`, Envoy's in the header.
    let (header, meta) = told(&puppet.posted("tools/call")[0]);
    let of_call = collector.by_id("the span of the call", &id(&meta)).await;
    assert_eq!((of_call.parent(), of_call.kind()), (server.id(), 3));
    assert_eq!(of_call.said("mcp.manifold.upstream"), "puppet");
    let of_router = collector.by_id("Envoy's span of the call", &id(&header)).await;
    assert_eq!(
        (of_router.parent(), of_router.service.as_str()),
        (of_envoy.id(), "mcp-manifold-envoy")
    );
    assert!(
        [&of_stream, &of_envoy, &of_call, &of_router]
            .iter()
            .all(|span| span.trace() == TRACE)
    );
    let everything = format!("{:?}", collector.spans());
    assert!(!everything.contains(&client.session), "a session id is a secret");
    for log in ["audit.jsonl", "access.log"] {
        let says_it = async || {
            let text = std::fs::read_to_string(gateway.setup.folder.path().join(log)).unwrap_or_default();
            text.lines()
                .any(|line| line.contains(&format!("\"trace\":\"{TRACE}\"")) && line.contains("puppet_echo"))
        };
        eventually(&format!("{log} names the trace"), says_it).await;
    }
}

#[tokio::test]
async fn a_call_of_the_processor_says_to_which_span_it_belongs() {
    let Some(collector) = Collector::start().await else {
        return;
    };
    let puppet = Puppet::start(&["echo"]).await;
    puppet.also(|seen| {
        let failed = json!({"content": [], "isError": true});
        (seen.method == "tools/call").then(|| seen.result(&failed))
    });
    let setup = collector
        .setup("")
        .upstream_with("puppet", &puppet.url(), "via: direct");
    let gateway = setup.up().await;
    let client = gateway.client().await;
    call(&gateway, &client, None, &Value::Null).await;
    let (server, of_call) = (of_processor(&collector, 2).await, of_processor(&collector, 3).await);
    let (header, meta) = told(&puppet.posted("tools/call")[0]);
    assert_eq!((header, id(&header).as_str()), (meta, of_call.id()));
    let opening = puppet.posted("initialize");
    let told = opening
        .iter()
        .filter_map(|seen| seen.header("traceparent"))
        .collect::<Vec<_>>();
    assert_eq!(
        told,
        [header.to_string()],
        "of the handshakes, the one that the call needed"
    );
    assert_eq!(of_call.parent(), server.id());
    assert_eq!(server.said("error.type"), "tool_error");
    let of_stream = collector.by_id("Envoy's span of the stream", server.parent()).await;
    let of_envoy = collector.by_id("Envoy's span of the request", of_stream.parent()).await;
    assert_eq!(of_envoy.parent(), "", "the trace begins in Envoy");
}

#[tokio::test]
async fn what_the_message_says_is_the_parent_and_envoys_span_is_linked() {
    let Some(collector) = Collector::start().await else {
        return;
    };
    let puppet = Puppet::start(&["echo"]).await;
    let setup = collector.setup("").upstream_with("puppet", &puppet.url(), "via: envoy");
    let gateway = setup.up().await;
    let client = gateway.client().await;
    let meta = json!({"traceparent": mk_context("01"), "tracestate": "vendor=1", "own": 1.50});
    call(&gateway, &client, None, &meta).await;
    let server = of_processor(&collector, 2).await;
    assert_eq!((server.trace(), server.parent()), (TRACE, CLIENT));
    let link = server.json["links"][0]["spanId"].as_str().unwrap_or_default();
    let of_stream = collector.by_id("Envoy's span of the stream", link).await;
    assert_ne!(of_stream.trace(), TRACE, "no header told Envoy");
    let seen = puppet.posted("tools/call").remove(0);
    let (_, told) = told(&seen);
    assert_eq!(format!("{:032x}", told.trace), TRACE);
    assert_eq!(seen.json()["params"]["_meta"]["tracestate"], "vendor=1");
    let body = rpc(
        "my-id",
        "tools/call",
        &json!({"name": "echo", "arguments": {"a": 1}, "_meta": meta}),
    );
    assert_eq!(
        seen.text(),
        body.replace(&mk_context("01"), &told.to_string()),
        "nothing else changes"
    );
}

#[tokio::test]
async fn a_trace_that_its_client_does_not_keep_is_not_kept() {
    let Some(collector) = Collector::start().await else {
        return;
    };
    let puppet = Puppet::start(&["echo"]).await;
    let setup = collector.setup("").upstream_with("puppet", &puppet.url(), "via: envoy");
    let gateway = setup.up().await;
    let client = gateway.client().await;
    call(&gateway, &client, Some(&mk_context("00")), &Value::Null).await;
    let seen = puppet.posted("tools/call").remove(0);
    assert_eq!(seen.json()["params"]["_meta"], Value::Null);
    call(&gateway, &client, None, &Value::Null).await;
    of_processor(&collector, 2).await;
    assert!(collector.spans().iter().all(|span| span.trace() != TRACE));
}

#[tokio::test]
async fn of_the_traces_that_begin_in_envoy_both_keep_the_same() {
    let Some(collector) = Collector::start().await else {
        return;
    };
    let puppet = Puppet::start(&["echo"]).await;
    let setup = collector.setup(", traces: 0.5");
    let gateway = setup.upstream_with("puppet", &puppet.url(), "via: envoy").up().await;
    let client = gateway.client().await;
    for _ in 0..64 {
        call(&gateway, &client, None, &Value::Null).await;
    }
    // What is kept, and nothing else, is told to the upstream.
    let posted = puppet.posted("tools/call");
    let kept = posted
        .iter()
        .filter(|seen| seen.text().contains("traceparent"))
        .map(told);
    let kept: Vec<_> = kept.map(|(header, _)| format!("{:032x}", header.trace)).collect();
    assert!((8..56).contains(&kept.len()), "half of 64, about: {}", kept.len());
    for trace in &kept {
        for service in ["mcp-manifold", "mcp-manifold-envoy"] {
            let is_it = |span: &Span| span.trace() == trace && span.service == service && span.kind() == 2;
            collector.span(&format!("a span of {service}"), is_it).await;
        }
    }
    let calls = collector
        .spans()
        .into_iter()
        .filter(|span| span.name() == "tools/call puppet_echo" && span.kind() == 2);
    assert_eq!(calls.count(), kept.len());
}

#[tokio::test]
async fn metrics_arrive_under_the_names_of_the_conventions() {
    let Some(collector) = Collector::start().await else {
        return;
    };
    let puppet = Puppet::start(&["echo"]).await;
    let gateway = collector.setup(", traces: 0").puppet("puppet", &puppet).up().await;
    let client = gateway.client().await;
    call(&gateway, &client, None, &Value::Null).await;
    let seen = puppet.posted("tools/call").remove(0);
    assert_eq!(
        (seen.header("traceparent"), &seen.json()["params"]["_meta"]),
        (None, &Value::Null)
    );
    let points = || {
        let metric = collector.metric("mcp.server.operation.duration").unwrap_or_default();
        each(&metric["histogram"]["dataPoints"]).cloned().collect::<Vec<_>>()
    };
    let of_calls = || {
        points()
            .into_iter()
            .find(|point| attribute(point, "mcp.method.name") == "tools/call")
    };
    eventually("the call is counted", async || of_calls().is_some()).await;
    let point = of_calls().expect("it was just there");
    assert_eq!(point["count"], "1");
    for (key, value) in [
        ("gen_ai.tool.name", "puppet_echo"),
        ("gen_ai.operation.name", "execute_tool"),
        ("mcp.protocol.version", "2025-11-25"),
        ("network.transport", "tcp"),
    ] {
        assert_eq!(attribute(&point, key), value, "{key}");
    }
    assert_eq!(point["explicitBounds"].as_array().map(Vec::len), Some(14));
    for name in [
        "mcp.client.operation.duration",
        "mcp.manifold.exchanges",
        "mcp.manifold.upstream_ready",
    ] {
        assert!(collector.metric(name).is_some(), "{name}");
    }
    assert!(collector.spans().is_empty(), "nobody asked for spans");
}

#[tokio::test]
async fn sessions_that_are_over_arrive_with_the_time_that_they_lasted() {
    let Some(collector) = Collector::start().await else {
        return;
    };
    let puppet = Puppet::start(&["echo"]).await;
    let gateway = collector.setup(", traces: 0").puppet("puppet", &puppet).up().await;
    let client = gateway.client().await;
    call(&gateway, &client, None, &Value::Null).await;
    let counted = |name: &str, upstream: &str| {
        let metric = collector.metric(name).unwrap_or_default();
        let mut points = each(&metric["histogram"]["dataPoints"]).cloned().collect::<Vec<_>>();
        points.retain(|point| attribute(point, "upstream") == upstream);
        points.into_iter().next()
    };
    assert_eq!(
        counted("mcp.server.session.duration", ""),
        None,
        "the session is not over"
    );
    client.delete().await;
    eventually("the client's session is counted", async || {
        counted("mcp.server.session.duration", "").is_some()
    })
    .await;
    eventually("the upstream's session is counted", async || {
        counted("mcp.client.session.duration", "puppet").is_some()
    })
    .await;
    for point in [
        counted("mcp.server.session.duration", ""),
        counted("mcp.client.session.duration", "puppet"),
    ] {
        let point = point.expect("it was just there");
        assert_eq!(attribute(&point, "mcp.protocol.version"), "2025-11-25");
        assert_eq!(attribute(&point, "error.type"), "", "{point}");
        let lasted = point["sum"].as_f64().expect("a number of seconds");
        assert!(lasted > 0.0 && lasted < 60.0, "{lasted}");
    }
}

#[tokio::test]
async fn a_collector_behind_tls_is_trusted_if_its_authority_is() {
    let Some(collector) = Collector::start_secure().await else {
        return;
    };
    let puppet = Puppet::start(&["echo"]).await;
    let setup = |authority: &str| {
        let (port, ca) = (collector.port, certificate(authority));
        Setup::new().puppet("puppet", &puppet).with(&format!(
            "telemetry: {{ otlp: 'https://localhost:{port}', ca: {{ file: '{}' }}, interval: 1s }}",
            ca.display()
        ))
    };
    let gateway = setup("other-ca.pem").up().await;
    let client = gateway.client().await;
    call(&gateway, &client, None, &Value::Null).await;
    eventually("the log tells", async || {
        gateway.programs[0]
            .err()
            .contains("The collector does not take spans and metrics")
    })
    .await;
    assert!(collector.spans().is_empty(), "{:?}", collector.spans());
    drop(gateway);
    let gateway = setup("ca.pem").up().await;
    let client = gateway.client().await;
    call(&gateway, &client, None, &Value::Null).await;
    of_processor(&collector, 2).await;
    let of_envoy = |span: &Span| span.service == "mcp-manifold-envoy";
    collector.span("Envoy's span arrives", of_envoy).await;
    eventually("metrics arrive", async || {
        collector.metric("mcp.server.operation.duration").is_some()
    })
    .await;
}

#[tokio::test]
async fn a_query_is_written_down_nowhere() {
    let Some(collector) = Collector::start().await else {
        return;
    };
    let puppet = Puppet::start(&["echo"]).await;
    let setup = collector.setup("").with("envoy: { accessLog: access.log }");
    let gateway = setup.puppet("puppet", &puppet).up().await;
    for path in ["/mcp?access_token=s3cret", "/nowhere?access_token=s3cret"] {
        let requests = [
            Request::post(rpc(1, "ping", &json!({}))),
            Request::bare("GET"),
            Request::bare("DELETE"),
        ];
        for request in requests {
            request.path(path).send(gateway.address).await;
        }
    }
    let client = gateway.client().await;
    let asked = client.request(rpc(
        "my-id",
        "tools/call",
        &json!({"name": "puppet_echo", "arguments": {}}),
    ));
    answered(
        "the call",
        &asked.path("/mcp?access_token=s3cret").send(gateway.address).await,
        "\"my-id\"",
    );
    of_processor(&collector, 2).await;
    let of_envoy = |span: &Span| span.service == "mcp-manifold-envoy" && span.said("http.url").ends_with("/nowhere");
    collector.span("Envoy's span says where", of_envoy).await;
    let folder = gateway.setup.folder.path();
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
    eventually("everything is in the logs", async || {
        read("access.log").contains("\"path\":\"/nowhere\"") && read("audit.jsonl").contains("puppet_echo")
    })
    .await;
    let said = [read("access.log"), read("audit.jsonl"), gateway.programs[0].output()];
    let spans = format!("{:?}", collector.spans());
    let seen = format!("{:?}", puppet.seen());
    for text in said.iter().chain([&spans, &seen]) {
        assert!(!text.contains("s3cret"), "{text}");
    }
}

/// What an upstream session is opened with says for whom: a borrowed one, and one that is opened again.
#[tokio::test]
async fn a_session_that_is_opened_for_a_call_belongs_to_its_trace() {
    let Some(collector) = Collector::start().await else {
        return;
    };
    let puppet = Puppet::start(&["echo"]).await;
    let gateway = collector.setup("").puppet("puppet", &puppet).up().await;
    let of_trace = |method: &str| {
        let seen = puppet.posted(method);
        seen.iter()
            .filter(|seen| seen.header("traceparent").is_some_and(|parent| parent.contains(TRACE)))
            .count()
    };
    let borrowed = modern("my-id", "tools/call", &json!({"name": "puppet_echo", "arguments": {}}));
    let borrowed = borrowed.with("traceparent", &mk_context("01"));
    answered("a modern client", &borrowed.send(gateway.address).await, "\"my-id\"");
    assert_eq!(of_trace("initialize"), 1, "{:?}", puppet.posted("initialize"));
    puppet.forget_requests();
    puppet.lose_sessions(404);
    answered("renewed", &borrowed.send(gateway.address).await, "\"my-id\"");
    assert_eq!(of_trace("initialize"), 1, "{:?}", puppet.posted("initialize"));

    let client = gateway.client().await;
    call(&gateway, &client, None, &Value::Null).await;
    puppet.forget_requests();
    puppet.lose_sessions(404);
    call(&gateway, &client, Some(&mk_context("01")), &Value::Null).await;
    assert_eq!(
        of_trace("initialize"),
        1,
        "recovered: {:?}",
        puppet.posted("initialize")
    );
}

#[tokio::test]
async fn a_collector_that_is_away_or_talks_nonsense_harms_no_call() {
    let puppet = Puppet::start(&["echo"]).await;
    let nonsense = Puppet::start(&[]).await;
    nonsense.play(|_| Some(Act::SayAndLeave(b"\x00\x00nonsense".to_vec())));
    for port in [free_port(), nonsense.address.port()] {
        let gateway = mk_setup(port, "").puppet("puppet", &puppet).up().await;
        let client = gateway.client().await;
        for _ in 0..20 {
            call(&gateway, &client, None, &Value::Null).await;
        }
        let dropped = async || {
            let text = gateway.ask("/metrics").await.text();
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix("mcp_manifold_spans_dropped_total "));
            line.and_then(|count| count.parse::<u64>().ok()).unwrap_or_default()
        };
        eventually("spans are dropped", async || dropped().await >= 20).await;
        let said = gateway.programs[0].err();
        assert_eq!(said.matches("The collector does not take").count(), 1, "{said}");
    }
}
