//! Plays `tests/fixtures/exchange/*.txt` against the exchange. A reviewer reads the protocol there, not Rust.
//!
//! Blocks that begin with `=>` happen to the exchange, lines and blocks that begin with `<=` are what it wants done.
//! `TRANSCRIPTS=write` writes what the exchange does now into the files; read the difference before you keep it.
//! `$SESSION` stands for the id of a living session, `$INSPECTED` for one whose client takes requests.

mod contract;
mod read;
mod show;
mod snapshots;

use super::event::{CallEvent, Event, Finding, HubEvent, Message, Refusal};
use super::step::{Command, End, Reply, Step};
use super::{BodyMode, BodyModes, Exchange, Parked};
use crate::engine::catalog::Catalog;
use crate::engine::mcp::Version;
use crate::engine::mcp::capabilities::ClientFlags;
use crate::engine::session::{Claims, SessionKey, Timestamp};
use crate::engine::snapshot::{Endpoint, Snapshot, UpstreamIndex, testing};
use read::{bytes, failure, finding, request_head, response_head};
use show::{show_command, show_reply};
use std::fmt::Write;
use std::sync::Arc;

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
            snapshot: Arc::clone(&snapshots::TWO),
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
            "two upstreams" => self.snapshot = Arc::clone(&snapshots::TWO),
            "one upstream with tasks" => self.snapshot = testing::mk_snapshot(&[testing::mk_tasks("a")]),
            "two upstreams with tasks" => {
                self.snapshot = testing::mk_snapshot(&[testing::mk_tasks("a"), testing::mk_tasks("b")]);
            }
            "a legacy upstream that names a mirrored parameter" => {
                self.snapshot = testing::mk_snapshot(&[testing::mk_mirroring("old")]);
            }
            "nothing listed" => self.snapshot = testing::mk_snapshot(&[testing::mk_upstream("github")]),
            "a legacy upstream" => self.snapshot = Arc::clone(&snapshots::LEGACY),
            "two endpoints on Envoy Gateway" => self.snapshot = Arc::clone(&snapshots::ROUTED),
            "probing upstreams" => self.snapshot = Arc::clone(&snapshots::PROBING),
            "rewriting upstreams" => self.snapshot = Arc::clone(&snapshots::REWRITING),
            "modern upstreams" => self.snapshot = Arc::clone(&snapshots::MODERN),
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
            "rate limits" => self.snapshot = Arc::clone(&snapshots::LIMITED),
            "an upstream that is listed for each caller" => self.snapshot = Arc::clone(&snapshots::OWN),
            "policies" => self.snapshot = Arc::clone(&snapshots::GUARDED),
            "credentials of callers, and a session of i|alice" => {
                self.snapshot = Arc::clone(&snapshots::DELEGATED);
                let alice = crate::engine::policy::Identity {
                    principal: Some("i|alice".into()),
                    ..crate::engine::policy::Identity::default()
                };
                self.principal = alice.hash();
            }
            "a transparent path" => self.snapshot = snapshots::transparent(false),
            "an opaque path" => self.snapshot = snapshots::transparent(true),
            "a direct upstream" => self.snapshot = Arc::clone(&snapshots::DIRECT),
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
