//! The reply contract of the exchange alone, whatever comes: replies belong to messages received and stand in Envoy's
//! order, our own answer is the last word, nothing is done twice, nothing opened for one exchange is left open.
//!
//! The driver's own test of the contract sends raw messages; here the random choices are guided, so that sessions are
//! found lost, calls replayed and upstreams asked around in most of the runs.

mod world;

use super::{NOW, Stage};
use crate::engine::exchange::event::{Event, Message, Refusal, RequestHead};
use crate::engine::exchange::step::{End, Reply};
use crate::engine::mcp::capabilities::ClientFlags;
use bytes::Bytes;
use proptest::prelude::*;
use world::{Lot, World, mk_response};

const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"roots":{}}}"#;

/// Not a method: the client's response to an upstream.
const RESPONSE: &str = "response";

/// One request: HTTP method, headers beyond the usual, body.
#[derive(Clone, Debug)]
struct Ask {
    method: &'static str,
    session: u8,
    accept: Option<&'static str>,
    modern: bool,
    body: String,
}

/// A request and how things stand around it: any, or one of those that lead far.
fn scenes() -> impl Strategy<Value = (Ask, u8, bool)> {
    let ask = |session, modern, name: &str| Ask {
        method: "POST",
        session,
        accept: None,
        modern,
        body: format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{name}"{}{}}}}}"#,
            if modern { "," } else { "" },
            if modern { META } else { "" }
        ),
    };
    let inspected = ask(1, false, "github_search");
    let bridged = ask(0, true, "old_ask");
    prop_oneof![
        6 => (asks(), any::<u8>(), prop::bool::weighted(0.25)),
        1 => Just((inspected, INSPECTED, false)),
        1 => Just((bridged, BRIDGED, false)),
    ]
}

fn asks() -> impl Strategy<Value = Ask> {
    let calls = prop::sample::select(vec![
        ("tools/call", r#""name":"github_search""#),
        ("tools/call", r#""name":"files_read""#),
        ("tools/call", r#""name":"nobody""#),
        ("tools/call", r#""name":"old_ask""#),
        ("resources/read", r#""uri":"file:///b.txt""#),
        ("resources/read", r#""uri":"other://x""#),
        (
            "initialize",
            r#""protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{}"#,
        ),
        ("tools/list", ""),
        ("logging/setLevel", r#""level":"info""#),
        ("subscriptions/listen", r#""notifications":{"toolsListChanged":true}"#),
        ("resources/subscribe", r#""uri":"file:///b.txt""#),
        ("tools/call", r#""name":"a_x","task":{}"#),
        ("tasks/list", ""),
        ("tasks/get", r#""taskId":"mt:a:1""#),
        ("tasks/result", r#""taskId":"mt:b:1""#),
        ("notifications/cancelled", r#""requestId":1"#),
        (
            "notifications/progress",
            r#""progressToken":"mm:github:1","progress":1"#,
        ),
        ("no/method", ""),
        (RESPONSE, ""),
    ]);
    let methods = prop::sample::select(vec!["POST", "POST", "POST", "POST", "POST", "GET", "DELETE"]);
    let accepts = prop::sample::select(vec![None, None, Some("application/json"), Some("*/*")]);
    (methods, 0..4_u8, accepts, prop::bool::weighted(0.2), calls).prop_map(
        |(method, session, accept, modern, (name, params))| {
            let meta = if modern { META } else { "" };
            let gap = if modern && !params.is_empty() { "," } else { "" };
            let id = if name.starts_with("notifications/") {
                ""
            } else {
                r#""id":1,"#
            };
            let body = match name {
                RESPONSE => r#"{"jsonrpc":"2.0","id":"mm:github:1","result":{}}"#.to_owned(),
                _ => format!(r#"{{"jsonrpc":"2.0",{id}"method":"{name}","params":{{{params}{gap}{meta}}}}}"#),
            };
            Ask {
                method,
                session,
                accept,
                modern,
                body,
            }
        },
    )
}

impl Ask {
    /// The same request, with what it was asked for.
    fn again(&self, state: &str) -> Self {
        let more = format!(r#""requestState":"{state}","inputResponses":{{"input-1":{{"roots":[]}}}},"_meta""#);
        Self {
            body: self.body.replacen(r#""_meta""#, &more, 1),
            ..self.clone()
        }
    }

    fn head(&self, stage: &Stage) -> RequestHead {
        let mut headers: Vec<(&str, Vec<u8>)> = vec![
            (":method", self.method.into()),
            (":path", "/mcp".into()),
            (":authority", "localhost".into()),
            ("content-type", "application/json".into()),
        ];
        let id = match self.session {
            0 => None,
            1 => Some(stage.session(ClientFlags {
                sampling: true,
                ..ClientFlags::default()
            })),
            _ => Some(stage.session(ClientFlags::default())),
        };
        headers.extend(id.map(|id| ("mcp-session-id", id.into_bytes())));
        headers.extend(self.accept.map(|accept| ("accept", accept.into())));
        if self.modern {
            headers.push(("mcp-protocol-version", "2026-07-28".into()));
            let text = |name: &str| {
                let (_, rest) = self.body.split_once(&format!(r#""{name}":""#))?;
                rest.split_once('"').map(|(value, _)| value.as_bytes().to_vec())
            };
            headers.extend(text("method").map(|value| ("mcp-method", value)));
            headers.extend(
                text("name")
                    .or_else(|| text("uri"))
                    .or_else(|| text("taskId"))
                    .map(|value| ("mcp-name", value)),
            );
        }
        RequestHead {
            headers: headers.into_iter().collect(),
            ..RequestHead::default()
        }
    }
}

/// Of an answer that Envoy shows us.
const PIECES: [&[u8]; 6] = [
    b"{}",
    b"data: {\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"roots/list\"}\n\n",
    b"data: {\"jsonrpc\":\"2.0\",\"id\":9,\"met",
    b"hod\":\"roots/list\"}\r\n\r",
    b"\n: comment\n",
    b"",
];

fn piece(detail: u8) -> Message {
    Message::ResponseBody {
        chunk: Bytes::from_static(PIECES[usize::from(detail / 4) % PIECES.len()]),
        end: detail.is_multiple_of(8),
    }
}

/// The upstream, or Envoy in its place, answers a forward.
fn answered(world: &World, detail: u8) -> Option<Event> {
    let details = match detail % 8 {
        0 => "cluster_not_found",
        1 => "upstream_reset_before_response_started{connection_failure}",
        _ => "via_upstream",
    };
    let status = [200, 200, 200, 400, 404, 404, 503, 202][usize::from(detail / 32)];
    let media = if detail.is_multiple_of(3) {
        "application/json"
    } else {
        "text/event-stream"
    };
    let fits = world.forwarded && world.response_heads == 0 && !world.answered;
    fits.then(|| Event::Envoy(Message::ResponseHeaders(mk_response(status, media, Some(details)))))
}

/// What the exchange waits for.
fn awaited(world: &mut World, detail: u8) -> Option<Event> {
    if world.question.is_some() {
        return world.find(detail).map(Event::Finding);
    }
    if world.calling {
        return world.progress(detail).map(Event::Call);
    }
    if world.responding && !world.responded {
        return Some(Event::Envoy(piece(detail)));
    }
    answered(world, detail)
}

/// The next event: mostly what is waited for, sometimes what can happen now, sometimes what cannot.
fn next(world: &mut World, choice: u8, detail: u8) -> Option<Event> {
    if choice % 5 < 3
        && let Some(event) = awaited(world, detail)
    {
        return Some(event);
    }
    match choice % 14 {
        12 => world.expected.pop().map(|id| Event::Answered {
            message: Bytes::from_static(if detail.is_multiple_of(4) {
                br#"{"id":"mg:1","error":{"code":-1,"message":"no"}}"#
            } else {
                br#"{"id":"mg:1","result":{}}"#
            }),
            id,
        }),
        13 => (world.watched && detail.is_multiple_of(3)).then_some(Event::Cancelled),
        0..=3 => world.find(detail).map(Event::Finding),
        4..=6 if world.listening => world.hear_hub(detail).map(Event::Hub),
        4..=6 => world.progress(detail).map(Event::Call),
        7 | 8 => answered(world, detail),
        9 => Some(Event::Envoy(match detail % 4 {
            0 => Message::ResponseTrailers,
            1 => Message::RequestTrailers,
            _ => piece(detail),
        })),
        10 => world.armed.then(|| {
            world.armed = false;
            Event::Timer
        }),
        _ => Some(match detail % 8 {
            0 => Event::Closed,
            1 => Event::NoRoom,
            2 => Event::Envoy(Message::RequestBody {
                chunk: Bytes::new(),
                end: true,
            }),
            _ => return None,
        }),
    }
}

/// A wiring that shows the bodies of responses, before two upstreams.
const INSPECTED: u8 = 11;
/// The upstream is of another era than the client.
const BRIDGED: u8 = 7;

/// The wiring and the upstreams of one run.
fn staged(ask: &Ask, wiring: u8, probing: bool) -> Stage {
    let mut stage = Stage::new();
    match (probing, wiring % 7) {
        // Those of the era that the client is not of.
        (_, 0) if ask.modern => stage.given("a legacy upstream"),
        (_, 0) => stage.given("modern upstreams"),
        (true, _) => stage.given("probing upstreams"),
        (false, 1 | 2) => stage.given("two upstreams with tasks"),
        (false, 3) => stage.given("a direct upstream"),
        (false, 4) => stage.given("rate limits"),
        (false, _) => {}
    }
    match wiring % 5 {
        0 => stage.given("request body BUFFERED"),
        1 | 2 => stage.given("response body FULL_DUPLEX_STREAMED"),
        _ => {}
    }
    stage
}

fn play(ask: &Ask, wiring: u8, probing: bool, rest: &[(u8, u8)], retry: &[(u8, u8)]) {
    let mut stage = staged(ask, wiring, probing);
    let lot = play_one(&mut stage, ask, rest, None);
    if lot.is_some() {
        stage.exchange = None;
        stage.entropy += 1;
        let again = ask.again(&stage.state);
        play_one(&mut stage, &again, retry, lot);
    }
}

/// One exchange, from its request to its end; `lot`: what the one before has parked. What this one has parked.
fn play_one(stage: &mut Stage, ask: &Ask, rest: &[(u8, u8)], lot: Option<Lot>) -> Option<Lot> {
    let mut world = World {
        modern: ask.modern,
        lot,
        ..World::default()
    };
    let head = Event::Envoy(Message::RequestHeaders(ask.head(stage)));
    let body = Event::Envoy(Message::RequestBody {
        chunk: ask.body.clone().into(),
        end: true,
    });
    let mut seen_response = false;
    let events = [Some(head), Some(body)].into_iter().chain(rest.iter().map(|_| None));
    for (event, (choice, detail)) in events.zip([(0, 0), (0, 0)].iter().chain(rest)) {
        if world.over {
            break;
        }
        let Some(event) = event.or_else(|| next(&mut world, *choice, *detail)) else {
            continue;
        };
        if let Event::Envoy(message) = &event {
            if matches!(message, Message::ResponseHeaders(_)) && std::mem::replace(&mut seen_response, true) {
                continue;
            }
            world.told(message);
        }
        let left = matches!(event, Event::Closed);
        let crowded = matches!(event, Event::NoRoom) && !stage.exchange().decided();
        step(stage, &mut world, event);
        assert!(
            !crowded || world.over || stage.exchange().held() == 0,
            "what there is no room for is given up"
        );
        assert!(
            !world.over || left || world.decided,
            "a clean end before a decision lets the request pass"
        );
    }
    if !world.over {
        let step = stage.exchange().handle(Event::Closed, NOW);
        assert!(step.replies.is_empty(), "nobody hears them");
        world.take(step);
    }
    assert!(world.over);
    assert_eq!(
        world.one_shots,
        Vec::<String>::new(),
        "opened for this exchange and never closed"
    );
    assert_eq!(stage.exchange().held(), 0);
    // At most nine rounds with a modern upstream; else two upstreams, each in a new session once more.
    assert!(world.made <= 9, "made {} times", world.made);
    world.lot
}

/// One event, and the call that was parked where this exchange wants it.
fn step(stage: &mut Stage, world: &mut World, event: Event) {
    let step = stage.exchange().handle(event, NOW);
    for reply in &step.replies {
        stage.note(reply);
    }
    world.take(step);
    if let Some(found) = world.resumed() {
        world.take(stage.exchange().handle(Event::Finding(found), NOW));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn whatever_happens_the_contract_holds(
        (ask, wiring, probing) in scenes(),
        rest in prop::collection::vec((any::<u8>(), any::<u8>()), 0..24),
        retry in prop::collection::vec((any::<u8>(), any::<u8>()), 0..12),
    ) {
        play(&ask, wiring, probing, &rest, &retry);
    }

    #[test]
    fn whoever_is_not_let_in_hears_why(ask in asks(), streams in any::<bool>()) {
        let mut stage = Stage::new();
        let refusal = if streams { Refusal::TooManyStreams } else { Refusal::Draining };
        let step = stage.exchange().handle(Event::Refused(refusal), NOW);
        let [Reply::Answer(answer)] = step.replies.as_slice() else { panic!("{step:?}") };
        prop_assert_eq!(answer.status, 503);
        prop_assert_eq!(step.end, End::Done);
        let head = Event::Envoy(Message::RequestHeaders(ask.head(&stage)));
        let late = stage.exchange().handle(head, NOW);
        prop_assert!(late.replies.is_empty(), "all was said");
    }
}
