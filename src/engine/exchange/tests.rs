//! Plays `tests/fixtures/exchange/*.txt` against the exchange. A reviewer reads the protocol there, not Rust.
//!
//! Blocks that begin with `=>` happen to the exchange, lines and blocks that begin with `<=` are what it wants done.
//! `TRANSCRIPTS=write` writes what the exchange does now into the files; read the difference before you keep it.
//! `$SESSION` stands for the id of a living session, `$INSPECTED` for one whose client takes requests.

mod contract;
mod read;
mod show;

use super::event::{CallEvent, Event, Finding, HubEvent, Message, Refusal};
use super::step::{Command, End, Reply, Step};
use super::{BodyMode, BodyModes, Exchange, Parked};
use crate::engine::catalog::{Catalog, Item, Kind};
use crate::engine::config::Transparent;
use crate::engine::config::credential_files::ApiKey;
use crate::engine::mcp::Version;
use crate::engine::mcp::capabilities::ClientFlags;
use crate::engine::policy::{Callers, Credentials};
use crate::engine::session::{Claims, SessionKey, Timestamp};
use crate::engine::snapshot::fold::Folder;
use crate::engine::snapshot::{Endpoint, Routing, Snapshot, UpstreamIndex, testing};
use read::{bytes, failure, finding, request_head, response_head};
use sha2::{Digest, Sha256};
use show::{show_command, show_reply};
use std::fmt::Write;
use std::sync::{Arc, LazyLock};

/// Folded once: the contract plays thousands of times.
static TWO: LazyLock<Arc<Snapshot>> = LazyLock::new(testing::two_upstreams);
static PROBING: LazyLock<Arc<Snapshot>> = LazyLock::new(|| {
    let mk = |name| {
        let listing = testing::mk_listing(&["a"]).stateless();
        testing::mk_upstream(name).legacy(listing).probe()
    };
    testing::mk_snapshot(&[mk("one"), mk("two")])
});
static DIRECT: LazyLock<Arc<Snapshot>> = LazyLock::new(|| {
    let github = testing::mk_upstream("github")
        .direct()
        .credential(Some("Bearer secret"))
        .config(|config| config.headers = vec![("x-team".into(), "tools".into())])
        .legacy(testing::mk_listing(&["search"]))
        .modern(testing::mk_modern(&["search"]));
    testing::mk_snapshot(&[github, testing::mk_upstream("files")])
});
/// `github` with all there is, `files` without a prefix and with `resources.probe`, both of 2026-07-28 alone.
static MODERN: LazyLock<Arc<Snapshot>> = LazyLock::new(|| {
    let schema = r#"{"name":"locate","inputSchema":{"type":"object","properties":{"zone":{"type":"string","x-mcp-header":"Zone"}}}}"#;
    let github = testing::mk_modern(&["search"])
        .prompts(&["review"])
        .resources(&["github://readme"])
        .with(|listing| listing.tools.extend(Item::read(Kind::Tools, schema)));
    testing::mk_snapshot(&[
        testing::mk_upstream("github").modern(github).probe(),
        testing::mk_upstream("files")
            .modern(testing::mk_modern(&["read"]))
            .prefix("")
            .probe(),
    ])
});
/// `app` and `files` rewrite URIs and have one in common.
static REWRITING: LazyLock<Arc<Snapshot>> = LazyLock::new(|| {
    let shown = r#"{"name":"show","_meta":{"ui":{"resourceUri":"ui://page"},"ui/resourceUri":"ui:\/\/page"}}"#;
    let app = |listing: testing::ListingBuilder| {
        let listing = listing.resources(&["file:///a.txt"]).templates(&["note://{id}"]);
        listing.with(|listing| listing.tools.extend(Item::read(Kind::Tools, shown)))
    };
    let files = |listing: testing::ListingBuilder| listing.resources(&["file:///a.txt"]);
    testing::mk_snapshot(&[
        testing::mk_upstream("app")
            .legacy(app(testing::mk_listing(&[])))
            .modern(app(testing::mk_modern(&[])))
            .rewrite(),
        testing::mk_upstream("files")
            .legacy(files(testing::mk_listing(&[])).stateless())
            .modern(files(testing::mk_modern(&[])))
            .rewrite(),
    ])
});
static LEGACY: LazyLock<Arc<Snapshot>> = LazyLock::new(|| {
    let listing = testing::mk_listing(&["ask"]).prompts(&["say"]).resources(&["old://a"]);
    testing::mk_snapshot(&[testing::mk_upstream("old").legacy(listing)])
});
/// `mcp.example.com` with `github`, and everything below `example.org` with `files`, each on an HTTPRoute of its own.
static ROUTED: LazyLock<Arc<Snapshot>> = LazyLock::new(|| {
    let mut settings = testing::mk_settings();
    settings.routing = Routing::Route;
    let mut endpoint = |id: &str, host: &str, tools: &[&str]| {
        settings.id = id.into();
        settings.routes = vec![format!("team/mcp-{id}").into()];
        let config = Arc::make_mut(&mut settings.config);
        config.hosts = vec![host.into()];
        let upstream = testing::mk_upstream(id).legacy(testing::mk_listing(tools));
        let inputs = testing::mk_inputs(&[upstream]);
        Folder::default().fold(&settings, &inputs).0
    };
    Arc::new(Snapshot {
        generation: 1,
        endpoints: vec![
            endpoint("default", "mcp.example.com", &["search"]),
            endpoint("files", "*.example.org", &["read"]),
        ],
    })
});
/// Each caller may make two calls of a tool and three requests in all; `github_search` costs both calls.
static LIMITED: LazyLock<Arc<Snapshot>> = LazyLock::new(|| {
    let text = "rateLimits: [{name: calls, per: [ip, tool], limit: 2/min, cost: {github_search: 2}}, \
                {name: all, per: [session, method], limit: 3/min}]\nupstreams: [{name: a, url: 'http://a/'}]";
    let folder = std::path::Path::new("/");
    let limits = crate::engine::config::file::parse(text, folder, folder)
        .expect("valid")
        .rate_limits;
    let mut settings = testing::mk_settings();
    Arc::make_mut(&mut settings.config).rate_limits = limits;
    Arc::make_mut(&mut settings.config).limits.calls_per_session = Some(2);
    let upstream = testing::mk_upstream("github").legacy(testing::mk_listing(&["search"]));
    let inputs = testing::mk_inputs(&[upstream]);
    Arc::new(Snapshot {
        generation: 1,
        endpoints: vec![Folder::default().fold(&settings, &inputs).0],
    })
});
static GUARDED: LazyLock<Arc<Snapshot>> = LazyLock::new(|| {
    let text = "policies: {rules: [{name: no-deletes, deny: \"tool.name.endsWith('_delete')\"}, \
                {name: few-pages, deny: \"tool.name == 'github_search' && arguments.pages > 10\"}]}\n\
                upstreams: [{name: a, url: 'http://a/'}]";
    let folder = std::path::Path::new("/");
    let policies = crate::engine::config::file::parse(text, folder, folder)
        .expect("valid")
        .policies;
    let mut settings = testing::mk_settings();
    Arc::make_mut(&mut settings.config).policies = policies;
    let upstream = testing::mk_upstream("github").legacy(testing::mk_listing(&["search", "delete"]));
    let inputs = testing::mk_inputs(&[upstream]);
    testing::mk_alone(Folder::default().fold(&settings, &inputs).0)
});
/// What `github` and `direct` are called with is exchanged for the token of their caller; `key` is kept for each.
static DELEGATED: LazyLock<Arc<Snapshot>> = LazyLock::new(|| {
    let exchange = "exchange: {tokenUrl: 'https://idp.test/token', clientId: g, clientSecret: {env: X}}";
    let text = format!(
        "authentication: {{jwt: [{{issuer: i, audiences: [a], jwks: {{file: k}}}}]}}\nupstreams:\n\
         - {{name: github, url: 'http://a/', headers: {{x-user: '{{claims.sub}}'}}, credential: {{{exchange}}}}}\n\
         - {{name: key, url: 'http://a/', credential: {{perPrincipal: {{dir: keys}}}}}}"
    );
    let folder = std::path::Path::new("/");
    let config = crate::engine::config::file::parse(&text, folder, folder).expect("valid");
    let mut settings = testing::mk_settings();
    let authentication = config.authentication.as_ref().expect("given");
    let callers = crate::engine::policy::Callers::new(authentication, "http://gateway/mcp", &Default::default());
    settings.callers = Some(Arc::new(callers));
    let mk = |name: &str, like: usize| {
        let upstream = testing::mk_upstream(name).legacy(testing::mk_listing(&["search"]));
        upstream.config(|own| own.delegated = config.upstreams[like].delegated.clone())
    };
    let upstreams = [mk("github", 0), mk("direct", 0).direct(), mk("key", 1)];
    testing::mk_alone(Folder::default().fold(&settings, &testing::mk_inputs(&upstreams)).0)
});
/// `mine` shows every caller something else; `files` does not. Who has the key `the key` is `key:ci`.
static OWN: LazyLock<Arc<Snapshot>> = LazyLock::new(|| {
    let text = "authentication: {required: false, apiKeys: {header: x-api-key, file: keys.yaml}}\n\
                upstreams: [{name: mine, url: 'http://mine.test/mcp', listing: perPrincipal, \
                credential: {perPrincipal: {dir: keys}}}]";
    let folder = std::path::Path::new("/");
    let config = crate::engine::config::file::parse(text, folder, folder).expect("valid");
    let credentials = Credentials {
        keys: vec![ApiKey {
            name: "ci".into(),
            digest: Sha256::digest(b"the key").into(),
            roles: vec![],
        }],
        passwords: vec![],
    };
    let mut settings = testing::mk_settings();
    let authentication = config.authentication.expect("given");
    settings.callers = Some(Arc::new(Callers::new(
        &authentication,
        "http://127.0.0.1:8001/mcp",
        &credentials,
    )));
    let [mine] = <[_; 1]>::try_from(config.upstreams).expect("one");
    let mine = testing::mk_upstream("mine").config(|config| *config = mine);
    let files = testing::mk_upstream("files").legacy(testing::mk_listing(&["read"]));
    testing::mk_alone(Folder::default().fold(&settings, &testing::mk_inputs(&[mine, files])).0)
});
/// `/mcp` leads to `github`, which nobody lists.
fn transparent(opaque: bool) -> Arc<Snapshot> {
    let mut settings = testing::mk_settings();
    settings.transparent = Some(Arc::new(Transparent {
        path: "/mcp".into(),
        upstream: "github".into(),
        input_headers: vec!["x-tenant".into()],
        opaque,
    }));
    let upstream = testing::mk_upstream("github")
        .prefix("")
        .credential(Some("Bearer secret"));
    let upstream = upstream.config(|config| config.headers = vec![("x-team".into(), "tools".into())]);
    testing::mk_alone(Folder::default().fold(&settings, &testing::mk_inputs(&[upstream])).0)
}
const NOW: Timestamp = Timestamp(1_700_000_000_000);

#[test]
fn every_transcript_is_played_as_it_stands() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/exchange");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .expect("the folder")
        .map(|entry| entry.expect("entry").path())
        .collect();
    files.sort();
    assert!(files.len() > 10, "transcripts are missing");
    let mut wrong = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a transcript");
        let played = play(&text);
        if std::env::var("TRANSCRIPTS").as_deref() == Ok("write") {
            std::fs::write(&file, &played).expect("written");
        } else if played != text {
            wrong.push(format!("--- {}\n{}", file.display(), first_difference(&text, &played)));
        }
    }
    assert!(
        wrong.is_empty(),
        "the exchange does something else than the transcript says:\n{}",
        wrong.join("\n")
    );
}

fn first_difference(expected: &str, played: &str) -> String {
    let (mut expected, mut played) = (expected.lines(), played.lines());
    loop {
        match (expected.next(), played.next()) {
            (Some(left), Some(right)) if left == right => {}
            (left, right) => {
                return format!(
                    "expected: {}\nplayed:   {}",
                    left.unwrap_or("(end)"),
                    right.unwrap_or("(end)")
                );
            }
        }
    }
}

/// Plays the `=>` blocks of `text` and returns the whole transcript as it is now.
fn play(text: &str) -> String {
    let mut stage = Stage::new();
    let mut blocks = text.split("\n=> ");
    let preamble = blocks
        .next()
        .unwrap_or("")
        .lines()
        .take_while(|line| !line.starts_with("<= "))
        .collect::<Vec<_>>();
    for line in preamble.iter().filter_map(|line| line.strip_prefix("given ")) {
        stage.given(line);
    }
    let mut out = preamble.join("\n").trim_end().to_owned();
    out.push('\n');
    for block in blocks {
        let input: Vec<&str> = block.lines().take_while(|line| !line.starts_with("<= ")).collect();
        let input = input.join("\n");
        let input = input.trim_end();
        let _ = write!(out, "\n=> {input}\n");
        if let Some(seconds) = input.strip_prefix("later ") {
            let seconds = seconds.trim_end_matches('s').parse().expect("later 60s");
            stage.now = stage.now.after(std::time::Duration::from_secs(seconds));
            continue;
        }
        if input.trim_end() == "new-exchange" {
            stage.exchange = None;
            stage.entropy += 1;
            continue;
        }
        let event = stage.event(input);
        let now = stage.now;
        let step = stage.exchange().handle(event, now);
        out.push_str(&stage.show(&step));
        stage.keep(step);
    }
    out
}

/// The request state in `text`.
fn state_in(text: &str) -> Option<&str> {
    let start = text.find("\"mrs1.")? + 1;
    text.get(start..)?.split('"').next()
}

/// The exchange of one transcript and what it was given.
struct Stage {
    snapshot: Arc<Snapshot>,
    modes: BodyModes,
    now: Timestamp,
    entropy: u128,
    exchange: Option<Exchange>,
    /// Whose `$SESSION` is.
    principal: u64,
    /// What an exchange before has parked, and the state that its client got.
    parked: Option<Box<Parked>>,
    state: String,
}

impl Stage {
    fn new() -> Self {
        Self {
            snapshot: Arc::clone(&TWO),
            modes: BodyModes {
                request: BodyMode::FullDuplex,
                response: BodyMode::None,
            },
            now: NOW,
            entropy: 7,
            exchange: None,
            principal: 0,
            parked: None,
            state: String::new(),
        }
    }

    fn given(&mut self, line: &str) {
        match line {
            "two upstreams" => self.snapshot = Arc::clone(&TWO),
            "one upstream with tasks" => self.snapshot = testing::mk_snapshot(&[testing::mk_tasks("a")]),
            "two upstreams with tasks" => {
                self.snapshot = testing::mk_snapshot(&[testing::mk_tasks("a"), testing::mk_tasks("b")]);
            }
            "a legacy upstream that names a mirrored parameter" => {
                self.snapshot = testing::mk_snapshot(&[testing::mk_mirroring("old")]);
            }
            "nothing listed" => self.snapshot = testing::mk_snapshot(&[testing::mk_upstream("github")]),
            "a legacy upstream" => self.snapshot = Arc::clone(&LEGACY),
            "two endpoints on Envoy Gateway" => self.snapshot = Arc::clone(&ROUTED),
            "probing upstreams" => self.snapshot = Arc::clone(&PROBING),
            "rewriting upstreams" => self.snapshot = Arc::clone(&REWRITING),
            "modern upstreams" => self.snapshot = Arc::clone(&MODERN),
            "a missing secret" => {
                let upstream = testing::mk_upstream("github")
                    .legacy(testing::mk_listing(&["search"]))
                    .credential(None);
                self.snapshot = testing::mk_snapshot(&[upstream]);
            }
            "a disabled upstream" => {
                let upstream = testing::mk_upstream("github")
                    .legacy(testing::mk_listing(&["search"]))
                    .disabled();
                self.snapshot = testing::mk_snapshot(&[upstream, testing::mk_upstream("files")]);
            }
            "rate limits" => self.snapshot = Arc::clone(&LIMITED),
            "an upstream that is listed for each caller" => self.snapshot = Arc::clone(&OWN),
            "policies" => self.snapshot = Arc::clone(&GUARDED),
            "credentials of callers, and a session of i|alice" => {
                self.snapshot = Arc::clone(&DELEGATED);
                let alice = crate::engine::policy::Identity {
                    principal: Some("i|alice".into()),
                    ..crate::engine::policy::Identity::default()
                };
                self.principal = alice.hash();
            }
            "a transparent path" => self.snapshot = transparent(false),
            "an opaque path" => self.snapshot = transparent(true),
            "a direct upstream" => self.snapshot = Arc::clone(&DIRECT),
            "request body BUFFERED" => self.modes.request = BodyMode::Buffered,
            "request body STREAMED" => self.modes.request = BodyMode::Streamed,
            "request body NONE" => self.modes.request = BodyMode::None,
            "response body FULL_DUPLEX_STREAMED" => self.modes.response = BodyMode::FullDuplex,
            "response body BUFFERED" => self.modes.response = BodyMode::Buffered,
            other => panic!("unknown: given {other}"),
        }
    }

    fn exchange(&mut self) -> &mut Exchange {
        let (snapshot, modes, entropy) = (Arc::clone(&self.snapshot), self.modes, self.entropy);
        self.exchange
            .get_or_insert_with(|| Exchange::new(snapshot, modes, entropy, NOW))
    }

    fn session(&self, flags: ClientFlags) -> String {
        let endpoint = &self.snapshot.endpoints[0];
        endpoint.keys.sign(&Claims {
            flags,
            version: Version::V2025_11_25,
            endpoint: endpoint.hash,
            key: SessionKey(42),
            expires: NOW.after(std::time::Duration::from_secs(60)),
            principal: self.principal,
        })
    }

    /// Keeps what was parked, and the state that names it.
    fn keep(&mut self, step: Step) {
        for reply in &step.replies {
            self.note(reply);
        }
        for command in step.commands {
            if let Command::Park(_, parked) = command {
                self.parked = Some(parked);
            }
        }
    }

    /// Keeps the state that the client got, if it got one.
    fn note(&mut self, reply: &Reply) {
        let body = match reply {
            Reply::Answer(answer) => answer.body.concat(),
            Reply::StreamChunk { body, .. } => body.concat(),
            Reply::RequestHeaders(_)
            | Reply::RequestChunk { .. }
            | Reply::RequestBuffered { .. }
            | Reply::RequestTrailers
            | Reply::ResponseHeaders(_)
            | Reply::ResponseChunk { .. }
            | Reply::ResponseTrailers
            | Reply::StreamHead { .. } => return,
        };
        if let Some(state) = state_in(&String::from_utf8_lossy(&body)) {
            self.state = state.to_owned();
        }
    }

    fn event(&mut self, block: &str) -> Event {
        let sampling = ClientFlags {
            sampling: true,
            ..ClientFlags::default()
        };
        let block = block
            .replace("$SESSION", &self.session(ClientFlags::default()))
            .replace("$INSPECTED", &self.session(sampling))
            .replace("$STATE", &self.state);
        let (first, rest) = block.split_once('\n').unwrap_or((&block, ""));
        let mut words = first.split(' ');
        let (kind, rest_of_line): (&str, Vec<&str>) = (words.next().unwrap_or(""), words.collect());
        let end = rest_of_line.contains(&"end");
        match kind {
            "request-headers" => Event::Envoy(Message::RequestHeaders(request_head(rest, end))),
            "request-body" => Event::Envoy(Message::RequestBody {
                chunk: bytes(rest),
                end,
            }),
            "request-trailers" => Event::Envoy(Message::RequestTrailers),
            "response-headers" => Event::Envoy(Message::ResponseHeaders(response_head(rest, end))),
            "response-body" => Event::Envoy(Message::ResponseBody {
                chunk: bytes(rest),
                end,
            }),
            // The blank line that ends an event is lost between blocks.
            "response-event" => Event::Envoy(Message::ResponseBody {
                chunk: bytes(&format!("{rest}\n\n")),
                end,
            }),
            "response-trailers" => Event::Envoy(Message::ResponseTrailers),
            "found" if rest_of_line == ["resumed"] => {
                Event::Finding(Finding::Resumed(self.parked.take().expect("something was parked")))
            }
            "found" if rest_of_line.first() == Some(&"viewed") => {
                Event::Finding(Finding::Viewed(self.viewed(rest_of_line.get(1..).unwrap_or_default())))
            }
            "found" => Event::Finding(finding(&rest_of_line)),
            "call-head" => Event::Call(CallEvent::Head(response_head(rest, false))),
            "call-chunk" => Event::Call(CallEvent::Chunk(bytes(&format!("{rest}\n\n")))),
            "call-part" => Event::Call(CallEvent::Chunk(bytes(rest))),
            "call-pushed" => Event::Call(CallEvent::Pushed(bytes(rest))),
            "call-end" => Event::Call(CallEvent::End),
            "call-failed" => Event::Call(CallEvent::Failed(failure(rest_of_line[0]))),
            "hub-events" => Event::Hub(HubEvent::Events(vec![bytes(&format!("{rest}\n\n"))])),
            "hub-drained" => Event::Hub(HubEvent::Drained),
            "hub-over" => Event::Hub(HubEvent::Over),
            "answered" => Event::Answered {
                id: rest_of_line[0].into(),
                message: bytes(rest),
            },
            "cancelled" => Event::Cancelled,
            "timer" => Event::Timer,
            "no-room" => Event::NoRoom,
            "draining" => Event::Refused(Refusal::Draining),
            "too-many-streams" => Event::Refused(Refusal::TooManyStreams),
            "closed" => Event::Closed,
            other => panic!("unknown: => {other}"),
        }
    }

    /// The endpoint of a caller for whom its first upstream has listed these tools; none: it was not to be had.
    fn viewed(&self, tools: &[&str]) -> Arc<Endpoint> {
        let shared = &self.snapshot.endpoints[0];
        let listed = |index: &UpstreamIndex| {
            let catalog = Catalog {
                legacy: Some(testing::mk_listing(tools).into()),
                modern: None,
            };
            (*index, catalog)
        };
        let own = shared.listed_for_callers().iter().filter(|_| !tools.is_empty());
        let own = shared.of_caller(&own.map(listed).collect::<Vec<_>>(), 1);
        Arc::new(own.expect("somebody's own"))
    }

    fn show(&self, step: &Step) -> String {
        let mut out = String::new();
        for reply in &step.replies {
            show_reply(&mut out, reply);
        }
        for command in &step.commands {
            show_command(&mut out, command);
        }
        match step.end {
            End::Open => {}
            End::Done => out.push_str("<= done\n"),
            End::Abort => out.push_str("<= abort\n"),
        }
        let sampling = ClientFlags {
            sampling: true,
            ..ClientFlags::default()
        };
        let out = out
            .replace(&self.session(ClientFlags::default()), "$SESSION")
            .replace(&self.session(sampling), "$INSPECTED");
        match state_in(&out) {
            Some(state) => out.replace(state, "$STATE"),
            None => out,
        }
    }
}
