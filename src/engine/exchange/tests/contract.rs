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
use world::{World, mk_response};

const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"roots":{}}}"#;

/// One request: HTTP method, headers beyond the usual, body.
#[derive(Clone, Debug)]
struct Ask {
    method: &'static str,
    session: u8,
    accept: Option<&'static str>,
    modern: bool,
    body: String,
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
        ("no/method", ""),
    ]);
    let methods = prop::sample::select(vec!["POST", "POST", "POST", "POST", "POST", "GET", "DELETE"]);
    let accepts = prop::sample::select(vec![None, None, Some("application/json"), Some("*/*")]);
    (methods, 0..4_u8, accepts, prop::bool::weighted(0.2), calls).prop_map(
        |(method, session, accept, modern, (name, params))| {
            let meta = if modern { META } else { "" };
            let gap = if modern && !params.is_empty() { "," } else { "" };
            let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{name}","params":{{{params}{gap}{meta}}}}}"#);
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
            headers.extend(text("name").or_else(|| text("uri")).map(|value| ("mcp-name", value)));
        }
        RequestHead {
            headers: headers.into_iter().collect(),
            ..RequestHead::default()
        }
    }
}

/// Of answers on their way through Envoy.
const PIECES: [&[u8]; 5] = [
    b"{}",
    b"data: {\"id\":0,\"method\":\"ping\"}\n\n",
    b"data: {\"id\":0,",
    b": keep-alive\n",
    b"",
];

/// The next event: mostly what can happen now, sometimes what cannot.
fn next(world: &mut World, choice: u8, detail: u8) -> Option<Event> {
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
        7 | 8 => {
            let details = match detail % 6 {
                0 => "cluster_not_found",
                1 => "upstream_reset_before_response_started{connection_failure}",
                _ => "via_upstream",
            };
            let status = [200, 400, 404, 404, 404, 503, 202][usize::from(detail % 7)];
            let media = if detail.is_multiple_of(3) {
                "text/event-stream"
            } else {
                "application/json"
            };
            let head = mk_response(status, media, Some(details));
            let fits = world.forwarded && world.response_heads == 0 && !world.answered;
            fits.then(|| Event::Envoy(Message::ResponseHeaders(head)))
        }
        9 => Some(Event::Envoy(match detail % 4 {
            0 => Message::ResponseTrailers,
            1 => Message::RequestTrailers,
            _ => Message::ResponseBody {
                chunk: Bytes::from_static(PIECES[usize::from(detail / 4) % PIECES.len()]),
                end: detail.is_multiple_of(2),
            },
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

fn play(ask: &Ask, wiring: u8, probing: bool, rest: &[(u8, u8)]) {
    let mut stage = Stage::new();
    let other_era = wiring.is_multiple_of(7);
    match (probing, other_era) {
        (true, false) => stage.given("probing upstreams"),
        // Those of the era that the client is not of.
        (_, true) if ask.modern => stage.given("a legacy upstream"),
        (_, true) => stage.given("modern upstreams"),
        (false, false) => {}
    }
    match wiring % 5 {
        0 => stage.given("request body BUFFERED"),
        1 => stage.given("response body FULL_DUPLEX_STREAMED"),
        _ => {}
    }
    let mut world = World {
        modern: ask.modern,
        ..World::default()
    };
    let head = Event::Envoy(Message::RequestHeaders(ask.head(&stage)));
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
        let step = stage.exchange().handle(event, NOW);
        world.take(step);
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
    let limit = match (probing, other_era) {
        // One round after the other.
        (_, true) => 9,
        (true, false) => 4,
        (false, false) => 3,
    };
    assert!(world.made <= limit, "made {} times", world.made);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn whatever_happens_the_contract_holds(
        ask in asks(),
        wiring in any::<u8>(),
        probing in prop::bool::weighted(0.25),
        rest in prop::collection::vec((any::<u8>(), any::<u8>()), 0..24),
    ) {
        play(&ask, wiring, probing, &rest);
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
