//! Plays `tests/fixtures/exchange/*.txt` against the exchange. A reviewer reads the protocol there, not Rust.
//!
//! Blocks that begin with `=>` happen to the exchange, lines and blocks that begin with `<=` are what it wants done.
//! `TRANSCRIPTS=write` writes what the exchange does now into the files; read the difference before you keep it.
//! `$SESSION` stands for the id of a living session, `$INSPECTED` for one whose client takes requests.

use super::event::{CallEvent, Event, Finding, Message, Refusal, RequestHead, ResponseHead, UpstreamFailure};
use super::step::{Command, End, HeaderWork, Metadata, Notice, Question, Reply, Step};
use super::{BodyMode, BodyModes, Exchange};
use crate::engine::mcp::Version;
use crate::engine::mcp::capabilities::ClientFlags;
use crate::engine::session::{Binding, Claims, SessionKey, Timestamp};
use crate::engine::snapshot::{Snapshot, testing};
use bytes::Bytes;
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
        let event = stage.event(input);
        let step = stage.exchange().handle(event, NOW);
        out.push_str(&stage.show(&step));
    }
    out
}

/// The exchange of one transcript and what it was given.
struct Stage {
    snapshot: Arc<Snapshot>,
    modes: BodyModes,
    exchange: Option<Exchange>,
}

impl Stage {
    fn new() -> Self {
        Self {
            snapshot: testing::two_upstreams(),
            modes: BodyModes {
                request: BodyMode::FullDuplex,
                response: BodyMode::None,
            },
            exchange: None,
        }
    }

    fn given(&mut self, line: &str) {
        match line {
            "two upstreams" => self.snapshot = testing::two_upstreams(),
            "nothing listed" => self.snapshot = testing::mk_snapshot(&[testing::mk_upstream("github")]),
            "probing upstreams" => {
                let mk = |name| {
                    testing::mk_upstream(name)
                        .legacy(testing::mk_listing(&["a"]).stateless())
                        .probe()
                };
                self.snapshot = testing::mk_snapshot(&[mk("one"), mk("two")]);
            }
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
            "request body BUFFERED" => self.modes.request = BodyMode::Buffered,
            "request body STREAMED" => self.modes.request = BodyMode::Streamed,
            "request body NONE" => self.modes.request = BodyMode::None,
            "response body FULL_DUPLEX_STREAMED" => self.modes.response = BodyMode::FullDuplex,
            "response body BUFFERED" => self.modes.response = BodyMode::Buffered,
            other => panic!("unknown: given {other}"),
        }
    }

    fn exchange(&mut self) -> &mut Exchange {
        let (snapshot, modes) = (Arc::clone(&self.snapshot), self.modes);
        self.exchange
            .get_or_insert_with(|| Exchange::new(snapshot, modes, 7, NOW))
    }

    fn session(&self, flags: ClientFlags) -> String {
        let endpoint = &self.snapshot.endpoints[0];
        endpoint.keys.sign(&Claims {
            flags,
            version: Version::V2025_11_25,
            endpoint: endpoint.hash,
            key: SessionKey(42),
            expires: NOW.after(std::time::Duration::from_secs(60)),
            principal: 0,
        })
    }

    fn event(&self, block: &str) -> Event {
        let sampling = ClientFlags {
            sampling: true,
            ..ClientFlags::default()
        };
        let block = block
            .replace("$SESSION", &self.session(ClientFlags::default()))
            .replace("$INSPECTED", &self.session(sampling));
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
            "response-trailers" => Event::Envoy(Message::ResponseTrailers),
            "found" => Event::Finding(finding(&rest_of_line)),
            "call-head" => Event::Call(CallEvent::Head(response_head(rest, false))),
            // The blank line that ends an event is lost between blocks.
            "call-chunk" => Event::Call(CallEvent::Chunk(bytes(&format!("{rest}\n\n")))),
            "call-end" => Event::Call(CallEvent::End),
            "call-failed" => Event::Call(CallEvent::Failed(failure(rest_of_line[0]))),
            "timer" => Event::Timer,
            "no-room" => Event::NoRoom,
            "draining" => Event::Refused(Refusal::Draining),
            "too-many-streams" => Event::Refused(Refusal::TooManyStreams),
            "closed" => Event::Closed,
            other => panic!("unknown: => {other}"),
        }
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
        out.replace(&self.session(ClientFlags::default()), "$SESSION")
            .replace(&self.session(sampling), "$INSPECTED")
    }
}

// === reading ===

fn bytes(text: &str) -> Bytes {
    Bytes::from(text.to_owned())
}

fn headers(text: &str) -> Vec<(String, String)> {
    text.lines()
        .filter_map(|line| {
            line.split_at_checked(1)
                .and_then(|(mark, tail)| Some((mark, tail.split_once(':')?)))
        })
        .map(|(mark, (name, value))| (format!("{mark}{name}"), value.trim().to_owned()))
        .filter(|(name, _)| !name.starts_with('@'))
        .collect()
}

fn attribute(text: &str, name: &str) -> Option<Box<str>> {
    text.lines()
        .find_map(|line| line.strip_prefix('@')?.strip_prefix(name)?.strip_prefix(':'))
        .map(|value| value.trim().into())
}

/// A first line such as `POST /mcp`, then headers, then `@attributes`. Host and content-type are supplied.
fn request_head(text: &str, end: bool) -> RequestHead {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    let (method, path) = first.split_once(' ').expect("METHOD PATH");
    let mut all = headers(rest);
    for (name, value) in [(":authority", "127.0.0.1:8001"), ("content-type", "application/json")] {
        if all.iter().all(|(key, _)| key != name) {
            all.insert(0, (name.into(), value.into()));
        }
    }
    all.insert(0, (":path".into(), path.into()));
    all.insert(0, (":method".into(), method.into()));
    RequestHead {
        headers: all.into_iter().collect(),
        end,
        source: attribute(rest, "source.address"),
        route: None,
    }
}

/// A first line with the status, then headers, then `@attributes`.
fn response_head(text: &str, end: bool) -> ResponseHead {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    let mut all = headers(rest);
    all.insert(0, (":status".into(), first.into()));
    ResponseHead {
        headers: all.into_iter().collect(),
        end,
        code_details: attribute(rest, "response.code_details"),
    }
}

fn finding(words: &[&str]) -> Finding {
    match words {
        ["live"] => Finding::Live,
        ["ended"] => Finding::Ended,
        ["sessions-full"] => Finding::SessionsFull,
        ["bound", id, version] => Finding::Bound(binding(id, version)),
        ["reopened", id, version] => Finding::Reopened(binding(id, version)),
        ["still-there"] => Finding::StillThere,
        ["unbindable", why] => Finding::Unbindable(failure(why)),
        ["end-written"] => Finding::EndWritten(true),
        ["end-not-written"] => Finding::EndWritten(false),
        other => panic!("unknown: => found {other:?}"),
    }
}

fn binding(id: &str, version: &str) -> Binding {
    Binding {
        id: (id != "-").then(|| id.into()),
        version: Version::parse(version).expect("a version"),
    }
}

fn failure(word: &str) -> UpstreamFailure {
    match word {
        "unreachable" => UpstreamFailure::Unreachable,
        "timed-out" => UpstreamFailure::TimedOut,
        "unauthorized" => UpstreamFailure::Unauthorized,
        "garbage" => UpstreamFailure::Garbage,
        other => panic!("unknown failure {other}"),
    }
}

// === writing ===

fn show_reply(out: &mut String, reply: &Reply) {
    match reply {
        Reply::RequestHeaders(work) => show_work(out, "request-headers", work),
        Reply::RequestChunk { body, end } => show_body(out, "request-body", body, *end),
        Reply::RequestBuffered { headers, body } => {
            show_work(out, "request-body-buffered", headers);
            show_body(out, "  with body", body.as_ref().unwrap_or(&Bytes::new()), true);
        }
        Reply::RequestTrailers => out.push_str("<= request-trailers\n"),
        Reply::ResponseHeaders(work) => show_work(out, "response-headers", work),
        Reply::ResponseChunk { body, end } => show_body(out, "response-body", body, *end),
        Reply::ResponseTrailers => out.push_str("<= response-trailers\n"),
        Reply::Answer(answer) => {
            let _ = writeln!(out, "<= answer {} {}", answer.status, answer.details);
            show_headers(out, &answer.headers);
            show_metadata(out, answer.metadata.as_deref());
            let body = answer.body.concat();
            let _ = writeln!(out, "{}", String::from_utf8_lossy(&body));
        }
        Reply::StreamHead {
            status,
            headers,
            metadata,
        } => {
            let _ = writeln!(out, "<= stream {status}");
            show_headers(out, headers);
            show_metadata(out, metadata.as_deref());
        }
        Reply::StreamChunk { body, end } => show_body(out, "stream-body", body, *end),
    }
}

fn show_work(out: &mut String, kind: &str, work: &HeaderWork) {
    let _ = writeln!(out, "<= {kind}{}", if work.clear_route { " clear-route" } else { "" });
    for (name, value) in &work.set {
        let _ = writeln!(out, "   {name}: {}", String::from_utf8_lossy(value));
    }
    for name in &work.remove {
        let _ = writeln!(out, "   - {name}");
    }
    show_metadata(out, work.metadata.as_deref());
}

fn show_headers(out: &mut String, headers: &[(&'static str, Bytes)]) {
    for (name, value) in headers {
        let _ = writeln!(out, "   {name}: {}", String::from_utf8_lossy(value));
    }
}

fn show_metadata(out: &mut String, metadata: Option<&Metadata>) {
    let Some(metadata) = metadata else { return };
    let facts = [
        metadata.method.as_deref().map(|value| format!("method={value}")),
        metadata.id.as_deref().map(|value| format!("id={value}")),
        metadata.tool.as_deref().map(|value| format!("tool={value}")),
        metadata.upstream.as_deref().map(|value| format!("upstream={value}")),
        metadata.session.as_deref().map(|_| "session".to_owned()),
        metadata.era.map(|value| format!("era={value}")),
        metadata.answered.then(|| "answered".to_owned()),
    ];
    let facts: Vec<String> = facts.into_iter().flatten().collect();
    let _ = writeln!(out, "   metadata {}", facts.join(" "));
}

fn show_body(out: &mut String, kind: &str, body: &Bytes, end: bool) {
    let _ = writeln!(out, "<= {kind}{}", if end { " end" } else { "" });
    if !body.is_empty() {
        let _ = writeln!(out, "{}", String::from_utf8_lossy(body).trim_end());
    }
}

fn show_command(out: &mut String, command: &Command) {
    let _ = match command {
        Command::Ask(question) => writeln!(out, "<= ask {}", show_question(question)),
        Command::Call(call) => {
            let _ = writeln!(out, "<= call {} within {:?}", call.upstream, call.timeout);
            for (name, value) in &call.headers {
                let _ = writeln!(out, "   {name}: {}", String::from_utf8_lossy(value));
            }
            writeln!(out, "{}", String::from_utf8_lossy(&call.body))
        }
        Command::CancelCall => writeln!(out, "<= cancel-call"),
        Command::Notify(Notice::Close { upstream, binding }) => {
            writeln!(
                out,
                "<= notify close {upstream} {}",
                binding.id.as_deref().unwrap_or("-")
            )
        }
        Command::Notify(Notice::Level {
            upstream,
            binding,
            level,
        }) => {
            let id = binding.id.as_deref().unwrap_or("-");
            writeln!(out, "<= notify level {upstream} {id} {}", level.as_str())
        }
        Command::Notify(Notice::Cancelled { upstream, binding, id }) => {
            writeln!(
                out,
                "<= notify cancelled {upstream} {} id={id}",
                binding.id.as_deref().unwrap_or("-")
            )
        }
        Command::Arm(duration) => writeln!(out, "<= arm {duration:?}"),
        Command::Disarm => writeln!(out, "<= disarm"),
    };
}

fn show_question(question: &Question) -> String {
    match question {
        Question::Recall(session) => format!("recall {}", session.key.0),
        Question::Start { session, client } => {
            format!(
                "start {} capabilities={} info={}",
                session.key.0, client.capabilities, client.info
            )
        }
        Question::SetLevel { session, level } => format!("set-level {} {}", session.key.0, level.as_str()),
        Question::Bind { session, upstream } => format!("bind {} {upstream}", session.key.0),
        Question::OneShot { upstream, version } => format!("one-shot {upstream} {}", version.as_str()),
        Question::Recover {
            session,
            upstream,
            stale,
        } => {
            let session = session.map_or("-".to_owned(), |session| session.key.0.to_string());
            format!("recover {session} {upstream} {}", stale.id.as_deref().unwrap_or("-"))
        }
        Question::End(session) => format!("end {}", session.key.0),
    }
}
