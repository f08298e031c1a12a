//! `render manifests -f`: one configuration file, guarded, on Envoy Gateway without our controller.

use super::harness::caller::{seen, service};
use super::harness::folder;
use super::harness::gateway::programmed;
use super::harness::kubectl::{apply, get, kubectl, kubectl_with};
use super::harness::namespace::Namespace;
use super::harness::until;
use crate::e2e::guarded::identity::issuer::{Key, now};
use crate::e2e::harness::client::{Request, initialize, names, rpc};
use crate::e2e::harness::http::Response;
use crate::e2e::tools;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

const HOST: &str = "guarded.example.test";
const ISSUER: &str = "https://idp.example.test";

const CONFIG: &str = r"
stateDir: ./state
publicUrl: http://guarded.example.test/mcp
authentication:
  jwt: [ { issuer: https://idp.example.test, jwks: { url: 'http://keys.NAMESPACE.svc.cluster.local:9090/jwks.json', refresh: 1s } } ]
  apiKeys: { file: keys.yaml }
policies:
  rules: [ { name: not-this, deny: 'tool.name == ''weather_generated_1'' && has(arguments.really)', message: Not that one } ]
rateLimits: [ { name: per-ip, per: [ip], limit: 20/h, burst: 25 } ]
limits: { headers: 16KiB }
ipFilter: { deny: [203.0.113.0/24], trustedProxies: [10.96.0.0/11] }
cors: { origins: [https://app.example.test] }
securityHeaders: true
transparent: [ { path: /search, upstream: search }, { path: /opaque, upstream: search, opaque: true } ]
upstreams:
- { name: weather, url: 'http://weather.NAMESPACE.svc.cluster.local:9090/mcp', credential: { header: x-secret, value: { file: secret } } }
- { name: search, url: 'http://search.NAMESPACE.svc.cluster.local:9090/mcp', merge: false }
";

/// Serves the issuer's public keys.
const KEYS: &str = r"
apiVersion: v1
kind: ConfigMap
metadata: { name: keys, namespace: NAMESPACE }
data: { jwks.json: 'JWKS' }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: keys, namespace: NAMESPACE }
spec:
  selector: { matchLabels: { app: keys } }
  template:
    metadata: { labels: { app: keys } }
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: server
          image: python:3
          command: [python3, -m, http.server, '9090', --directory, /www]
          readinessProbe: { tcpSocket: { port: 9090 } }
          volumeMounts: [{ name: www, mountPath: /www }]
      volumes: [{ name: www, configMap: { name: keys } }]
---
apiVersion: v1
kind: Service
metadata: { name: keys, namespace: NAMESPACE }
spec: { selector: { app: keys }, ports: [{ port: 9090 }] }
";

/// The gateway, and what it leaves outside of its namespace.
struct Guarded {
    namespace: Namespace,
    address: SocketAddr,
    key: Key,
    /// Requests that came from addresses of their own.
    sent: AtomicU32,
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let label = format!("mcp-manifold/file-of={}.gateway", self.namespace.name);
        let _gone = Command::new("kubectl")
            .args([
                "delete",
                "configmap,secret",
                "-n",
                "envoy-gateway-system",
                "-l",
                &label,
                "--wait=false",
            ])
            .output();
    }
}

impl Guarded {
    async fn start() -> Self {
        let namespace = Namespace::new("of-file").await;
        let key = Key::new("first");
        let jwks = json!({"keys": [key.public()]}).to_string();
        namespace.apply(&KEYS.replace("JWKS", &jwks)).await;
        namespace.fixture("weather", &["--bare", "--tools", "2"]).await;
        namespace.fixture("search", &["--bare", "--tools", "1"]).await;
        namespace.rolled_out("keys").await;
        apply(&rendered(&namespace.name)).await;
        let address = programmed(&namespace.name, "gateway", 80).await;
        Self {
            namespace,
            address,
            key,
            sent: AtomicU32::new(0),
        }
    }

    fn token(&self, until: u64) -> String {
        let audience = format!("http://{HOST}/mcp");
        let claims = json!({"iss": ISSUER, "sub": "alice", "aud": audience, "iat": now(), "exp": until});
        format!("Bearer {}", self.key.sign(&claims))
    }

    /// From an address of its own, as a trusted proxy says.
    async fn send(&self, request: Request) -> Response {
        let number = self.sent.fetch_add(1, Ordering::Relaxed);
        let from = format!("198.51.{}.{}", number >> 8, number & 255);
        self.send_from(&from, request).await
    }

    async fn send_from(&self, address: &str, request: Request) -> Response {
        let request = request.with("host", HOST).with("x-forwarded-for", address);
        request.send(self.address).await
    }

    /// The same by somebody who may.
    async fn ask(&self, request: Request) -> Response {
        self.send(self.signed(request)).await
    }

    fn signed(&self, request: Request) -> Request {
        request.with("authorization", &self.token(now() + 3600))
    }
}

/// What `render` prints for the configuration.
fn rendered(namespace: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("manifold.yaml");
    std::fs::write(&file, CONFIG.replace("NAMESPACE", namespace)).expect("written");
    std::fs::write(folder.path().join("secret"), "only the server knows").expect("written");
    std::fs::write(folder.path().join("keys.yaml"), "[]").expect("written");
    let output = Command::new(tools::gateway())
        .args([
            "render",
            "manifests",
            "--gateway-class",
            "eg",
            "--with-secrets",
            "--gateway",
        ])
        .args([&format!("{namespace}/gateway"), "-f"])
        .arg(&file)
        .output()
        .expect("the program runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(!said.contains("imits"), "limits are kept: {said}");
    String::from_utf8(output.stdout).expect("it is text")
}

fn begin() -> Request {
    initialize("2025-11-25", &json!({}))
}

fn call(session: &str, tool: &str, arguments: &Value) -> Request {
    let params = json!({"name": tool, "arguments": arguments});
    Request::post(rpc(7, "tools/call", &params))
        .session(session)
        .with("mcp-protocol-version", "2025-11-25")
}

#[tokio::test]
async fn one_file_makes_a_guarded_gateway() {
    let guarded = Guarded::start().await;
    let session = until("a token lets in, and everything is listed", async || {
        let response = guarded.ask(begin()).await;
        let session = response.header("mcp-session-id").map(str::to_owned);
        session.ok_or_else(|| format!("{response:?}"))
    })
    .await;
    all_accepted(&guarded.namespace.name).await;
    identity(&guarded).await;
    calls(&guarded, &session).await;
    transparent(&guarded).await;
    before_the_processor(&guarded).await;
    no_way_around(&guarded, &session).await;
}

async fn all_accepted(namespace: &str) {
    for kind in [
        "eep",
        "securitypolicy",
        "backendtrafficpolicy",
        "clienttrafficpolicy",
        "httproute",
        "backend",
    ] {
        until(&format!("every {kind} is accepted"), async || {
            let all = kubectl(&["get", kind, "-n", namespace, "-o", "json"]).await;
            let all: Value = serde_json::from_str(&all).map_err(|error| error.to_string())?;
            for item in all["items"].as_array().into_iter().flatten() {
                let status = item["status"].to_string();
                if !status.contains(r#""status":"True","type":"Accepted""#) || status.contains(r#""status":"False""#) {
                    return Err(format!("{}: {status}", item["metadata"]["name"]));
                }
            }
            Ok(())
        })
        .await;
    }
}

async fn identity(guarded: &Guarded) {
    let nobody = guarded.send(begin()).await;
    assert_eq!(nobody.status, 401, "{nobody:?}");
    let metadata = format!("resource_metadata=\"http://{HOST}/.well-known/oauth-protected-resource/mcp\"");
    let challenge = |response: &Response| response.header("www-authenticate").unwrap_or_default().to_owned();
    assert!(challenge(&nobody).contains(&metadata), "{nobody:?}");
    let expired = guarded.token(now() - 600);
    let expired = guarded.send(begin().with("authorization", &expired)).await;
    assert_eq!(expired.status, 401, "{expired:?}");
    assert!(
        challenge(&expired).contains(&metadata),
        "bad tokens are the processor's too: {expired:?}"
    );
    let foreign = format!(
        "Bearer {}",
        Key::new("first").sign(&json!({"iss": ISSUER, "sub": "a", "exp": now() + 60}))
    );
    let foreign = guarded.send(begin().with("authorization", &foreign)).await;
    assert_eq!(foreign.status, 401, "{foreign:?}");
    let document = Request::bare("GET").path("/.well-known/oauth-protected-resource/mcp");
    let document = guarded.send(document).await;
    assert_eq!(
        document.message()["authorization_servers"],
        json!([ISSUER]),
        "{document:?}"
    );
}

async fn calls(guarded: &Guarded, session: &str) {
    let list = Request::post(rpc(1, "tools/list", &json!({}))).session(session);
    until("the server is listed", async || {
        let response = guarded.ask(list.clone()).await;
        let tools = names(&response.message()["result"]["tools"]);
        (tools.len() == 2).then_some(()).ok_or_else(|| format!("{response:?}"))
    })
    .await;
    let called = until("a call is answered", async || {
        let response = guarded.ask(call(session, "weather_generated_1", &json!({}))).await;
        let result = response.message()["result"].is_object();
        result
            .then_some(response.clone())
            .ok_or_else(|| format!("{response:?}"))
    })
    .await;
    assert_eq!(
        called.header("x-frame-options"),
        Some("DENY"),
        "security headers: {called:?}"
    );
    until("calls go by Envoy, not by the fallback", async || {
        let _answer = guarded.ask(call(session, "weather_generated_0", &json!({}))).await;
        let log = log(&guarded.namespace.name);
        let last = log
            .lines()
            .rev()
            .find(|line| line.contains("weather_generated_0"))
            .unwrap_or_default();
        last.contains(r#""way":"forward""#)
            .then_some(())
            .ok_or_else(|| last.to_owned())
    })
    .await;
    let denied = guarded
        .ask(call(session, "weather_generated_1", &json!({"really": true})))
        .await;
    assert_eq!(denied.status, 200, "{denied:?}");
    assert_eq!(denied.message()["error"]["code"], -31011, "{denied:?}");
    assert_eq!(denied.message()["error"]["message"], "Not that one", "{denied:?}");
}

/// What the processor logged.
fn log(namespace: &str) -> String {
    let pods = std::fs::read_dir(folder().join("pods")).expect("the cluster has pods");
    let own = pods.flatten().map(|pod| pod.path()).find(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("envoy-gateway-system_envoy-") && name.contains(namespace)
    });
    let log = own.map(|pod| std::fs::read_to_string(pod.join("mcp-manifold.log")));
    log.and_then(Result::ok).unwrap_or_default()
}

async fn transparent(guarded: &Guarded) {
    for path in ["/search", "/opaque"] {
        let nobody = guarded.send(begin().path(path)).await;
        assert_eq!(nobody.status, 401, "{path}: {nobody:?}");
        let begun = guarded.ask(begin().path(path)).await;
        assert_eq!(begun.status, 200, "{path}: {begun:?}");
        let session = begun.header("mcp-session-id").expect("the server's own session");
        assert!(!session.starts_with("mp1."), "{path}: {session}");
        let called = guarded.ask(call(session, "generated_0", &json!({})).path(path)).await;
        assert!(called.message()["result"].is_object(), "{path}: {called:?}");
    }
}

async fn before_the_processor(guarded: &Guarded) {
    let denied = guarded.send_from("203.0.113.9", guarded.signed(begin())).await;
    assert_eq!(denied.status, 403, "ipFilter: {denied:?}");
    let preflight = Request::bare("OPTIONS")
        .with("origin", "https://app.example.test")
        .with("access-control-request-method", "POST");
    let answered = guarded.send(preflight.clone()).await;
    let allowed = |response: &Response| response.header("access-control-allow-origin").map(str::to_owned);
    assert_eq!(
        allowed(&answered).as_deref(),
        Some("https://app.example.test"),
        "{answered:?}"
    );
    let foreign = preflight.with("origin", "https://evil.example.test");
    assert_eq!(allowed(&guarded.send(foreign).await), None);
    let page = begin().with("origin", "https://app.example.test");
    let exposed = guarded.ask(page).await;
    let exposed = exposed
        .header("access-control-expose-headers")
        .unwrap_or_default()
        .to_owned();
    assert!(exposed.contains("mcp-session-id"), "{exposed}");
    // The processor answers ping: what it answers is counted too.
    let ping = || Request::post(rpc(1, "ping", &json!({})));
    let mut codes = Vec::new();
    while codes.len() < 30 && codes.last() != Some(&429) {
        // Both ways in have one bucket.
        let way = if codes.len().is_multiple_of(2) {
            "/mcp"
        } else {
            "/search"
        };
        codes.push(
            guarded
                .send_from("192.0.2.7", guarded.signed(ping().path(way)))
                .await
                .status,
        );
    }
    assert_eq!((codes.len(), codes.last()), (26, Some(&429)), "{codes:?}");
    let long = ping().with("x-long", &"a".repeat(20_000));
    assert_eq!(guarded.ask(long).await.status, 431, "limits.headers");
    assert_eq!(guarded.ask(ping()).await.status, 200, "others are not limited");
}

/// With everything that only the processor should know.
async fn no_way_around(guarded: &Guarded, session: &str) {
    let namespace = &guarded.namespace.name;
    let route = get("httproute", namespace, "gateway-upstream.weather").await;
    let headers = route["spec"]["rules"][0]["matches"][0]["headers"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let key = headers.iter().find(|header| header["name"] == "x-mcp-route-key");
    let key = key
        .and_then(|header| header["value"].as_str())
        .expect("the route asks for it");
    assert!(
        key.len() >= 16 && !key.contains("REPLACE"),
        "--with-secrets fills it in"
    );
    let server = service(namespace, "weather").await;
    let before = seen(server, "tools/call").await;
    for authorization in [None, Some(guarded.token(now() + 60))] {
        let forged = call(session, "generated_0", &json!({}))
            .with("x-mcp-upstream", "weather")
            .with("x-mcp-route-key", key);
        let forged = match &authorization {
            Some(token) => forged.with("authorization", token),
            None => forged,
        };
        let response = guarded.send(forged).await;
        let refused = response.status == 401 || response.message()["error"]["code"] == -32602;
        assert!(refused, "{response:?}");
    }
    assert_eq!(seen(server, "tools/call").await, before, "nothing reached the server");
}

#[tokio::test]
async fn every_object_that_can_be_rendered_is_one_the_api_server_takes() {
    let namespace = Namespace::new("of-file-kinds").await;
    let text = include_str!("../fixtures/kube/of-file/objects.yaml");
    let text = text.replace("namespace: infra\n", &format!("namespace: {}\n", namespace.name));
    let arguments = [
        "apply",
        "--server-side",
        "--dry-run=server",
        "--validate=strict",
        "-f",
        "-",
    ];
    let said = kubectl_with(&arguments, &text).await;
    assert!(said.success && !said.err.contains("Warning"), "{}", said.err);
}
