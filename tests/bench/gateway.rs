//! A gateway in memory for the engine's benches: two upstreams of 20 tools, a session tied to them, and the exchanges
//! that a client has with it.

#[path = "endpoint.rs"]
mod endpoint;

use bytes::Bytes;
use mcp_manifold::edge::store::MemoryViews;
use mcp_manifold::engine::catalog::{Item, Kind};
use mcp_manifold::engine::config::{Issuer, Upstream, file};
use mcp_manifold::engine::exchange::record::Way;
use mcp_manifold::engine::exchange::step::Question;
use mcp_manifold::engine::exchange::{
    BodyMode, BodyModes, Command, Event, Exchange, Finding, Message, Record, RequestHead, ResponseHead,
};
use mcp_manifold::engine::mcp::Version;
use mcp_manifold::engine::mcp::capabilities::ClientFlags;
use mcp_manifold::engine::policy::{Callers, Claims as Payload, Credentials, Identity, Standing};
use mcp_manifold::engine::session::{Binding, Claims, SessionKey, Timestamp};
use mcp_manifold::engine::snapshot::Snapshot;
use mcp_manifold::engine::snapshot::fold::{EndpointSettings, Folder, UpstreamInput};
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

pub(crate) const NOW: Timestamp = Timestamp(1_790_000_000_000);
const EXPIRES: Timestamp = Timestamp(NOW.0 + 86_400_000);
const TOOLS: usize = 20;
const ENTROPY: u128 = 7;
/// As the reference configurations have it.
const MODES: BodyModes = BodyModes {
    request: BodyMode::FullDuplex,
    response: BodyMode::None,
};

/// What a client asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Story {
    Initialize,
    ToolsList,
    ToolsCall,
    Ping,
}

impl Story {
    pub(crate) const ALL: [Self; 4] = [Self::Initialize, Self::ToolsList, Self::ToolsCall, Self::Ping];

    pub(crate) const fn method(self) -> &'static str {
        match self {
            Self::Initialize => "initialize",
            Self::ToolsList => "tools/list",
            Self::ToolsCall => "tools/call",
            Self::Ping => "ping",
        }
    }

    pub(crate) const fn body(self) -> &'static str {
        match self {
            Self::Initialize => {
                r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"example-client","version":"1.0.0"}}}"#
            }
            Self::ToolsList => r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}"#,
            Self::ToolsCall => {
                r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"two_tool_7","arguments":{"city":"Lisbon"}}}"#
            }
            Self::Ping => r#"{"jsonrpc":"2.0","id":3,"method":"ping"}"#,
        }
    }

    const fn way(self) -> Way {
        match self {
            Self::Initialize | Self::ToolsList | Self::Ping => Way::Answer,
            Self::ToolsCall => Way::Forward,
        }
    }
}

/// What stands around the servers, and what the caller shows.
#[allow(dead_code, reason = "each bench takes what it needs")]
pub(crate) struct Guard {
    /// Of the configuration.
    pub(crate) sections: String,
    /// What the files say that it names.
    pub(crate) credentials: Credentials,
    /// What the token says that Envoy has verified; empty: there is none.
    pub(crate) claims: Payload,
    /// Whose the session is.
    pub(crate) principal: Option<Arc<str>>,
    /// The caller's headers besides those that every request has.
    pub(crate) headers: Vec<(&'static str, String)>,
    /// What each upstream lists.
    pub(crate) tools: Vec<usize>,
    /// How many tools the caller sees of both.
    pub(crate) listed: usize,
}

impl Default for Guard {
    fn default() -> Self {
        Self {
            sections: String::new(),
            credentials: Credentials::default(),
            claims: Payload::new(),
            principal: None,
            headers: Vec::new(),
            tools: (0..TOOLS).collect(),
            listed: 2 * TOOLS,
        }
    }
}

/// The snapshot and one session.
pub(crate) struct Gateway {
    pub(crate) snapshot: Arc<Snapshot>,
    session: String,
    headers: Vec<(&'static str, String)>,
    tie: Binding,
}

impl Gateway {
    pub(crate) fn new() -> Self {
        Self::guarded(&Guard::default())
    }

    pub(crate) fn guarded(guard: &Guard) -> Self {
        let settings = settings(guard);
        let upstreams = settings.config.upstreams.iter();
        let inputs: Vec<UpstreamInput> = upstreams.map(|upstream| input(upstream, &guard.tools)).collect();
        let (endpoint, warnings) = Folder::default().fold(&settings, &inputs);
        assert!(warnings.is_empty(), "{warnings:?}");
        let session = endpoint.keys.sign(&Claims {
            flags: ClientFlags::default(),
            version: Version::V2025_11_25,
            endpoint: endpoint.hash,
            key: SessionKey(42),
            expires: EXPIRES,
            principal: identity(guard).hash(),
        });
        Self {
            session,
            headers: guard.headers.clone(),
            tie: Binding {
                id: Some("7c4fd5f8-7c15-4f39-8cc0-605cedc83500".into()),
                ..Binding::stateless(Version::V2025_11_25)
            },
            snapshot: Arc::new(Snapshot {
                generation: 1,
                endpoints: vec![endpoint],
            }),
        }
    }

    /// The request as Envoy passes on what a client sent.
    pub(crate) fn request_headers(&self, story: Story) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            (":method", "POST".to_owned()),
            (":authority", "127.0.0.1:8001".to_owned()),
            (":scheme", "http".to_owned()),
            (":path", "/mcp".to_owned()),
            ("content-type", "application/json".to_owned()),
            ("accept", "application/json, text/event-stream".to_owned()),
            ("user-agent", "example-client/1.0.0".to_owned()),
            ("content-length", story.body().len().to_string()),
            ("x-forwarded-proto", "http".to_owned()),
            ("x-request-id", "e9a41c0e-5e0f-4b3c-9d3e-5a3e0a6a4a55".to_owned()),
        ];
        if story != Story::Initialize {
            headers.push(("mcp-session-id", self.session.clone()));
            headers.push(("mcp-protocol-version", "2025-11-25".to_owned()));
        }
        headers.extend_from_slice(&self.headers);
        headers
    }

    /// What Envoy says in the course of the exchange.
    pub(crate) fn events(&self, story: Story) -> Vec<Event> {
        let head = RequestHead {
            headers: self.request_headers(story).into_iter().collect(),
            end: false,
            source: Some("127.0.0.1:40312".into()),
            route: None,
            ..RequestHead::default()
        };
        let chunk = Bytes::from(story.body().as_bytes().to_vec());
        let mut events = vec![
            Event::Envoy(Message::RequestHeaders(head)),
            Event::Envoy(Message::RequestBody { chunk, end: true }),
        ];
        if story.way() == Way::Forward {
            let head = ResponseHead {
                headers: response_headers().into_iter().collect(),
                end: false,
                code_details: Some("via_upstream".into()),
            };
            events.push(Event::Envoy(Message::ResponseHeaders(head)));
        }
        events
    }

    /// The whole exchange, what the session map knows included.
    pub(crate) fn play(&self, events: Vec<Event>) -> Record {
        let mut exchange = Exchange::new(Arc::clone(&self.snapshot), MODES, ENTROPY, NOW);
        for event in events {
            let mut next = Some(event);
            while let Some(event) = next.take() {
                let step = black_box(exchange.handle(event, NOW));
                next = step.commands.iter().find_map(|command| self.carry_out(command));
            }
        }
        exchange.finish()
    }

    fn carry_out(&self, command: &Command) -> Option<Event> {
        match command {
            Command::Ask(question) => Some(Event::Finding(self.finding(question))),
            Command::Resume(_) => Some(Event::Finding(Finding::NotParked)),
            Command::Call(_)
            | Command::Attend(_)
            | Command::CancelCall
            | Command::OutliveCall
            | Command::Park(..)
            | Command::Listen(_)
            | Command::Notify(_)
            | Command::Subscribe { .. }
            | Command::Arm(_)
            | Command::Disarm
            | Command::Expect { .. }
            | Command::Watch { .. } => None,
        }
    }

    pub(crate) fn finding(&self, question: &Question) -> Finding {
        match question {
            Question::View(viewer) => Finding::Viewed(Arc::clone(&viewer.endpoint)),
            Question::Delegate(_) => Finding::Delegated(Err(mcp_manifold::engine::policy::delegate::Lack::NotKept)),
            Question::Compare(_) => Finding::Compared(mcp_manifold::engine::exchange::event::Compared::Fits),
            Question::Admit(_) => Finding::Admitted(None),
            Question::Hold(_) => Finding::Held,
            Question::Recall(_) | Question::Start { .. } | Question::SetLevel { .. } => Finding::Live,
            Question::Introduce(_) => Finding::Introduced(Arc::default(), None),
            Question::Bind { .. } | Question::OneShot { .. } | Question::Borrow { .. } => {
                Finding::Bound(self.tie.clone())
            }
            Question::Recover { .. } | Question::Renew { .. } => Finding::StillThere,
            Question::End(_) => Finding::EndWritten(true),
            Question::Tell { .. } => Finding::Told(true),
        }
    }

    /// Panics where an exchange goes another way than its bench is about.
    pub(crate) fn check(&self) {
        for story in Story::ALL {
            let record = self.play(self.events(story));
            assert_eq!((record.way, record.status), (story.way(), 200), "{}", story.method());
        }
    }
}

/// The upstream's response as Envoy passes it on.
pub(crate) fn response_headers() -> Vec<(&'static str, String)> {
    let pairs = [
        (":status", "200"),
        ("content-type", "application/json"),
        ("content-length", "126"),
        ("mcp-session-id", "7c4fd5f8-7c15-4f39-8cc0-605cedc83500"),
        ("date", "Thu, 15 Oct 2026 10:00:00 GMT"),
        ("x-envoy-upstream-service-time", "1"),
    ];
    pairs.map(|(name, value)| (name, value.to_owned())).to_vec()
}

fn identity(guard: &Guard) -> Identity {
    Identity {
        principal: guard.principal.clone(),
        ..Identity::default()
    }
}

fn settings(guard: &Guard) -> EndpointSettings {
    let yaml = format!(
        "
upstreams:
  - {{ name: one, url: 'http://127.0.0.1:9001/mcp' }}
  - {{ name: two, url: 'http://127.0.0.1:9002/mcp', headers: {{ x-team: tools }} }}
{}",
        guard.sections
    );
    let config = file::parse(&yaml, Path::new("/"), Path::new("/state")).expect("the configuration is valid");
    let callers = config.authentication.as_ref();
    let callers = callers.map(|asked| {
        // Their keys have been fetched just now.
        let fresh = |issuer: &Issuer| (issuer.issuer.as_str().into(), Standing::default());
        let known = asked.jwt.iter().map(fresh).collect();
        Arc::new(Callers::new(asked, &config.public_url, &guard.credentials).knowing(&known))
    });
    EndpointSettings {
        callers,
        views: MemoryViews::make,
        ..endpoint::settings(Arc::new(config))
    }
}

fn input(config: &Upstream, tools: &[usize]) -> UpstreamInput {
    endpoint::input(config, tools.iter().copied().map(tool).collect())
}

/// About 250 bytes, as small real tools are.
fn tool(number: usize) -> Item {
    let description = format!("Looks up entry number {number} and says what is known of it");
    let properties = r#"{"city":{"type":"string","description":"Where to look"},"limit":{"type":"integer"}}"#;
    let schema = format!(r#"{{"type":"object","properties":{properties},"required":["city"]}}"#);
    let raw = format!(r#"{{"name":"tool_{number}","description":"{description}","inputSchema":{schema}}}"#);
    Item::read(Kind::Tools, &raw).expect("it has a name")
}
