//! The reply contract holds whatever comes in whatever order (I7): replies belong to messages received, an answer of
//! our own is the last word, and the stream never ends cleanly before something was decided.

use super::stage::*;
use super::{INITIALIZE, PING, READ, SEARCH, upstream_head};
use crate::engine::exchange::event::UpstreamFailure;
use crate::engine::exchange::{CallEvent, Finding};
use crate::engine::mcp::Version;
use crate::engine::session::Binding;
use proptest::prelude::*;
use std::task::Poll;
use std::time::Duration;

/// What may happen to a stream.
#[derive(Clone, Debug)]
enum Act {
    Head {
        method: &'static str,
        end: bool,
    },
    Body {
        text: String,
        end: bool,
    },
    Trailers,
    ResponseHead(u16),
    ResponseBody {
        end: bool,
    },
    ResponseTrailers,
    /// The open question is answered, well or badly.
    Find {
        well: bool,
    },
    Call(u8),
    Wait,
    Leave,
}

fn texts() -> impl Strategy<Value = String> {
    let whole = prop::sample::select(vec![PING, INITIALIZE, READ, SEARCH, "", "{", "[]"]);
    (whole, any::<prop::sample::Index>(), any::<bool>()).prop_map(|(text, cut, halve)| {
        let cut = if halve { cut.index(text.len() + 1) } else { text.len() };
        text.get(..cut).unwrap_or(text).to_owned()
    })
}

fn acts() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (prop::sample::select(vec!["POST", "POST", "GET", "DELETE", "PUT"]), any::<bool>())
            .prop_map(|(method, end)| Act::Head { method, end }),
        6 => (texts(), any::<bool>()).prop_map(|(text, end)| Act::Body { text, end }),
        1 => Just(Act::Trailers),
        3 => prop::sample::select(vec![200_u16, 202, 400, 404, 401, 503, 0]).prop_map(Act::ResponseHead),
        2 => any::<bool>().prop_map(|end| Act::ResponseBody { end }),
        1 => Just(Act::ResponseTrailers),
        4 => any::<bool>().prop_map(|well| Act::Find { well }),
        4 => (0..5_u8).prop_map(Act::Call),
        1 => Just(Act::Wait),
        1 => Just(Act::Leave),
    ]
}

/// Sequences that begin as Envoy begins are as likely as those that do not.
fn scripts() -> impl Strategy<Value = Vec<Act>> {
    let likely = texts().prop_map(|text| {
        vec![
            Act::Head {
                method: "POST",
                end: false,
            },
            Act::Body { text, end: true },
        ]
    });
    (prop::option::of(likely), prop::collection::vec(acts(), 0..12))
        .prop_map(|(first, rest)| first.unwrap_or_default().into_iter().chain(rest).collect())
}

fn finding(question: &str, well: bool) -> Finding {
    let binding = Binding {
        id: Some("theirs".into()),
        ..Binding::stateless(Version::V2025_11_25)
    };
    match (question, well) {
        ("bind", true) => Finding::Bound(binding),
        ("recover", true) => Finding::Reopened(binding),
        ("bind" | "recover", false) => Finding::Unbindable(UpstreamFailure::Unreachable),
        ("end", well) => Finding::EndWritten(well),
        (_, true) => Finding::Live,
        (_, false) => Finding::Ended,
    }
}

fn call_event(kind: u8) -> CallEvent {
    match kind {
        0 => CallEvent::Head(upstream_head(200, "application/json")),
        1 => CallEvent::Head(upstream_head(404, "text/event-stream")),
        2 => CallEvent::Chunk("{}".into()),
        3 => CallEvent::Failed(UpstreamFailure::TimedOut),
        _ => CallEvent::End,
    }
}

/// What Envoy said, and what it may therefore hear.
#[derive(Default)]
struct Ledger {
    request_heads: usize,
    request_bodies: usize,
    request_trailers: usize,
    response_heads: usize,
    response_bodies: usize,
    response_trailers: usize,
    answered: bool,
    streaming: bool,
    decided: bool,
}

impl Ledger {
    fn said(&mut self, act: &Act) {
        match act {
            Act::Head { .. } => self.request_heads += 1,
            Act::Body { .. } => self.request_bodies += 1,
            Act::Trailers => self.request_trailers += 1,
            Act::ResponseHead(_) => self.response_heads += 1,
            Act::ResponseBody { .. } => self.response_bodies += 1,
            Act::ResponseTrailers => self.response_trailers += 1,
            Act::Find { .. } | Act::Call(_) | Act::Wait | Act::Leave => {}
        }
    }

    fn heard(&mut self, reply: &str) {
        assert!(!self.answered, "{reply:?} after the last word");
        assert!(
            !self.streaming || reply.starts_with("stream piece"),
            "{reply:?} within a stream"
        );
        let take = |count: &mut usize| {
            *count = count
                .checked_sub(1)
                .unwrap_or_else(|| panic!("{reply:?} belongs to no message"));
        };
        match reply {
            "request headers" => take(&mut self.request_heads),
            "response headers" => {
                take(&mut self.response_heads);
                self.decided = true;
            }
            // One body may leave in one piece although it came in several, or came as none and ended with trailers.
            "request body" | "request body, end" => {
                assert!(
                    self.request_bodies + self.request_trailers > 0,
                    "{reply:?} belongs to no message"
                );
                self.decided = true;
            }
            "request body, whole" => {
                take(&mut self.request_bodies);
                self.decided = true;
            }
            "request trailers" => take(&mut self.request_trailers),
            "response body" | "response body, end" => take(&mut self.response_bodies),
            "response trailers" => take(&mut self.response_trailers),
            "stream head" => self.streaming = true,
            "stream piece" => assert!(self.streaming, "a piece before its head"),
            "stream piece, end" => {
                self.answered = true;
                self.decided = true;
            }
            other => {
                assert!(other.starts_with("immediate "), "{other:?} is no reply of ours");
                self.answered = true;
                self.decided = true;
            }
        }
    }
}

async fn play(script: Vec<Act>, request_mode: i32, response_mode: i32) {
    let mut stage = Stage::new();
    let mut ledger = Ledger::default();
    for act in script {
        ledger.said(&act);
        match act {
            Act::Head { method, end } => {
                let mut first = head(method, end);
                first.protocol_config = Some(modes(request_mode, response_mode));
                stage.say(first);
            }
            Act::Body { text, end } => stage.say(body(&text, end)),
            Act::Trailers => stage.say(trailers()),
            Act::ResponseHead(status) => stage.say(response_head(status)),
            Act::ResponseBody { end } => stage.say(response_body("{}", end)),
            Act::ResponseTrailers => stage.say(response_trailers()),
            Act::Find { well } => {
                if let Some(question) = stage.backroom.question() {
                    stage.backroom.find(finding(question, well));
                }
            }
            Act::Call(kind) => stage.backroom.call_event(call_event(kind)),
            Act::Wait => tokio::time::advance(Duration::from_secs(40)).await,
            Act::Leave => stage.leave(),
        }
        loop {
            match stage.poll() {
                Poll::Pending => break,
                Poll::Ready(Some(Ok(reply))) => ledger.heard(&short(&reply)),
                Poll::Ready(None) => {
                    assert!(ledger.decided, "a clean end before a decision lets the request pass");
                    return over(stage);
                }
                Poll::Ready(Some(Err(_))) => return over(stage),
            }
        }
    }
    over(stage);
}

fn over(stage: Stage) {
    let backroom = stage.close();
    assert!(backroom.ways().len() <= 1, "recorded once");
    assert_eq!(backroom.bodies.used(), 0, "bodies given back");
    assert_eq!(backroom.replay.used(), 0, "replay copies given back");
    assert_eq!(backroom.gate.open(), 0, "left the gate");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_reply_contract_holds_for_any_sequence(
        script in scripts(),
        request_mode in prop::sample::select(vec![4, 4, 4, 2, 2, 0, 1, 3, 9]),
        response_mode in prop::sample::select(vec![0, 0, 4, 1]),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        runtime.block_on(play(script, request_mode, response_mode));
    }
}
