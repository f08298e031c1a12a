//! A legacy client calls a modern upstream: its session lives in the gateway alone, the processor makes the call.
//!
//! The words are translated in `era`; here is who waits for whom. What the upstream asks by its result goes to the client
//! as requests on the stream that answers its call, and the call is made again with what the client said.
//!
//! ```text
//! Introducing -> AwaitHead -> Collect -> (done)
//!                   ^     `-> Events  -> Closing -> (done)
//!                   |            `--> Asking --.
//!                   `--------------------------'
//! ```

mod ask;
mod hear;
mod out;

use crate::engine::era::bridge::up::Asked;
use crate::engine::era::modern::{self, Introduction, Retry};
use crate::engine::exchange::event::{CallEvent, Event, Finding, UpstreamFailure};
use crate::engine::exchange::outgoing::calls::Calls;
use crate::engine::exchange::outgoing::{Outgoing, delegate, heading};
use crate::engine::exchange::record::Way;
use crate::engine::exchange::reject::{Input, Reject, Trouble};
use crate::engine::exchange::step::{Call, Command, Question, Step};
use crate::engine::exchange::{Accepts, BodyMode, Exchange, Phase, Request};
use crate::engine::jsonrpc::Object;
use crate::engine::mcp::{Era, Method, Version};
use crate::engine::session::{Client, Level, Timestamp};
use crate::engine::sse::Framer;
use ask::Asking;
use bytes::Bytes;
use out::Out;
use std::sync::Arc;
use std::time::Duration;

/// A whole answer may take so much longer than its headers; see `relay`.
const WHOLE: Duration = Duration::from_secs(20);
/// A stream that we write is never silent for longer.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// After its answer, a stream of the upstream should end by itself: then the connection can be used again.
const CLOSING: Duration = Duration::from_secs(1);
/// The same while the client waits for the answer.
const CLOSING_SOON: Duration = Duration::from_millis(50);

/// A call to a modern upstream for a legacy client.
#[derive(Debug)]
pub(in crate::engine::exchange) struct Up {
    request: Box<Request>,
    calls: Calls,
    call: Outgoing,
    method: Method,
    /// Spoken with the upstream.
    version: Version,
    client: Arc<Client>,
    level: Option<Level>,
    /// How often the upstream has asked for more.
    round: u8,
    out: Out,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Who the client is, is being found out.
    Introducing,
    /// The upstream works.
    AwaitHead,
    /// Its answer is one JSON document.
    Collect { pieces: Vec<Bytes>, len: usize },
    /// Its answer is a stream.
    Events(Framer),
    /// The client is asked.
    Asking(Asking),
    /// The answer is known; the upstream's stream may still end by itself. `Some`: it goes out whole, then.
    Closing(Option<Bytes>),
}

impl Up {
    /// Bytes of the request, kept for the next round, and of an answer that cannot go on yet.
    pub(in crate::engine::exchange) fn held(&self) -> usize {
        let answer = match &self.stage {
            Stage::Introducing | Stage::AwaitHead | Stage::Asking(_) | Stage::Closing(None) => 0,
            Stage::Collect { len, .. } => *len,
            Stage::Events(framer) => framer.kept().len(),
            Stage::Closing(Some(message)) => message.len(),
        };
        self.call.body.len() + self.out.held() + answer
    }

    /// The client is gone: that is no cancel (2025-11-25, transports), so what the upstream works on goes on.
    pub(in crate::engine::exchange) fn left(&self) -> Option<Command> {
        match self.stage {
            Stage::AwaitHead | Stage::Collect { .. } | Stage::Events(_) => Some(Command::OutliveCall),
            Stage::Introducing | Stage::Asking(_) | Stage::Closing(_) => None,
        }
    }

    fn asked(&self) -> Asked<'_> {
        Asked {
            method: self.method,
            id: self.request.id().unwrap_or(b"null"),
        }
    }

    fn upstream(&self) -> Arc<str> {
        Arc::clone(&self.call.upstream.name)
    }

    /// The message to the upstream: its headers and body.
    fn command(&self, retry: Option<&Retry>) -> Option<Command> {
        let capabilities = self.capabilities();
        let sender = Introduction {
            version: self.version,
            capabilities: &capabilities,
            info: &self.client.info,
            level: self.level.map(Level::as_str),
        };
        let body = modern::request::introduce(&self.call.body, &sender, retry)?;
        let mut headers = vec![("accept".into(), Bytes::from_static(heading::BOTH_TYPES))];
        headers.extend_from_slice(self.call.delegation.headers());
        headers.extend(modern::headers::of(&body, self.method, self.version, &self.call.params));
        let passed = heading::client_headers(
            &self.request.endpoint,
            &self.call,
            Era::Modern,
            &headers,
            &self.request.headers,
        );
        Some(Command::Call(Call {
            upstream: self.upstream(),
            // What a legacy client says in the headers of the modern era is not checked, so it does not count.
            passed: passed.filtered(|name| !name.starts_with(b"mcp-")),
            headers,
            body,
            timeout: self.call.upstream.call_timeout,
        }))
    }

    /// What the client declared; of one that cannot be asked, without what it would be asked for: an upstream may know
    /// how to do without.
    fn capabilities(&self) -> std::borrow::Cow<'_, str> {
        match self.request.accepts {
            Accepts::Both => (&*self.client.capabilities).into(),
            Accepts::Json => modern::request::unasked(&self.client.capabilities).into(),
        }
    }
}

impl Exchange {
    /// A legacy client calls a modern upstream. `calls` stands at the call to make.
    pub(in crate::engine::exchange) fn bridge_up(&mut self, request: Box<Request>, calls: Calls) -> Step {
        let spoken = calls.spoken_to(Era::Legacy);
        let (Some(call), Some(method), Some((_, speech))) = (calls.current().cloned(), request.sender.known, spoken)
        else {
            return self.reject_missing(&request);
        };
        if wants_task(&call.body) {
            return self.reject(&Reject::Input(Input::Task), request.id());
        }
        let question = request.sender.session.map(Question::Introduce);
        let out = Out::new(self.modes.request == BodyMode::FullDuplex, request.accepts, &calls);
        let up = Box::new(Up {
            request,
            calls,
            call,
            method,
            version: speech.version,
            client: Arc::default(),
            level: None,
            round: 0,
            out,
            stage: Stage::Introducing,
        });
        self.record.way = Way::Relay;
        let Some(question) = question else {
            return self.up_call(up, None);
        };
        self.phase = Phase::BridgingUp(up);
        Step {
            commands: vec![Command::Ask(question)],
            ..Step::default()
        }
    }

    /// Something happened while the call is under way.
    pub(in crate::engine::exchange) fn bridging_up(&mut self, up: Box<Up>, event: Event, now: Timestamp) -> Step {
        match event {
            Event::Finding(finding) => self.up_found(up, finding),
            Event::Call(CallEvent::Head(head)) => self.up_head(up, &head),
            Event::Call(CallEvent::Chunk(chunk)) => self.up_chunk(up, &chunk, now),
            Event::Call(CallEvent::End) => self.up_end(up, now),
            Event::Call(CallEvent::Failed(failure)) => self.up_failed(up, failure),
            Event::Answered { id, message } => self.up_answered(up, &id, &message),
            Event::Cancelled => self.up_cancelled(up),
            Event::Timer => self.up_timer(up, now),
            Event::NoRoom => self.up_crowded(up),
            Event::Call(CallEvent::Pushed(_)) | Event::Envoy(_) | Event::Hub(_) | Event::Refused(_) | Event::Closed => {
                self.stay(Phase::BridgingUp(up))
            }
        }
    }

    fn up_found(&mut self, mut up: Box<Up>, finding: Finding) -> Step {
        match (&up.stage, finding) {
            (Stage::Introducing, Finding::Introduced(client, level)) => {
                up.client = client;
                up.level = level;
                let watch = up.request.sender.session.zip(up.request.id());
                let watch = watch.map(|(session, id)| Command::Watch {
                    session: session.key,
                    id: String::from_utf8_lossy(id).into(),
                });
                let mut step = self.up_call(up, None);
                step.commands.splice(0..0, watch);
                step
            }
            (_, Finding::Ended) => self.reject(&Reject::SessionNotFound("session_ended"), up.request.id()),
            (
                Stage::Introducing
                | Stage::AwaitHead
                | Stage::Collect { .. }
                | Stage::Events(_)
                | Stage::Asking(_)
                | Stage::Closing(_),
                // Nothing else was asked.
                _,
            ) => self.stay(Phase::BridgingUp(up)),
        }
    }

    /// For how long the upstream may be silent within an answer of which nothing went out yet: event streams need not end.
    /// Under BUFFERED a deadline for all of it is running.
    fn up_patience_within(&self, up: &Up) -> Option<Command> {
        let within = matches!(up.stage, Stage::Collect { .. } | Stage::Events(_));
        let waits = within && !up.out.is_open() && self.modes.request == BodyMode::FullDuplex;
        up.call.deadline().filter(|_| waits).map(Command::Arm)
    }

    /// Makes the call, for the first time or with what the client said.
    fn up_call(&mut self, mut up: Box<Up>, retry: Option<&Retry>) -> Step {
        let Some(call) = up.command(retry) else {
            return self.reject(&Reject::Params("params must be an object"), up.request.id());
        };
        let mut commands = vec![call];
        if up.out.is_open() {
            commands.push(Command::Arm(KEEP_ALIVE));
        } else if self.modes.request != BodyMode::FullDuplex {
            // Envoy waits no longer than its message_timeout.
            commands.push(Command::Arm(up.call.upstream.call_timeout.saturating_add(WHOLE)));
        } else if retry.is_some() {
            // What was armed was for the round before.
            commands.push(Command::Disarm);
        }
        up.stage = Stage::AwaitHead;
        self.phase = Phase::BridgingUp(up);
        Step {
            commands,
            ..Step::default()
        }
    }

    fn up_timer(&mut self, up: Box<Up>, now: Timestamp) -> Step {
        match &up.stage {
            Stage::Asking(_) => self.up_patience(up, now),
            Stage::Closing(_) => self.up_end(up, now),
            Stage::Introducing | Stage::AwaitHead | Stage::Collect { .. } | Stage::Events(_) => {
                if up.out.is_open() {
                    let step = up.out.keep_alive(KEEP_ALIVE);
                    self.phase = Phase::BridgingUp(up);
                    return step;
                }
                self.up_failed(up, UpstreamFailure::TimedOut)
            }
        }
    }

    /// The client takes its request back: closing its stream tells the upstream (2026-07-28, Cancellation).
    fn up_cancelled(&mut self, up: Box<Up>) -> Step {
        self.record.reason = Some("cancelled");
        if !up.out.may_stream() {
            return self.reject(&Reject::Input(Input::Cancelled), up.request.id());
        }
        // No response is wanted (2025-11-25, cancellation): the stream ends without one.
        let Up { request, mut out, .. } = *up;
        let mut step = Step::default();
        self.up_emit(&mut step, &request, &mut out, None, true);
        step.commands.push(Command::CancelCall);
        step
    }

    /// The upstream is of no use: the next one in line, or an error.
    fn up_failed(&mut self, up: Box<Up>, failure: UpstreamFailure) -> Step {
        if let Stage::Closing(_) | Stage::Asking(_) = up.stage {
            // It has said what it had to say.
            return self.up_closed(up);
        }
        self.up_trouble(up, Trouble::Failed(failure))
    }

    /// No room is left for what is collected (`limits.bodies`); an answer that is known already goes out all the same.
    fn up_crowded(&mut self, up: Box<Up>) -> Step {
        match &up.stage {
            Stage::Closing(_) => self.up_closed(up),
            Stage::Introducing | Stage::AwaitHead | Stage::Collect { .. } | Stage::Events(_) | Stage::Asking(_) => {
                self.up_reject(up, &Reject::NoRoom)
            }
        }
    }

    /// Its head says that the upstream does not take the call. One that refused what spoke for the caller has done nothing
    /// else: the call is made once more if its caller has something else by now, and was asked nothing yet.
    fn up_unwelcome(&mut self, up: Box<Up>, status: u16, trouble: Trouble) -> Step {
        let spent = delegate::spent(&up.call.delegation, status);
        let mut step = if spent.is_none() || up.out.is_open() || up.round > 0 {
            self.up_trouble(up, trouble)
        } else {
            let Up { request, calls, .. } = *up;
            let mut step = self.speak_anew(request, calls, trouble);
            step.commands.insert(0, Command::CancelCall);
            step
        };
        step.commands.splice(0..0, spent);
        step
    }

    fn up_trouble(&mut self, up: Box<Up>, trouble: Trouble) -> Step {
        if up.out.is_open() {
            let reject = Reject::Upstream(trouble.at(&up.call.upstream), up.upstream());
            return self.up_reject(up, &reject);
        }
        let Up {
            request, calls, call, ..
        } = *up;
        let mut step = self.try_next(request, calls.or(call), trouble);
        step.commands.insert(0, Command::CancelCall);
        step
    }

    /// Ends with an error, on the stream if there is one.
    fn up_reject(&mut self, up: Box<Up>, reject: &Reject) -> Step {
        let withdrawn = up.withdrawn();
        let Up { request, mut out, .. } = *up;
        if !out.is_open() {
            return self.reject(reject, request.id());
        }
        self.record.code = Some(reject.code().0);
        self.record.reason = Some(reject.reason());
        let mut step = Step::default();
        for message in withdrawn {
            self.up_emit(&mut step, &request, &mut out, Some(out::event(message)), false);
        }
        let answer = out::event(reject.body(request.id()));
        self.up_emit(&mut step, &request, &mut out, Some(answer), true);
        step.commands.push(Command::CancelCall);
        step
    }
}

/// The request is to become a task of 2025-11-25, whatever its `task` says.
fn wants_task(body: &Bytes) -> bool {
    let text = std::str::from_utf8(body).unwrap_or_default();
    let params = Object::read(text)
        .ok()
        .and_then(|envelope| envelope.object("params").ok()?);
    params.is_some_and(|params| params.raw("task").is_some_and(|task| task != "null"))
}
