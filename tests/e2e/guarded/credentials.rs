//! What upstreams are told of their callers, whichever way a call takes, and what must never get out.

mod exchanged;
mod kept;
mod listed;
mod old;
mod shown;

use super::identity::issuer::Issuer;
use super::identity::{guarded, until_keys};
use crate::e2e::harness::client::{Request, initialize, modern, rpc};
use crate::e2e::harness::gateway::{Gateway, Setup};
use crate::e2e::harness::http::Response;
use crate::e2e::harness::puppet::{Act, Puppet, Seen};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const MODERN: &str = "2026-07-28";

/// One server for each way that a call can take: a forward, a call of the processor, a bridge to the modern era. A modern
/// client is bridged to the first two.
struct Ways {
    envoy: Puppet,
    direct: Puppet,
    modern: Puppet,
}

impl Ways {
    async fn start() -> Self {
        let modern = Puppet::start(&[]).await;
        modern.play(|seen| Some(in_modern(seen)));
        Self {
            envoy: Puppet::start(&["echo"]).await,
            direct: Puppet::start(&["echo"]).await,
            modern,
        }
    }

    /// The three as upstreams, each with these keys.
    fn add(&self, setup: Setup, keys: &str) -> Setup {
        setup
            .upstream_with("envoy", &self.envoy.url(), &format!("via: envoy, {keys}"))
            .upstream_with("direct", &self.direct.url(), &format!("via: direct, {keys}"))
            .upstream_with("modern", &self.modern.url(), keys)
    }

    fn all(&self) -> [&Puppet; 3] {
        [&self.envoy, &self.direct, &self.modern]
    }

    fn forget(&self) {
        for puppet in self.all() {
            puppet.forget_requests();
        }
    }
}

/// A server of 2026-07-28 with one tool.
fn in_modern(seen: &Seen) -> Act {
    let mut result = json!({"ttlMs": 0, "cacheScope": "private", "resultType": "complete"});
    match seen.method.as_str() {
        "server/discover" => {
            result["supportedVersions"] = json!([MODERN]);
            result["capabilities"] = json!({"tools": {}});
        }
        "tools/list" => result["tools"] = json!([{"name": "echo", "inputSchema": {"type": "object"}}]),
        "tools/call" => result["content"] = json!([{"type": "text", "text": "echo"}]),
        _ => return seen.error(400, -32022, "unsupported protocol version"),
    }
    seen.result(&result)
}

/// The gateway, once it lets the issuer's callers in and knows the tools of these upstreams.
async fn started(setup: Setup, issuer: &Issuer, upstreams: &[&str]) -> Gateway {
    let gateway = setup.up().await;
    until_keys(&gateway, &issuer.token("warm-up")).await;
    for name in upstreams {
        gateway
            .until_upstream(name, "listed", |upstream| upstream["tools"] == 1)
            .await;
    }
    gateway
}

/// Somebody who calls.
struct Visitor<'a> {
    gateway: &'a Gateway,
    name: &'a str,
    token: String,
}

impl<'a> Visitor<'a> {
    fn new(gateway: &'a Gateway, issuer: &Issuer, name: &'a str) -> Self {
        let mut claims = issuer.claims(name, super::identity::OWN);
        claims["email"] = json!(format!("{name}@example.com"));
        claims["crooked"] = json!("a\r\nx-user: root");
        Self {
            gateway,
            name,
            token: issuer.key.sign(&claims),
        }
    }

    fn authorization(&self) -> String {
        format!("Bearer {}", self.token)
    }

    fn arguments(&self, tool: &str) -> Value {
        json!({"name": tool, "arguments": {"who": self.name}})
    }

    /// With the visitor's token, and with headers that are not a client's to set.
    fn dressed(&self, request: Request) -> Request {
        request
            .with("authorization", &self.authorization())
            .with("x-user", "root")
            .with("x-key", "root")
            .with("x-mail", "root@example.com")
    }

    async fn send(&self, request: Request) -> Response {
        self.dressed(request).send(self.gateway.address).await
    }

    async fn begin(&self) -> String {
        let begun = self.send(initialize("2025-11-25", &json!({}))).await;
        assert_eq!(begun.status, 200, "{begun:?}");
        begun.header("mcp-session-id").expect("a session").to_owned()
    }

    /// A call in this session.
    async fn call(&self, session: &str, tool: &str) -> Response {
        let request = Request::post(rpc(7, "tools/call", &self.arguments(tool)));
        let request = request.session(session).with("mcp-protocol-version", "2025-11-25");
        self.send(request).await
    }

    /// The error code of a call in a session of its own.
    async fn refusal(&self, tool: &str) -> Value {
        let answer = self.call(&self.begin().await, tool).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.message()["error"].clone()
    }

    /// Calls every tool in every way, and ends.
    async fn tour(&self) {
        let session = self.begin().await;
        for tool in ["envoy_echo", "direct_echo", "modern_echo"] {
            for way in ["session", "again", "json", "one-shot", "modern"] {
                let legacy = Request::post(rpc(7, "tools/call", &self.arguments(tool)))
                    .with("mcp-protocol-version", "2025-11-25");
                let request = match way {
                    "json" => legacy.session(&session).with("accept", "application/json"),
                    "one-shot" => legacy,
                    "modern" => modern(7, "tools/call", &self.arguments(tool)),
                    _ => legacy.session(&session),
                };
                let answer = self.send(request).await;
                let text = &answer.message()["result"]["content"][0]["text"];
                assert_eq!(text, "echo", "{way} {tool}: {answer:?}");
            }
        }
        let ended = self.send(Request::bare("DELETE").session(&session)).await;
        assert_eq!(ended.status, 200, "{ended:?}");
    }
}

/// Every call that the puppet has seen, and all that went on in its sessions, spoke for the one who made it in `header`.
async fn assert_spoke(puppet: &Puppet, header: &str, expected: &BTreeMap<&str, String>) {
    let mut speakers: BTreeMap<String, String> = BTreeMap::new();
    let mut heard: BTreeSet<String> = BTreeSet::new();
    for call in puppet.posted("tools/call") {
        let who = call.json()["params"]["arguments"]["who"]
            .as_str()
            .expect("named")
            .to_owned();
        let all: Vec<_> = call.headers.iter().filter(|(name, _)| name == header).collect();
        assert_eq!(all.len(), 1, "{header} once: {call:?}");
        assert_eq!(call.header(header), Some(&*expected[&*who]), "{call:?}");
        heard.insert(who.clone());
        if let Some(session) = call.header("mcp-session-id") {
            let before = speakers.insert(session.to_owned(), who.clone());
            assert!(
                before.is_none_or(|before| before == who),
                "a session of two callers: {call:?}"
            );
        }
    }
    assert_eq!(heard.len(), expected.len(), "everybody has called");
    for seen in puppet.seen() {
        if let Some(who) = seen.header("mcp-session-id").and_then(|session| speakers.get(session)) {
            assert_eq!(seen.header(header), Some(&*expected[&**who]), "{seen:?}");
        }
        if seen.method == "initialize" && seen.text().contains("\"test\"") {
            let value = seen.header(header).unwrap_or_default();
            assert!(expected.values().any(|known| known == value), "{seen:?}");
        }
    }
    let ended = |seen: &[Seen]| {
        let ended: Vec<_> = seen.iter().filter(|seen| seen.verb == "DELETE").collect();
        speakers.is_empty() || ended.iter().any(|seen| seen.header(header).is_some())
    };
    puppet.until("a session has ended", ended).await;
}

/// None of it stands anywhere where people look.
async fn assert_hidden(gateway: &mut Gateway, secrets: &[&str]) {
    let mut shown = String::new();
    for path in ["/status", "/metrics", "/tools", "/"] {
        shown += &gateway.ask(path).await.text();
    }
    for program in &gateway.programs {
        shown += &program.output();
    }
    let mut folders = vec![gateway.setup.folder.path().join("state")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.is_file() {
                shown += &String::from_utf8_lossy(&std::fs::read(path).expect("readable"));
            }
        }
    }
    assert!(shown.contains("envoy"), "something was looked at");
    for secret in secrets {
        assert!(!shown.contains(secret), "{secret} is shown");
    }
}

/// What everybody's header is expected to be.
fn everybody(of: impl Fn(&str) -> String, names: [&str; 2]) -> BTreeMap<&str, String> {
    names.into_iter().map(|name| (name, of(name))).collect()
}
