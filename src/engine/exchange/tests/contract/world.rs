//! What stands around an exchange: it hears the replies, carries out the commands, and knows what may come next.

use crate::engine::exchange::Parked;
use crate::engine::exchange::event::{CallEvent, Finding, HubEvent, Message, ResponseHead, UpstreamFailure};
use crate::engine::exchange::step::{Command, End, Notice, Question, Reply, Step};
use crate::engine::exchange::tests::read::mk_quota;
use crate::engine::mcp::Version;
use crate::engine::policy::rate::Exhausted;
use crate::engine::session::{Binding, Client};
use bytes::Bytes;

/// What Envoy and the edge rooms have been told, and what they may say next.
#[derive(Default)]
pub(super) struct World {
    pub(super) request_heads: usize,
    pub(super) request_bodies: usize,
    pub(super) response_heads: usize,
    pub(super) response_trailers: usize,
    pub(super) request_trailers: usize,
    pub(super) question: Option<Question>,
    pub(super) calling: bool,
    pub(super) listening: bool,
    pub(super) armed: bool,
    pub(super) one_shots: Vec<String>,
    /// Requests of the gateway that the client has not answered.
    pub(super) expected: Vec<Box<str>>,
    pub(super) watched: bool,
    pub(super) made: usize,
    pub(super) decided: bool,
    pub(super) answered: bool,
    pub(super) streaming: bool,
    /// A response of an upstream is on its way to the client.
    pub(super) responding: bool,
    /// Nothing of it follows.
    pub(super) responded: bool,
    pub(super) forwarded: bool,
    pub(super) over: bool,
    pub(super) modern: bool,
    /// A call that waits for its client.
    pub(super) lot: Option<Lot>,
    pub(super) resuming: bool,
    /// The head of the open call has come.
    pub(super) begun: bool,
}

/// A call that was parked.
pub(super) struct Lot {
    parked: Box<Parked>,
    /// Its stream is open.
    calling: bool,
    /// The session that was borrowed for it.
    session: Option<String>,
}

impl World {
    pub(super) fn told(&mut self, message: &Message) {
        match message {
            Message::RequestHeaders(_) => self.request_heads += 1,
            Message::RequestBody { .. } => self.request_bodies += 1,
            Message::RequestTrailers => self.request_trailers += 1,
            Message::ResponseBody { .. } => {}
            Message::ResponseHeaders(_) => self.response_heads += 1,
            Message::ResponseTrailers => self.response_trailers += 1,
        }
    }

    pub(super) fn take(&mut self, step: Step) {
        assert!(!self.over || step.replies.is_empty(), "a reply after the end");
        for reply in step.replies {
            self.hear(&reply);
        }
        for command in step.commands {
            self.carry_out(command);
        }
        match step.end {
            End::Open => {}
            End::Done => self.over = true,
            End::Abort => {
                assert!(
                    self.streaming || self.responding,
                    "only a response that is out can be cut"
                );
                // Not a clean end.
                self.decided = true;
                self.over = true;
            }
        }
    }

    fn hear(&mut self, reply: &Reply) {
        assert!(!self.answered, "{reply:?} after the last word");
        let take = |count: &mut usize| {
            *count = count
                .checked_sub(1)
                .unwrap_or_else(|| panic!("{reply:?} belongs to no message"));
        };
        match reply {
            Reply::RequestHeaders(work) => {
                take(&mut self.request_heads);
                assert!(!self.forwarded);
                self.forwarded = work.clear_route;
            }
            Reply::RequestChunk { .. } => {
                assert!(self.forwarded, "headers come first");
                assert!(self.request_bodies > 0 || self.request_trailers > 0, "no body came");
                self.made += 1;
                self.decided = true;
            }
            Reply::RequestBuffered { headers, .. } => {
                take(&mut self.request_bodies);
                self.made += 1;
                self.forwarded = headers.clear_route;
                self.decided = true;
            }
            Reply::RequestTrailers => take(&mut self.request_trailers),
            Reply::ResponseHeaders(_) => {
                take(&mut self.response_heads);
                self.decided = true;
                self.responding = true;
            }
            // Under FULL_DUPLEX_STREAMED pieces need not match the pieces that came.
            Reply::ResponseChunk { end, .. } => {
                assert!(
                    self.responding && !self.responded,
                    "a piece before the head or behind the end"
                );
                self.responded = *end;
            }
            Reply::ResponseTrailers => {
                assert!(
                    self.responding && !self.responded,
                    "trailers before the head or behind the end"
                );
                take(&mut self.response_trailers);
            }
            Reply::Answer(answer) => {
                assert!(!self.streaming && !self.responding, "one response is enough");
                assert!((200..600).contains(&answer.status));
                let dead = ["session_", "unknown_method"]
                    .iter()
                    .any(|reason| answer.details.starts_with(reason));
                // Of a modern upstream it is about a method.
                let passed = self.modern && matches!(answer.details, "relayed" | "bridged");
                assert!(
                    answer.status != 404 || dead || passed,
                    "a client takes 404 for a dead session"
                );
                self.answered = true;
                self.decided = true;
            }
            Reply::StreamHead { .. } => {
                assert!(!self.streaming && self.response_heads == 0, "only in the request phase");
                self.streaming = true;
            }
            Reply::StreamChunk { end, .. } => {
                assert!(self.streaming, "a piece before its head");
                self.answered = *end;
                self.decided = *end;
            }
        }
    }

    fn carry_out(&mut self, command: Command) {
        match command {
            Command::Ask(question) => {
                // One at a time: the answer to an older one never comes.
                self.question = Some(question);
            }
            Command::Call(_) | Command::Attend(_) => {
                assert!(!self.calling, "one call at a time");
                (self.calling, self.begun) = (true, false);
                self.made += 1;
            }
            Command::CancelCall => self.calling = false,
            Command::OutliveCall => assert!(std::mem::take(&mut self.calling), "there is a call"),
            Command::Expect { id, .. } => self.expected.push(id),
            Command::Watch { .. } => self.watched = true,
            Command::Park(_, parked) => {
                assert!(self.answered, "the client was told how to come back");
                self.lot = Some(Lot {
                    parked,
                    calling: std::mem::take(&mut self.calling),
                    session: self.one_shots.pop(),
                });
            }
            Command::Resume(_) => self.resuming = true,
            Command::Listen(_) => {
                assert!(self.streaming && !self.listening, "one stream, and its head first");
                self.listening = true;
            }
            Command::Notify(Notice::Close { binding, .. } | Notice::Return { binding, .. }) => {
                let id = binding.id.expect("nothing to close without an id");
                let at = self.one_shots.iter().position(|open| **open == *id);
                self.one_shots
                    .swap_remove(at.expect("opened for this exchange, and closed once"));
            }
            Command::Notify(Notice::Cancelled { .. }) => assert!(self.made > 0, "nobody was asked"),
            Command::Notify(
                Notice::Level { .. }
                | Notice::Relist { .. }
                | Notice::Tell { .. }
                | Notice::Changed { .. }
                | Notice::Delegated { .. }
                | Notice::Refreshed { .. }
                | Notice::Spent(_),
            )
            | Command::Subscribe { .. } => {}
            Command::Arm(_) => self.armed = true,
            Command::Disarm => self.armed = false,
        }
    }

    /// An answer to the open question, one of those that its asker has to expect.
    pub(super) fn find(&mut self, choice: u8) -> Option<Finding> {
        let question = self.question.take()?;
        let tied = |id: Option<&str>| Binding {
            id: id.map(Into::into),
            ..Binding::stateless(Version::V2025_06_18)
        };
        let failed = Finding::Unbindable(UpstreamFailure::Unreachable);
        Some(match (question, choice % 8) {
            (Question::View(viewer), _) => Finding::Viewed(viewer.endpoint),
            (Question::Delegate(_), 0) => Finding::Delegated(Err(crate::engine::policy::delegate::Lack::NotKept)),
            (Question::Delegate(_), 1) => Finding::Delegated(Ok(crate::engine::config::Confidential("another".into()))),
            (Question::Delegate(_), _) => Finding::Delegated(Ok(crate::engine::config::Confidential("k3y".into()))),
            (Question::Compare(_), 0) => Finding::Compared(crate::engine::exchange::event::Compared::Wrong),
            (Question::Compare(_), 1) => Finding::Compared(crate::engine::exchange::event::Compared::NotNow(
                std::time::Duration::from_secs(2),
            )),
            (Question::Compare(_), _) => Finding::Compared(crate::engine::exchange::event::Compared::Fits),
            (Question::Hold(places), 0) => Finding::Crowded(places.first().expect("asked for").kind),
            (Question::Hold(_), _) => Finding::Held,
            (Question::Admit(charges), choice) => {
                let limit = &charges.first().expect("nothing is asked about nothing").limit;
                let quota = mk_quota(&limit.name);
                match choice {
                    1 => Finding::Uncounted,
                    0 => Finding::Exhausted(Box::new(Exhausted { quota, retry_after: 7 })),
                    _ => Finding::Admitted(Some(Box::new(quota))),
                }
            }
            (Question::Recall(_) | Question::SetLevel { .. } | Question::Tell { .. }, 0)
            | (Question::Bind { .. } | Question::End(_), 0) => Finding::Ended,
            (Question::Recall(_) | Question::SetLevel { .. }, _) => Finding::Live,
            (Question::Introduce(_), 0) => Finding::Ended,
            (Question::Introduce(_), _) => {
                let client = Client {
                    capabilities: r#"{"sampling":{},"roots":{}}"#.into(),
                    ..Client::default()
                };
                Finding::Introduced(client.into(), None)
            }
            (Question::Tell { .. }, choice) => Finding::Told(choice.is_multiple_of(2)),
            (Question::Start { .. }, 0) => Finding::SessionsFull,
            (Question::Start { .. }, _) => Finding::Live,
            (Question::Bind { .. } | Question::OneShot { .. }, 1) => failed,
            (Question::Bind { .. }, 2) => Finding::Bound(tied(None)),
            (Question::Bind { .. }, _) => Finding::Bound(tied(Some("theirs"))),
            (Question::Borrow { .. }, 1) | (Question::Renew { .. }, 1) => failed,
            (Question::Renew { .. }, 2..=4) => Finding::StillThere,
            (Question::Renew { .. }, _) => {
                self.one_shots = vec!["lent-2".to_owned()];
                Finding::Reopened(tied(Some("lent-2")))
            }
            (Question::OneShot { .. } | Question::Borrow { .. }, _) => {
                let id = format!("once-{}", self.made + self.one_shots.len() * 100);
                let binding = tied(Some(&id));
                self.one_shots.push(id);
                Finding::Bound(binding)
            }
            (Question::Recover { .. }, 0) => Finding::Ended,
            (Question::Recover { .. }, 1) => failed,
            (Question::Recover { .. }, 2..=4) => Finding::StillThere,
            (Question::Recover { .. }, _) => Finding::Reopened(tied(Some("theirs-2"))),
            (Question::End(_), choice) => Finding::EndWritten(choice.is_multiple_of(2)),
        })
    }

    /// The parked call, if the exchange wants it.
    pub(super) fn resumed(&mut self) -> Option<Finding> {
        if !std::mem::take(&mut self.resuming) {
            return None;
        }
        let Some(lot) = self.lot.take() else {
            return Some(Finding::NotParked);
        };
        // It was made by the exchange that has parked it.
        self.made = 1;
        (self.calling, self.begun) = (lot.calling, true);
        self.one_shots.extend(lot.session);
        Some(Finding::Resumed(lot.parked))
    }

    /// Something for the stream that the client holds open.
    pub(super) fn hear_hub(&self, choice: u8) -> Option<HubEvent> {
        self.listening.then(|| match choice % 6 {
            0 => HubEvent::Drained,
            1 => HubEvent::Over,
            _ => HubEvent::Events(vec![Bytes::from_static(b"data: {}\n\n")]),
        })
    }

    /// Progress of the open call.
    pub(super) fn progress(&mut self, choice: u8) -> Option<CallEvent> {
        if !self.calling {
            return None;
        }
        if !self.begun && !choice.is_multiple_of(16) {
            self.begun = true;
            return Some(CallEvent::Head(match choice % 8 {
                0..=3 => mk_response(200, "text/event-stream", None),
                4 | 5 => mk_response(200, "application/json", None),
                6 => mk_response(404, "application/json", None),
                _ => mk_response(401, "text/plain", None),
            }));
        }
        Some(match choice % 10 {
            0 => CallEvent::Pushed(Bytes::from_static(
                br#"{"jsonrpc":"2.0","id":8,"method":"sampling/createMessage","params":{}}"#,
            )),
            4 => CallEvent::Chunk(Bytes::from_static(
                b"data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n",
            )),
            1 => CallEvent::Chunk(Bytes::from_static(
                b"data: {\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"roots/list\"}\n\n",
            )),
            2 => CallEvent::Chunk(Bytes::from_static(
                b"data: {\"jsonrpc\":\"2.0\",\"id\":\"mb-0000000000000000\",\"result\":{}}\n\n",
            )),
            5 => CallEvent::Chunk(Bytes::from_static(
                br#"{"jsonrpc":"2.0","id":1,"error":{"code":-32002,"message":"no"}}"#,
            )),
            3 => CallEvent::Chunk(Bytes::from_static(
                b"data: {\"id\":1,\"result\":{\"resultType\":\"input_required\",\"inputRequests\":{\"a\":{\"method\":\"roots/list\"}}}}\n\n",
            )),
            7 => CallEvent::Chunk(Bytes::from_static(
                br#"{"id":1,"result":{"resultType":"input_required","requestState":"s"}}"#,
            )),
            6 => {
                self.calling = false;
                CallEvent::End
            }
            _ => {
                self.calling = false;
                CallEvent::Failed(UpstreamFailure::TimedOut)
            }
        })
    }
}

pub(super) fn mk_response(status: u16, media: &str, details: Option<&str>) -> ResponseHead {
    ResponseHead {
        headers: [
            (":status", &*status.to_string()),
            ("content-type", media),
            ("mcp-session-id", "theirs"),
        ]
        .into_iter()
        .collect(),
        end: false,
        code_details: details.map(Into::into),
    }
}
