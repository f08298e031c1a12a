//! Ways around the processor that a client may try: none of them reaches a server.

use super::harness::caller::{Caller, seen, service};
use super::harness::install::Processor;
use super::harness::kubectl::{get, kubectl};
use super::harness::namespace::Namespace;
use super::harness::served::Served;
use super::harness::until;
use crate::e2e::harness::client::{Request, rpc};
use serde_json::json;
use std::net::SocketAddr;

const HOST: &str = "mcp.example.test";
const INNER: &str = "server.mcp.local";

/// The second one is for servers only.
const LISTENERS: &str = "{ name: mcp, hostname: mcp.example.test, port: 80, protocol: HTTP }, \
                         { name: mcps, hostname: '*.mcp.local', port: 80, protocol: HTTP }";

/// A registered server on a host of its own, and an application that has nothing to do with it.
const OBJECTS: &str = r"
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: server, namespace: NAMESPACE }
spec:
  parentRefs: [{ name: gateway, sectionName: mcps }]
  hostnames: [server.mcp.local]
  rules: [{ backendRefs: [{ name: server, port: 9090 }] }]
---
apiVersion: mcp.kuadrant.io/v1
kind: MCPServerRegistration
metadata: { name: server, namespace: NAMESPACE }
spec: { prefix: srv_, targetRef: { name: server } }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: other, namespace: NAMESPACE }
spec:
  parentRefs: [{ name: gateway }]
  hostnames: [mcp.example.test, other.mcp.local]
  rules:
    - matches: [{ path: { type: Exact, value: /other } }]
      filters: [{ type: URLRewrite, urlRewrite: { path: { type: ReplaceFullPath, replaceFullPath: /control/seen } } }]
      backendRefs: [{ name: server, port: 9090 }]
";

#[tokio::test]
async fn nobody_reaches_a_registered_server_around_the_processor() {
    let namespace = Namespace::new("bypass").await;
    namespace.fixture("server", &["--bare", "--tools", "1"]).await;
    namespace.apply(OBJECTS).await;
    let Served { namespace, address } = Served::with(namespace, Processor::Sidecar, LISTENERS, "").await;
    let caller = Caller::connect(address, HOST).await;
    until("the server is listed and its route leads there", async || {
        let response = caller.call("srv_generated_0").await;
        match response.status == 200 && response.message()["result"].is_object() {
            true => Ok(()),
            false => Err(format!("{response:?}")),
        }
    })
    .await;
    let name = format!("{}.server", namespace.name);
    let key = route_key(&namespace.name, &name).await;
    let server = service(&namespace.name, "server").await;
    let known = Knowledge {
        host: HOST,
        upstream: &name,
        key: &key,
        inner: &[INNER],
    };
    is_shut(&caller, "srv_generated_0", server, &known).await;
    others_are_untouched(address).await;
    its_owner_may_open_it(&namespace.name, address).await;
}

/// As whoever may read HTTPRoutes finds it.
async fn route_key(namespace: &str, upstream: &str) -> String {
    let route = get("httproute", namespace, &format!("mcp-upstream.{upstream}")).await;
    let headers = route["spec"]["rules"][0]["matches"][0]["headers"].as_array().cloned();
    let headers = headers.unwrap_or_else(|| panic!("{route}"));
    let key = headers.iter().find(|header| header["name"] == "x-mcp-route-key");
    key.and_then(|header| header["value"].as_str())
        .expect("the route asks for it")
        .to_owned()
}

async fn others_are_untouched(address: SocketAddr) {
    for host in [HOST, "other.mcp.local"] {
        let request = Request::bare("GET").path("/other").with("host", host);
        let response = request.send(address).await;
        assert_eq!(response.status, 200, "{host}: {response:?}");
        assert!(response.message().is_object(), "{host}: {response:?}");
    }
}

async fn its_owner_may_open_it(namespace: &str, address: SocketAddr) {
    let direct = Request::bare("GET").path("/control/seen").with("host", INNER);
    assert_eq!(direct.send(address).await.status, 403, "shut at every path");
    kubectl(&[
        "annotate",
        "httproute/server",
        "-n",
        namespace,
        "mcp-manifold/direct-access=allowed",
    ])
    .await;
    until("direct access is allowed", async || match direct.send(address).await {
        response if response.status == 200 => Ok(()),
        response => Err(format!("{response:?}")),
    })
    .await;
}

/// What a client that means to go around the processor knows.
pub(crate) struct Knowledge<'a> {
    /// The host that clients use.
    pub(crate) host: &'a str,
    /// `x-mcp-upstream` of a server.
    pub(crate) upstream: &'a str,
    /// The key of the routes, which nobody should know.
    pub(crate) key: &'a str,
    /// Hosts by which the server itself may be known.
    pub(crate) inner: &'a [&'a str],
}

/// Tries everything; the server must not see one call, and see the one after that which goes the right way.
pub(crate) async fn is_shut(caller: &Caller, tool: &str, server: SocketAddr, known: &Knowledge<'_>) {
    let before = seen(server, "tools/call").await;
    for (what, request) in attempts(known) {
        let response = request.send(caller.address).await;
        let after = seen(server, "tools/call").await;
        assert_eq!(after, before, "{what} reached the server: {response:?}");
        let refused = [307, 400, 403, 404, 405, 421].contains(&response.status);
        let answered = response.status == 200 && response.message()["error"]["code"].is_i64();
        assert!(refused || answered, "{what}: {response:?}");
    }
    let response = caller.call(tool).await;
    assert_eq!(response.message()["error"], json!(null), "{response:?}");
    assert_eq!(seen(server, "tools/call").await, before + 1, "calls are counted");
}

fn attempts(known: &Knowledge<'_>) -> Vec<(String, Request)> {
    let mut all = by_headers(known);
    all.extend(by_path(known));
    all.extend(by_host(known));
    all
}

/// The call itself: a server would take it as it is.
fn call(known: &Knowledge<'_>) -> Request {
    let params = json!({"name": "generated_0", "arguments": {}});
    Request::post(rpc(1, "tools/call", &params)).with("host", known.host)
}

/// With both headers of the route to the server, the key being right.
fn keyed(known: &Knowledge<'_>) -> Request {
    call(known)
        .and("x-mcp-upstream", known.upstream)
        .and("x-mcp-route-key", known.key)
}

fn by_headers(known: &Knowledge<'_>) -> Vec<(String, Request)> {
    let Knowledge { upstream, key, .. } = known;
    let wrong = format!("{key}0");
    let named = call(known).and("x-mcp-upstream", upstream);
    let attempts = [
        ("the upstream's name alone", named.clone()),
        ("a wrong key", named.clone().and("x-mcp-route-key", &wrong)),
        ("an empty key", named.clone().and("x-mcp-route-key", "")),
        (
            "the key in capitals",
            named.clone().and("x-mcp-route-key", &key.to_uppercase()),
        ),
        (
            "two keys",
            named.clone().and("x-mcp-route-key", &wrong).and("x-mcp-route-key", key),
        ),
        (
            "a list of keys",
            named.and("x-mcp-route-key", &format!("{wrong}, {key}")),
        ),
        ("the right key", keyed(known)),
        (
            "names in capitals",
            call(known).and("X-MCP-UPSTREAM", upstream).and("X-Mcp-Route-Key", key),
        ),
        ("an inspected session", keyed(known).session("mi1.none")),
        (
            "the reserved upstream",
            call(known)
                .and("x-mcp-upstream", "mcp-manifold")
                .and("x-mcp-route-key", key),
        ),
        ("a session that ended", keyed(known).session("mp1.none")),
        (
            "a header that says it is processed",
            keyed(known).and("x-envoy-original-path", "/mcp"),
        ),
    ];
    let bare = ["GET", "PUT", "DELETE", "OPTIONS", "HEAD"].map(|verb| {
        let request = Request::bare(verb).with("host", known.host);
        let request = request.and("x-mcp-upstream", upstream).and("x-mcp-route-key", key);
        (format!("the right key and {verb}"), request)
    });
    let attempts = attempts.map(|(what, request)| (what.to_owned(), request));
    attempts.into_iter().chain(bare).collect()
}

fn by_path(known: &Knowledge<'_>) -> Vec<(String, Request)> {
    let paths = [
        "/",
        "/MCP",
        "/mcp/",
        "//mcp",
        "/./mcp",
        "/x/../mcp",
        "/%6dcp",
        "/mcp%2f",
        "/mcp%00",
        "/mcp;x",
        "/mcp?x=1",
        "/mcp#x",
        "/mcp/../mcp",
        "\\mcp",
        "http://127.0.0.1/mcp",
    ];
    let request = |path: &str| (format!("the right key at {path}"), keyed(known).path(path));
    paths.iter().map(|path| request(path)).collect()
}

fn by_host(known: &Knowledge<'_>) -> Vec<(String, Request)> {
    let mut hosts = vec![
        known.host.to_uppercase(),
        format!("{}:80", known.host),
        format!("{}.", known.host),
        format!("{}:443", known.host),
        format!("x.{}", known.host),
    ];
    for inner in known.inner {
        hosts.extend([
            (*inner).to_owned(),
            inner.to_uppercase(),
            format!("{inner}:9090"),
            format!("{inner}."),
        ]);
    }
    let with_key = hosts
        .iter()
        .map(|host| (format!("the right key at {host}"), keyed(known).with("host", host)));
    // Without the key a public host is the right way; a server's own is not.
    let inner = hosts.iter().skip(5);
    let without = inner.map(|host| (format!("the host {host}"), call(known).with("host", host)));
    let foreign = known.inner.iter().map(|inner| {
        let request = keyed(known)
            .and("x-forwarded-host", inner)
            .path(&format!("http://{inner}/mcp"));
        (format!("an absolute target of {inner}"), request)
    });
    with_key.chain(without).chain(foreign).collect()
}
