//! What does it cost a call that its upstream is told of its caller? Beside a plain one: a header with a claim, and a token
//! that was exchanged before.

mod endpoint;

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use mcp_manifold::edge::delegation::{Delegations, Look};
use mcp_manifold::engine::catalog::{Item, Kind};
use mcp_manifold::engine::config::{Confidential, Config, Upstream, file};
use mcp_manifold::engine::exchange::step::{Command, Question, Reply};
use mcp_manifold::engine::exchange::{
    BodyMode, BodyModes, Event, Exchange, Finding, Message, RequestHead, ResponseHead,
};
use mcp_manifold::engine::mcp::Version;
use mcp_manifold::engine::mcp::capabilities::ClientFlags;
use mcp_manifold::engine::policy::{self, Callers};
use mcp_manifold::engine::session::{self, Binding, SessionKey, Timestamp};
use mcp_manifold::engine::snapshot::Snapshot;
use mcp_manifold::engine::snapshot::fold::{EndpointSettings, Folder, UpstreamInput};
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Runtime;

const NOW: Timestamp = Timestamp(1_790_000_000_000);
const MODES: BodyModes = BodyModes {
    request: BodyMode::FullDuplex,
    response: BodyMode::None,
};
const CLAIMS: &str = r#"{"iss":"i","sub":"alice","aud":"a","exp":4102444800,"email":"alice@example.com"}"#;

criterion_group!(benches, call);
criterion_main!(benches);

fn call(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let gateway = Gateway::new(&runtime);
    let mut group = criterion.benchmark_group("what does it cost a call that its caller is told");
    for (name, tool, expected) in [
        ("plain", "plain_echo", None),
        ("a header with a claim", "claims_echo", Some(("x-user", "alice"))),
        (
            "a token exchanged before",
            "exchanged_echo",
            Some(("authorization", "Bearer made")),
        ),
    ] {
        let asked = gateway.play(gateway.events(tool));
        let said = expected.map(|(name, value)| (name.to_owned(), Bytes::from(value)));
        assert!(said.is_none_or(|said| asked.contains(&said)), "{name}: {asked:?}");
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || gateway.events(tool),
                |events| black_box(gateway.play(events)),
                criterion::BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

/// Three upstreams, a session of one caller, and whoever has its credentials.
struct Gateway {
    snapshot: Arc<Snapshot>,
    session: String,
    delegations: Delegations,
}

impl Gateway {
    fn new(runtime: &Runtime) -> Self {
        let config = config(runtime.block_on(token_endpoint()));
        let callers = config.authentication.as_ref().expect("given");
        let callers = Callers::new(callers, "http://gateway/mcp", &policy::Credentials::default());
        let settings = EndpointSettings {
            callers: Some(Arc::new(callers)),
            ..endpoint::settings(Arc::clone(&config))
        };
        let inputs: Vec<UpstreamInput> = config.upstreams.iter().map(input).collect();
        let (endpoint, _) = Folder::default().fold(&settings, &inputs);
        let alice = policy::Identity {
            principal: Some("i|alice".into()),
            ..policy::Identity::default()
        };
        let session = endpoint.keys.sign(&session::Claims {
            flags: ClientFlags::default(),
            version: Version::V2025_11_25,
            endpoint: endpoint.hash,
            key: SessionKey(42),
            expires: Timestamp(NOW.0 + 86_400_000),
            principal: alice.hash(),
        });
        let resolve = Arc::new(|_: &_| Some(Confidential("secret".into())));
        let gateway = Self {
            snapshot: Arc::new(Snapshot {
                generation: 1,
                endpoints: vec![endpoint],
            }),
            session,
            delegations: Delegations::new(runtime.handle().clone(), resolve),
        };
        // Made once: every call finds it there.
        let mut exchange = gateway.exchange();
        for event in gateway.events("exchanged_echo") {
            for command in exchange.handle(event, NOW).commands {
                if let Command::Ask(Question::Delegate(errand)) = command
                    && let Look::Later(later) = gateway.delegations.find(errand)
                {
                    runtime.block_on(later).expect("a token");
                }
            }
        }
        gateway
    }

    fn exchange(&self) -> Exchange {
        Exchange::new(Arc::clone(&self.snapshot), MODES, 7, NOW)
    }

    fn events(&self, tool: &str) -> Vec<Event> {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{{"name":"{tool}","arguments":{{}}}}}}"#
        );
        let headers = [
            (":method", "POST"),
            (":authority", "127.0.0.1:8001"),
            (":path", "/mcp"),
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
            ("authorization", "Bearer of.alice.signature"),
            ("mcp-session-id", &self.session),
            ("mcp-protocol-version", "2025-11-25"),
        ];
        let head = RequestHead {
            headers: headers.into_iter().collect(),
            claims: Some(serde_json::from_str(CLAIMS).expect("claims")),
            ..RequestHead::default()
        };
        let response = ResponseHead {
            headers: [(":status", "200"), ("content-type", "application/json")]
                .into_iter()
                .collect(),
            end: false,
            code_details: Some("via_upstream".into()),
        };
        vec![
            Event::Envoy(Message::RequestHeaders(head)),
            Event::Envoy(Message::RequestBody {
                chunk: body.into(),
                end: true,
            }),
            Event::Envoy(Message::ResponseHeaders(response)),
        ]
    }

    /// The whole exchange; the headers that go to the upstream.
    fn play(&self, events: Vec<Event>) -> Vec<(String, Bytes)> {
        let (mut exchange, mut sent) = (self.exchange(), Vec::new());
        for event in events {
            let mut next = Some(event);
            while let Some(event) = next.take() {
                let step = exchange.handle(event, NOW);
                for reply in &step.replies {
                    if let Reply::RequestHeaders(work) = reply {
                        sent.extend(work.set.iter().map(|(name, value)| (name.to_string(), value.clone())));
                    }
                }
                next = step.commands.into_iter().find_map(|command| {
                    let Command::Ask(question) = command else { return None };
                    Some(Event::Finding(self.finding(question)))
                });
            }
        }
        sent
    }

    fn finding(&self, question: Question) -> Finding {
        if let Question::Delegate(errand) = question {
            return match self.delegations.find(errand) {
                Look::Now(found) => Finding::Delegated(found),
                Look::Later(_) => panic!("it is known"),
            };
        }
        assert!(
            matches!(question, Question::Bind { .. }),
            "not asked of a call: {question:?}"
        );
        Finding::Bound(Binding {
            id: Some("7c4fd5f8-7c15-4f39-8cc0-605cedc83500".into()),
            ..Binding::stateless(Version::V2025_11_25)
        })
    }
}

/// A token endpoint that makes the same for everybody; its port.
async fn token_endpoint() -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 8192]).await;
            let body = r#"{"access_token":"made","token_type":"Bearer","expires_in":3600}"#;
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    port
}

fn config(port: u16) -> Arc<Config> {
    let exchange = format!("tokenUrl: 'http://127.0.0.1:{port}/', clientId: g, clientSecret: {{env: X}}");
    let text = format!(
        "authentication: {{jwt: [{{issuer: i, audiences: [a], jwks: {{file: k}}}}]}}\nupstreams:\n\
         - {{name: plain, url: 'http://a/'}}\n\
         - {{name: claims, url: 'http://a/', headers: {{x-user: '{{claims.sub}}'}}}}\n\
         - {{name: exchanged, url: 'http://a/', credential: {{exchange: {{{exchange}}}}}}}\n"
    );
    Arc::new(file::parse(&text, Path::new("/"), Path::new("/")).expect("valid"))
}

fn input(config: &Upstream) -> UpstreamInput {
    let tool = r#"{"name":"echo","description":"Says it again","inputSchema":{"type":"object"}}"#;
    endpoint::input(config, Item::read(Kind::Tools, tool).into_iter().collect())
}
