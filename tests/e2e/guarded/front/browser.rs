//! Clients in browsers: which pages may call, what they may see, and what every response tells a browser.

use crate::e2e::harness::client::{Client, Request, initialize, rpc};
use crate::e2e::harness::gateway::Setup;
use crate::e2e::harness::http::Response;
use crate::e2e::harness::puppet::{Act, Puppet};
use crate::e2e::process::free_port;
use crate::e2e::tools;
use serde_json::{Value, json};
use std::process::{Command, Stdio};

const PAGE: &str = "https://app.example.com";

fn preflight(origin: &str, verb: &str, headers: &str) -> Request {
    Request::bare("OPTIONS")
        .with("origin", origin)
        .with("access-control-request-method", verb)
        .with("access-control-request-headers", headers)
}

/// The names in a comma-separated header.
fn listed<'a>(response: &'a Response, name: &str) -> Vec<&'a str> {
    let value = response.header(name).unwrap_or_default();
    value
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect()
}

/// A page of `PAGE` can read this response, session id included.
fn assert_readable(what: &str, response: &Response) {
    assert_eq!(
        response.header("access-control-allow-origin"),
        Some(PAGE),
        "{what}: {response:?}"
    );
    let exposed = listed(response, "access-control-expose-headers");
    for name in ["mcp-session-id", "www-authenticate", "retry-after"] {
        assert!(exposed.contains(&name), "{what}: {name} of {exposed:?}");
    }
}

#[tokio::test]
async fn a_page_of_a_known_origin_may_call_and_read_every_answer() {
    let puppet = Puppet::start(&["echo"]).await;
    let filter = "ipFilter: { deny: [203.0.113.0/24], trustedProxies: [127.0.0.1] }";
    let setup = Setup::new().with(&format!("cors: {{ origins: [{PAGE}], maxAge: 10m }}\n{filter}"));
    let gateway = setup.puppet("a", &puppet).up().await;
    let wanted = "content-type, mcp-param-region, mcp-session-id, x-api-key";
    let allowed = preflight(PAGE, "POST", wanted).send(gateway.address).await;
    assert_eq!(allowed.status, 200, "{allowed:?}");
    assert_eq!(allowed.header("access-control-allow-origin"), Some(PAGE));
    assert_eq!(
        allowed.header("access-control-allow-headers"),
        Some(wanted),
        "whatever arguments are mirrored"
    );
    assert_eq!(
        listed(&allowed, "access-control-allow-methods"),
        ["GET", "POST", "DELETE", "OPTIONS"]
    );
    assert_eq!(allowed.header("access-control-max-age"), Some("600"));
    assert_eq!(allowed.header("access-control-allow-credentials"), None);

    let begun = initialize("2025-11-25", &json!({}))
        .with("origin", PAGE)
        .send(gateway.address)
        .await;
    assert_readable("an answer of the processor", &begun);
    let client = Client::known(gateway.address, begun.header("mcp-session-id").expect("a session"));
    let call = rpc(1, "tools/call", &json!({"name": "a_echo", "arguments": {"text": "x"}}));
    let forwarded = client.request(&call).with("origin", PAGE).send(gateway.address).await;
    assert_eq!(forwarded.status, 200, "{forwarded:?}");
    assert_readable("a forward", &forwarded);
    let refused = client.request("[]").with("origin", PAGE).send(gateway.address).await;
    assert_eq!(refused.status, 400);
    assert_readable("a refusal", &refused);
    let gone = client
        .request(&call)
        .session("mp1.x")
        .with("origin", PAGE)
        .send(gateway.address)
        .await;
    assert_eq!(gone.status, 404);
    assert_readable("an unknown session", &gone);
    let filtered = client
        .request(&call)
        .with("origin", PAGE)
        .with("x-forwarded-for", "203.0.113.9");
    let filtered = filtered.send(gateway.address).await;
    assert_eq!(filtered.status, 403);
    assert_readable("a refusal by Envoy", &filtered);
}

#[tokio::test]
async fn a_page_of_a_known_origin_can_read_that_there_is_nothing() {
    let puppet = Puppet::start(&["echo"]).await;
    let setup = Setup::new().with(&format!("cors: {{ origins: [{PAGE}] }}"));
    let gateway = setup.puppet("a", &puppet).up().await;
    for path in ["/.well-known/oauth-authorization-server", "/nowhere?a=b", "/"] {
        let asked = preflight(PAGE, "GET", "mcp-protocol-version").path(path);
        let allowed = asked.send(gateway.address).await;
        assert_eq!(allowed.status, 200, "{path}: {allowed:?}");
        assert_eq!(allowed.header("access-control-allow-origin"), Some(PAGE), "{path}");
        let get = Request::bare("GET")
            .path(path)
            .with("mcp-protocol-version", "2025-11-25");
        let nothing = get.clone().with("origin", PAGE).send(gateway.address).await;
        assert_eq!((nothing.status, &*nothing.text()), (404, "not found\n"), "{path}");
        assert_readable(path, &nothing);
        for other in [get.clone().with("origin", "https://evil.example.com"), get] {
            let nothing = other.send(gateway.address).await;
            assert_eq!((nothing.status, &*nothing.text()), (404, "not found\n"), "{path}");
            assert_eq!(nothing.header("access-control-allow-origin"), None, "{path}");
        }
    }
}

#[tokio::test]
async fn a_page_of_another_origin_may_neither_ask_nor_read() {
    let puppet = Puppet::start(&["echo"]).await;
    let setup = Setup::new().with(&format!("cors: {{ origins: [{PAGE}], credentials: true }}"));
    let gateway = setup.puppet("a", &puppet).up().await;
    let foreign = [
        "https://evil.example",
        "https://app.example.com.evil.example",
        "http://app.example.com",
        "https://app.example.com:8443",
        "null",
    ];
    for origin in foreign {
        let asked = preflight(origin, "POST", "content-type").send(gateway.address).await;
        assert_eq!(asked.status, 403, "{origin}: {asked:?}");
        assert_eq!(asked.header("access-control-allow-origin"), None, "{origin}");
        assert_eq!(asked.header("access-control-allow-headers"), None, "{origin}");
        let called = initialize("2025-11-25", &json!({}))
            .with("origin", origin)
            .send(gateway.address)
            .await;
        assert_eq!(called.status, 403, "{origin}: {called:?}");
        assert_eq!(called.header("access-control-allow-origin"), None, "{origin}");
        assert_eq!(called.message()["error"]["code"], -32600, "{origin}");
    }
    let own = preflight(PAGE, "DELETE", "mcp-session-id").send(gateway.address).await;
    assert_eq!(own.header("access-control-allow-credentials"), Some("true"));
    // The page of a local program may call, as without cors, and reads nothing: its origin is not named.
    let local = initialize("2025-11-25", &json!({}))
        .with("origin", "http://localhost:6274")
        .send(gateway.address)
        .await;
    assert_eq!((local.status, local.header("access-control-allow-origin")), (200, None));
    // Another Host than the gateway's own, as after DNS rebinding.
    let rebound = initialize("2025-11-25", &json!({}))
        .with("host", "evil.example")
        .send(gateway.address)
        .await;
    assert_eq!(rebound.status, 403);
}

#[tokio::test]
async fn an_upstream_has_no_say_in_who_reads() {
    let puppet = Puppet::start(&["echo"]).await;
    puppet.play(|seen| {
        (seen.method == "tools/call").then(|| {
            let headers = [
                ("content-type", "application/json"),
                ("access-control-allow-origin", "*"),
                ("access-control-allow-headers", "x-anything"),
                ("x-frame-options", "ALLOWALL"),
            ];
            let body = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{"content":[]}}}}"#, seen.id);
            Act::reply(200, &headers, body.as_bytes())
        })
    });
    let setup = Setup::new().with(&format!("cors: {{ origins: [{PAGE}] }}\nsecurityHeaders: true"));
    let gateway = setup.puppet("a", &puppet).up().await;
    let client = gateway.client().await;
    let call = rpc(1, "tools/call", &json!({"name": "a_echo", "arguments": {}}));
    let foreign = client.request(&call).send(gateway.address).await;
    assert_eq!(foreign.status, 200, "{foreign:?}");
    assert_eq!(foreign.header("access-control-allow-origin"), None);
    assert_eq!(foreign.header("access-control-allow-headers"), None);
    assert_eq!(foreign.header("x-frame-options"), Some("DENY"));
    let own = client.request(&call).with("origin", PAGE).send(gateway.address).await;
    assert_readable("a forward", &own);
    assert_eq!(own.header("access-control-allow-headers"), None, "for preflights only");
}

#[tokio::test]
async fn security_headers_are_on_every_response() {
    let puppet = Puppet::start(&["echo"]).await;
    let setup = Setup::new().with("securityHeaders: true\nipFilter: { deny: [127.9.0.0/16] }");
    let gateway = setup.puppet("a", &puppet).up().await;
    let client = gateway.client().await;
    let call = rpc(1, "tools/call", &json!({"name": "a_echo", "arguments": {"text": "x"}}));
    let long = "x".repeat(60 << 10);
    for (what, status, request) in [
        ("an answer", 200, client.request(rpc(1, "tools/list", &json!({})))),
        ("a forward", 200, client.request(&call)),
        ("a refusal", 400, client.request("{")),
        ("nothing", 404, Request::bare("GET").path("/.well-known/x")),
        ("too long a header", 431, client.request(&call).with("x-long", &long)),
        ("an underscore", 400, client.request(&call).with("x_a", "b")),
    ] {
        let response = request.send(gateway.address).await;
        assert_eq!(response.status, status, "{what}: {response:?}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
            ("referrer-policy", "no-referrer"),
        ] {
            assert_eq!(response.header(name), Some(value), "{what}: {response:?}");
        }
        assert_eq!(
            response.header("strict-transport-security"),
            None,
            "{what}: not over HTTP"
        );
    }
}

/// The SDK's own client in Chromium, its page served from another origin than the gateway's.
#[tokio::test]
async fn the_sdk_works_in_a_real_browser_from_a_named_origin_only() {
    let puppet = Puppet::start(&["echo"]).await;
    puppet.play(|seen| {
        let content = json!({"content": [{"type": "text", "text": "from afar"}]});
        (seen.method == "tools/call").then(|| seen.result(&content))
    });
    let port = free_port();
    let setup = Setup::new().with(&format!("cors: {{ origins: ['http://127.0.0.1:{port}'] }}"));
    let gateway = setup.puppet("a", &puppet).up().await;
    let named = page(&gateway.url(), port).await;
    assert_eq!(named["content"][0]["text"], "from afar", "{named}");
    assert!(
        named["session"].as_str().is_some_and(|id| id.starts_with("mp1.")),
        "it keeps its session: {named}"
    );
    assert_eq!(named["status"], 404, "it sees that a session is over: {named}");
    let before = puppet.seen().len();
    let other = page(&gateway.url(), free_port()).await;
    assert!(
        other["error"].as_str().is_some_and(|error| error.contains("fetch")),
        "{other}"
    );
    assert_eq!(puppet.seen().len(), before, "not even the call arrives");
}

/// What the SDK in a page of `http://127.0.0.1:PORT` sees.
async fn page(url: &str, port: u16) -> Value {
    let mut node = Command::new(tools::node());
    node.arg(tools::source("tests/clients/browser.mjs"));
    node.args([url, "a_echo", r#"{"text":"from a page"}"#, &port.to_string()]);
    let run = tokio::task::spawn_blocking(move || node.stdin(Stdio::null()).output());
    let output = run.await.expect("it does not panic").expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}
