//! The state machine of one ext_proc stream: one HTTP request and its response.
//!
//! Events in, replies and commands out. Total: whatever comes in, the step is a reply or a wait, never a panic.
//!
//! ```text
//! AwaitHead -> AwaitBody -> (Asking ->) Forwarded -> Done         forward
//!                                         `-> Recovering -> Calling -> Done
//!                        -> (Asking ->) Calling -> Done           relay
//!                        -> (Asking ->) Done                      answer, reject
//! ```

pub mod event;
pub mod record;
pub mod step;

mod answer;
mod call;
mod caller;
mod door;
mod forward;
mod intake;
mod plan;
mod reject;
mod relay;
mod verdict;

pub use event::{CallEvent, Event, Finding, Headers, Message, RequestHead, ResponseHead};
pub use record::Record;
pub use step::{Command, End, Reply, Step};

use crate::engine::mcp::Era;
use crate::engine::session::Timestamp;
use crate::engine::snapshot::{Endpoint, Snapshot};
use bytes::Bytes;
use door::{Accepts, Verb};
use event::Refusal;
use intake::Intake;
use plan::{Plan, Sender};
use record::Way;
use reject::Reject;
use std::sync::Arc;
use step::{Answer, HeaderWork, Metadata, Question};

/// How Envoy is wired for this stream: `protocol_config` of its first message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyModes {
    /// `request_body_mode`
    pub request: BodyMode,
    /// `response_body_mode`
    pub response: BodyMode,
}

/// `ProcessingMode.BodySendMode`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyMode {
    /// The body is not sent to us.
    None,
    /// Chunk by chunk, each waits for a reply: cannot hold headers back, refused.
    Streamed,
    /// Whole, after the header reply.
    Buffered,
    /// Refused.
    BufferedPartial,
    /// Headers, chunks and end come without waiting.
    FullDuplex,
}

/// One ext_proc stream.
#[derive(Debug)]
pub struct Exchange {
    snapshot: Arc<Snapshot>,
    modes: BodyModes,
    entropy: u128,
    phase: Phase,
    record: Record,
}

/// Where an exchange stands. Each phase owns what it needs and nothing else.
#[derive(Debug)]
enum Phase {
    /// Nothing came yet.
    AwaitHead,
    /// The body is on its way.
    AwaitBody(Box<Arrival>),
    /// A question is open.
    Asking(Box<Request>, Then),
    /// The processor makes the call.
    Calling(Box<relay::Relay>),
    /// Envoy makes the call.
    Forwarded(Box<forward::Forward>),
    /// The upstream session may be lost; a question about it is open.
    Recovering(Box<forward::Suspicion>),
    /// The response goes to the client as it comes.
    Passing,
    /// Decided and said.
    Done,
}

/// A request whose body is still coming.
#[derive(Debug)]
struct Arrival {
    endpoint: Arc<Endpoint>,
    headers: Headers,
    intake: Intake,
}

/// A request that was read in full.
#[derive(Debug)]
struct Request {
    endpoint: Arc<Endpoint>,
    headers: Headers,
    accepts: Accepts,
    sender: Sender,
    /// The body ended with trailers: they want a reply too.
    trailers: bool,
}

impl Request {
    fn era(&self) -> Era {
        self.sender.era.unwrap_or(Era::Legacy)
    }

    fn id(&self) -> Option<&[u8]> {
        self.sender.id.as_deref()
    }
}

/// What happens once the open question is answered.
#[derive(Debug)]
enum Then {
    /// Carry this out: it needed to know that the session is alive.
    Do(Plan),
    /// Answer initialize with this id.
    Welcome {
        id: String,
        version: crate::engine::mcp::Version,
    },
    /// Go on with a call: it needed its tie.
    Call(relay::Calls),
    /// Answer GET.
    Get,
    /// Answer DELETE.
    Delete,
}

impl Exchange {
    /// A new exchange under one snapshot. `entropy` becomes the session key if this is an initialize.
    #[must_use]
    pub fn new(snapshot: Arc<Snapshot>, modes: BodyModes, entropy: u128, _now: Timestamp) -> Self {
        Self {
            snapshot,
            modes,
            entropy,
            phase: Phase::AwaitHead,
            record: Record::default(),
        }
    }

    /// Takes one event. Total: a failure is a reply.
    pub fn handle(&mut self, event: Event, now: Timestamp) -> Step {
        match (std::mem::replace(&mut self.phase, Phase::Done), event) {
            (phase, Event::Closed) => Self::closed(phase),
            (_, Event::Refused(refusal)) => self.reject(&Reject::Refused(refusal), None),
            (Phase::AwaitHead, Event::Envoy(Message::RequestHeaders(head))) => self.head(head, now),
            (Phase::AwaitBody(arrival), Event::Envoy(Message::RequestBody { chunk, end })) => {
                self.body(arrival, chunk, end, now)
            }
            (Phase::AwaitBody(arrival), Event::Envoy(Message::RequestTrailers)) => self.read(*arrival, true, now),
            (Phase::AwaitBody(_), Event::Timer) => self.reject(&Reject::TooSlow, None),
            (Phase::AwaitBody(_), Event::NoRoom) => self.reject(&Reject::NoRoom, None),
            (Phase::Asking(request, then), Event::Finding(finding)) => self.found(request, then, finding, now),
            (Phase::Calling(relay), Event::Call(event)) => self.relayed(relay, event),
            (Phase::Calling(relay), Event::Finding(finding)) => self.relay_found(relay, finding),
            (Phase::Forwarded(forward), Event::Envoy(Message::ResponseHeaders(head))) => self.responded(forward, head),
            (Phase::Forwarded(forward), Event::Timer) => self.overdue(&forward),
            (Phase::Recovering(suspicion), Event::Finding(finding)) => self.recovered(*suspicion, finding),
            (Phase::Recovering(suspicion), Event::Timer) => self.overdue(&suspicion.forward),
            (Phase::Passing, Event::Envoy(message)) => Self::pass(message, &mut self.phase),
            (Phase::Done, _) => Step {
                end: End::Done,
                ..Step::default()
            },
            (phase, event) => self.unexpected(phase, event),
        }
    }

    /// Bytes of request body held, for decision or replay.
    #[must_use]
    pub fn held(&self) -> usize {
        match &self.phase {
            Phase::AwaitBody(arrival) => arrival.intake.len(),
            Phase::Asking(_, Then::Call(calls)) => calls.held(),
            Phase::Calling(relay) => relay.held(),
            Phase::Forwarded(forward) => forward.held(),
            Phase::Recovering(suspicion) => suspicion.forward.held(),
            Phase::AwaitHead | Phase::Asking(..) | Phase::Passing | Phase::Done => 0,
        }
    }

    /// True once the body is held only for a replay: it then counts against `limits.replay`.
    #[must_use]
    pub const fn decided(&self) -> bool {
        match &self.phase {
            Phase::AwaitHead | Phase::AwaitBody(_) | Phase::Asking(..) | Phase::Calling(_) => false,
            Phase::Forwarded(_) | Phase::Recovering(_) | Phase::Passing | Phase::Done => true,
        }
    }

    /// Gives up the body kept for a replay: `limits.replay` is used up.
    pub fn drop_replay(&mut self) {
        if let Phase::Forwarded(forward) = &mut self.phase {
            forward.drop_replay();
        }
    }

    /// The facts, for one audit line and the metrics.
    #[must_use]
    pub fn finish(self) -> Record {
        self.record
    }
}

// === the request ===

impl Exchange {
    fn head(&mut self, head: RequestHead, now: Timestamp) -> Step {
        self.record.client = head.source.as_deref().map(without_port);
        if let Some(setting) = unserved(self.modes) {
            return self.reject(&Reject::Wiring(setting), None);
        }
        let (endpoint, verb) = match door::enter(&self.snapshot, &head.headers) {
            Ok(entered) => entered,
            Err(reject) => return self.reject(&reject, None),
        };
        match verb {
            Verb::Post => self.post(endpoint, head, now),
            Verb::Get | Verb::Delete => self.session_only(endpoint, head.headers, verb, now),
        }
    }

    fn post(&mut self, endpoint: Arc<Endpoint>, head: RequestHead, now: Timestamp) -> Step {
        if let Err(reject) = door::body_is_welcome(&endpoint, &head.headers) {
            return self.reject(&reject, None);
        }
        let receive = endpoint.limits.receive;
        let arrival = Arrival {
            endpoint,
            headers: head.headers,
            intake: Intake::default(),
        };
        if head.end {
            return self.read(arrival, false, now);
        }
        let mut step = Step::default();
        match self.modes.request {
            BodyMode::Buffered => step.replies.push(Reply::RequestHeaders(HeaderWork::default())),
            BodyMode::FullDuplex => {}
            BodyMode::None | BodyMode::Streamed | BodyMode::BufferedPartial => {
                return self.reject(&Reject::Wiring("request_body_mode NONE on a route for POST"), None);
            }
        }
        step.commands.push(Command::Arm(receive));
        self.phase = Phase::AwaitBody(Box::new(arrival));
        step
    }

    fn body(&mut self, mut arrival: Box<Arrival>, chunk: Bytes, end: bool, now: Timestamp) -> Step {
        let limit = arrival.endpoint.limits.body;
        if !arrival.intake.add(chunk, limit) {
            return self.reject(&Reject::BodyTooLarge(limit), None);
        }
        if end {
            return self.read(*arrival, false, now);
        }
        self.phase = Phase::AwaitBody(arrival);
        Step::default()
    }

    /// The whole request is here: decide.
    fn read(&mut self, arrival: Arrival, trailers: bool, now: Timestamp) -> Step {
        let body = arrival.intake.into_bytes();
        self.record.bytes_in = body.len();
        let mut sender = Sender::default();
        let plan = plan::plan(&arrival.endpoint, &arrival.headers, &body, &mut sender, now);
        let accepts = door::accepts(&arrival.headers);
        self.note_sender(&sender, &arrival.headers);
        let request = Request {
            endpoint: arrival.endpoint,
            headers: arrival.headers,
            accepts,
            sender,
            trailers,
        };
        let mut step = match plan {
            Ok(plan) => self.begin(Box::new(request), plan, now),
            Err(reject) => self.reject(&reject, request.id()),
        };
        step.commands.insert(0, Command::Disarm);
        step
    }

    /// GET and DELETE: nothing but a session id to look at.
    fn session_only(&mut self, endpoint: Arc<Endpoint>, headers: Headers, verb: Verb, now: Timestamp) -> Step {
        if caller::header_is_modern(&headers) {
            return self.reject(&Reject::MethodNotAllowed, None);
        }
        let session = match caller::session(&endpoint, &headers, now) {
            Ok(session) => session,
            Err(reject) => return self.reject(&reject, None),
        };
        let (question, then) = match (verb, session) {
            (Verb::Delete, Some(session)) => (Question::End(session), Then::Delete),
            (Verb::Delete, None) => return self.reject(&Reject::SessionIdMissing, None),
            // No stream is offered yet: 405 for a session that is alive, 404 for one that is not.
            (Verb::Get | Verb::Post, Some(session)) => (Question::Recall(session), Then::Get),
            (Verb::Get | Verb::Post, None) => return self.reject(&Reject::MethodNotAllowed, None),
        };
        let sender = Sender {
            session,
            era: Some(Era::Legacy),
            ..Sender::default()
        };
        self.note_sender(&sender, &headers);
        let request = Request {
            endpoint,
            headers,
            accepts: Accepts::Both,
            sender,
            trailers: false,
        };
        self.ask(Box::new(request), question, then)
    }

    /// Starts on a plan: what concerns a session first hears whether that may go on.
    fn begin(&mut self, request: Box<Request>, plan: Plan, now: Timestamp) -> Step {
        let session = request.sender.session;
        match (plan, session) {
            (Plan::Call(routed), _) => self.begin_call(request, routed),
            (Plan::Initialize { version, flags, client }, _) => {
                let (session, id) = answer::new_session(&request.endpoint, version, flags, self.entropy, now);
                self.ask(
                    request,
                    Question::Start { session, client },
                    Then::Welcome { id, version },
                )
            }
            (Plan::SetLevel(level), Some(session)) => {
                self.ask(request, Question::SetLevel { session, level }, Then::Do(Plan::Empty))
            }
            (plan, Some(session)) => self.ask(request, Question::Recall(session), Then::Do(plan)),
            (plan, None) => self.say(&request, &plan),
        }
    }

    fn ask(&mut self, request: Box<Request>, question: Question, then: Then) -> Step {
        self.phase = Phase::Asking(request, then);
        Step {
            commands: vec![Command::Ask(question)],
            ..Step::default()
        }
    }

    /// The open question is answered.
    fn found(&mut self, request: Box<Request>, then: Then, finding: Finding, _now: Timestamp) -> Step {
        match (then, finding) {
            (_, Finding::Ended) => self.reject(&Reject::SessionNotFound("session_ended"), request.id()),
            (_, Finding::SessionsFull) => self.reject(&Reject::SessionsFull, request.id()),
            (Then::Do(plan), Finding::Live) => self.say(&request, &plan),
            (Then::Welcome { id, version }, Finding::Live) => self.welcome(&request, id, version),
            (Then::Get, Finding::Live) => self.reject(&Reject::MethodNotAllowed, None),
            (Then::Delete, Finding::EndWritten(true)) => self.answer(&request, answer::empty(200)),
            (Then::Delete, Finding::EndWritten(false)) => self.reject(&Reject::NotWritten, None),
            (Then::Call(calls), finding) => self.tied(request, calls, finding),
            (Then::Do(_) | Then::Welcome { .. } | Then::Get | Then::Delete, other) => {
                debug_assert!(false, "finding {other:?} answers no question of this exchange");
                self.reject(&Reject::Refused(Refusal::Draining), request.id())
            }
        }
    }
}

// === what is said ===

impl Exchange {
    /// Carries out a plan that needs nobody else.
    fn say(&mut self, request: &Request, plan: &Plan) -> Step {
        let endpoint = &request.endpoint;
        match plan {
            Plan::Absorb => self.answer(request, answer::empty(202)),
            Plan::Empty | Plan::SetLevel(_) => {
                let result = answer::empty_result(request.era());
                self.answer(request, answer::result(request.id(), &[result]))
            }
            Plan::Discover => self.answer(
                request,
                answer::result(request.id(), std::slice::from_ref(&endpoint.discover)),
            ),
            Plan::List(kind) => {
                let list = endpoint.face(request.era()).list(*kind);
                if list.len > answer::LARGE && self.modes.request == BodyMode::FullDuplex {
                    return self.stream_list(request, list);
                }
                self.answer(request, answer::result(request.id(), &list.segments))
            }
            Plan::Initialize { .. } | Plan::Call(_) => {
                debug_assert!(false, "these plans need somebody else");
                self.reject(&Reject::UnknownMethod(request.era()), request.id())
            }
        }
    }

    fn welcome(&mut self, request: &Request, id: String, version: crate::engine::mcp::Version) -> Step {
        let result = answer::initialize(&request.endpoint, version);
        let mut answer = answer::result(request.id(), &[result]);
        self.record.session = Some(crate::engine::session::id::fingerprint(id.as_bytes()));
        answer
            .headers
            .push((crate::engine::mcp::headers::SESSION_ID, Bytes::from(id)));
        self.answer(request, answer)
    }

    fn answer(&mut self, request: &Request, mut answer: Answer) -> Step {
        answer.metadata = Some(Box::new(self.metadata(request.id(), true)));
        self.record.way = Way::Answer;
        self.record.status = answer.status;
        self.record.bytes_out = answer.body.iter().map(Bytes::len).sum();
        self.phase = Phase::Done;
        Step {
            replies: vec![Reply::Answer(answer)],
            end: End::Done,
            ..Step::default()
        }
    }

    /// A list too large for one message, in pieces.
    fn stream_list(&mut self, request: &Request, list: &crate::engine::snapshot::Prepared) -> Step {
        let metadata = Some(Box::new(self.metadata(request.id(), true)));
        let (head, chunks) = answer::stream(request.id(), list, metadata);
        self.record.way = Way::Answer;
        self.record.status = 200;
        self.record.bytes_out = list.len;
        self.phase = Phase::Done;
        let replies = std::iter::once(head).chain(chunks).collect();
        Step {
            replies,
            end: End::Done,
            ..Step::default()
        }
    }

    fn reject(&mut self, reject: &Reject, id: Option<&[u8]>) -> Step {
        let answer = reject.answer(id, Some(Box::new(self.metadata(id, true))));
        self.record.way = Way::Reject;
        self.record.status = answer.status;
        self.record.code = Some(reject.code().0);
        self.record.reason = Some(reject.reason());
        self.record.bytes_out = answer.body.iter().map(Bytes::len).sum();
        self.phase = Phase::Done;
        Step {
            replies: vec![Reply::Answer(answer)],
            commands: vec![Command::Disarm, Command::CancelCall],
            end: End::Done,
        }
    }

    fn note_sender(&mut self, sender: &Sender, headers: &Headers) {
        self.record.method.clone_from(&sender.method);
        self.record.known = sender.known;
        self.record.era = sender.era;
        if sender.session.is_some() {
            let id = headers.get(crate::engine::mcp::headers::SESSION_ID).unwrap_or(b"");
            self.record.session = Some(crate::engine::session::id::fingerprint(id));
        }
    }

    fn metadata(&self, id: Option<&[u8]>, answered: bool) -> Metadata {
        Metadata {
            method: self.record.method.clone(),
            id: id.and_then(|id| std::str::from_utf8(id).ok()).map(Into::into),
            tool: self.record.tool.clone(),
            upstream: self.record.upstream.clone(),
            session: self.record.session.clone(),
            era: self.record.era.map(Era::as_str),
            answered,
        }
    }
}

// === odd turns ===

impl Exchange {
    /// The stream is gone: what was opened for this exchange alone is closed.
    fn closed(phase: Phase) -> Step {
        let mut step = Step {
            end: End::Done,
            ..Step::default()
        };
        if let Phase::Calling(relay) = phase {
            step.commands.push(Command::CancelCall);
            step.commands.extend(relay.into_close());
        }
        step
    }

    /// A response goes to the client as it comes.
    fn pass(message: Message, phase: &mut Phase) -> Step {
        let (reply, end) = match message {
            Message::ResponseHeaders(_) => (Reply::ResponseHeaders(HeaderWork::default()), End::Open),
            Message::ResponseBody { chunk, end } => (
                Reply::ResponseChunk { body: chunk, end },
                if end { End::Done } else { End::Open },
            ),
            Message::ResponseTrailers => (Reply::ResponseTrailers, End::Done),
            // The request was answered in full before; what still comes of it is not replied to.
            Message::RequestHeaders(_) | Message::RequestBody { .. } | Message::RequestTrailers => {
                *phase = Phase::Passing;
                return Step::default();
            }
        };
        *phase = if end == End::Open { Phase::Passing } else { Phase::Done };
        Step {
            replies: vec![reply],
            commands: Vec::new(),
            end,
        }
    }

    /// Events that a phase does not wait for.
    fn unexpected(&mut self, phase: Phase, event: Event) -> Step {
        match event {
            // Envoy answers itself (a request it refused before or while we think): its answer stands.
            Event::Envoy(Message::ResponseHeaders(head)) => {
                self.record.status = verdict::status(&head);
                self.record.reason = Some("answered_by_envoy");
                let mut step = Self::closed(phase);
                step.end = End::Open;
                step.replies.push(Reply::ResponseHeaders(HeaderWork::default()));
                self.phase = Phase::Passing;
                step
            }
            Event::Envoy(Message::RequestHeaders(_) | Message::RequestBody { .. } | Message::RequestTrailers) => {
                match phase {
                    Phase::AwaitHead | Phase::AwaitBody(_) => {
                        self.reject(&Reject::Wiring("request_header_mode must be SEND"), None)
                    }
                    Phase::Asking(..)
                    | Phase::Calling(_)
                    | Phase::Forwarded(_)
                    | Phase::Recovering(_)
                    | Phase::Passing
                    | Phase::Done => self.stay(phase),
                }
            }
            Event::Envoy(Message::ResponseBody { chunk, end }) => match phase {
                Phase::Recovering(mut suspicion) => {
                    suspicion.body.push((chunk, end));
                    self.stay(Phase::Recovering(suspicion))
                }
                phase @ (Phase::AwaitHead
                | Phase::AwaitBody(_)
                | Phase::Asking(..)
                | Phase::Calling(_)
                | Phase::Forwarded(_)
                | Phase::Passing
                | Phase::Done) => self.stay(phase),
            },
            // Late or early: nothing waits for it.
            Event::Envoy(Message::ResponseTrailers)
            | Event::Finding(_)
            | Event::Call(_)
            | Event::Timer
            | Event::NoRoom
            | Event::Refused(_)
            | Event::Closed => self.stay(phase),
        }
    }

    fn stay(&mut self, phase: Phase) -> Step {
        self.phase = phase;
        Step::default()
    }
}

/// The setting that makes a wiring impossible, if it is.
const fn unserved(modes: BodyModes) -> Option<&'static str> {
    match (modes.request, modes.response) {
        (BodyMode::Streamed | BodyMode::BufferedPartial, _) => {
            Some("request_body_mode must be FULL_DUPLEX_STREAMED or BUFFERED")
        }
        (_, BodyMode::Streamed | BodyMode::Buffered | BodyMode::BufferedPartial) => {
            Some("response_body_mode must be NONE or FULL_DUPLEX_STREAMED")
        }
        (BodyMode::None | BodyMode::Buffered | BodyMode::FullDuplex, BodyMode::None | BodyMode::FullDuplex) => None,
    }
}

fn without_port(address: &str) -> Box<str> {
    address
        .rsplit_once(':')
        .map_or(address, |(host, _)| host)
        .trim_matches(['[', ']'])
        .into()
}

#[cfg(test)]
mod tests;
