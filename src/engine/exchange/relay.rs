//! Relay: the processor makes the call itself and the answer goes out as a response of its own.
//!
//! What the client sees is what it would see of a forward: status, headers and bytes of the upstream, each piece as it
//! comes. Used where Envoy cannot: a call without a session (one-shot upstream session), a client that reads only JSON, a resource
//! that several upstreams are asked for in turn, a subscription, a replay after a lost session, an upstream with
//! `via: direct`.

mod collected;
mod incoming;
mod outcome;
mod pulse;

use super::outgoing::calls::Calls;
use super::outgoing::verdict::{Media, Settled};
use super::outgoing::{Outgoing, heading};
use super::record::Way;
use super::step::{Call, Command, HeaderName, Notice, Step};
use super::{Accepts, BodyMode, Exchange, Headers, Phase, Request};
use crate::engine::call::Inspector;
use crate::engine::mcp::Era;
use crate::engine::session::Binding;
use crate::engine::sse::Decoder;
use bytes::Bytes;
use pulse::Pulse;
use std::sync::Arc;
use std::time::Duration;

/// An answer that can only be given whole may take so much longer than its headers: Envoy's message_timeout is the
/// largest `timeout.call` and 30 s, and some of that has passed.
pub(super) const WHOLE: Duration = Duration::from_secs(20);
/// A stream that we write is never silent for longer: clients and what stands between cut silent ones.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// A comment. One line end, for it may come between the lines of an event.
pub(super) const COMMENT: Bytes = Bytes::from_static(b": keep-alive\n");
/// As long as a task may take.
const LONG: Duration = Duration::from_secs(24 * 3600);
/// A JSON answer of so many bytes that comes within [`PROMPT`] goes out whole, and one that breaks off before that becomes
/// an error that the client can read; nobody can use half of it. Any other is streamed where the wiring can.
const SMALL: usize = 64 << 10;
/// See [`SMALL`].
const PROMPT: Duration = Duration::from_millis(50);
/// An answer that must be collected may not be larger.
const COLLECT_MAX: usize = 64 << 20;

/// A call that the processor makes.
#[derive(Debug)]
pub(super) struct Relay {
    request: Box<Request>,
    calls: Calls,
    call: Outgoing,
    binding: Binding,
    /// StreamedImmediateResponse is possible: request phase, FULL_DUPLEX.
    streamable: bool,
    turn: Turn,
    stage: Stage,
    /// Rewrites what the upstream says, where that is needed.
    inspector: Option<Box<Inspector>>,
}

/// How often the upstream has seen this call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Never; a lost upstream session can be recovered.
    First,
    /// Once: it is not made a third time.
    Second,
}

#[derive(Debug)]
enum Stage {
    AwaitHead,
    /// The answer is collected to be sent whole.
    Collect(Box<Collected>),
    /// The answer is on its way to the client.
    Stream(Flow),
}

/// An answer on its way.
#[derive(Debug)]
enum Flow {
    Json,
    Events(Pulse),
}

#[derive(Debug)]
struct Collected {
    head: Head,
    pieces: Vec<Bytes>,
    len: usize,
    complete: bool,
    /// See [`Relay::new_listener`].
    listener: Option<Decoder>,
    /// Whether the upstream session is lost is being found out; what to do if it is not.
    doubt: Option<Settled>,
}

/// The beginning of an answer.
#[derive(Debug)]
struct Head {
    status: u16,
    media: Media,
    /// For the client, without the length.
    headers: Vec<(HeaderName, Bytes)>,
    /// Of the body, where the upstream says it.
    length: Option<Bytes>,
}

impl Head {
    /// The upstream says that its body is longer.
    fn says_more_than(&self, bytes: usize) -> bool {
        let length = self
            .length
            .as_deref()
            .and_then(|length| std::str::from_utf8(length).ok());
        length
            .and_then(|length| length.parse().ok())
            .is_some_and(|length: usize| length > bytes)
    }
}

impl Relay {
    pub(super) fn held(&self) -> usize {
        let unfinished = self.inspector.as_ref().map_or(0, |inspector| inspector.held());
        let listened = match &self.stage {
            Stage::Collect(collected) => collected.listener.as_ref().map_or(0, Decoder::held),
            Stage::AwaitHead | Stage::Stream(_) => 0,
        };
        self.call.body.len() + self.collected() + unfinished + listened
    }

    /// What has to be closed when the relay ends.
    pub(super) fn into_close(self: Box<Self>) -> Option<Command> {
        self.close()
    }

    fn close(&self) -> Option<Command> {
        (self.calls.one_shot && self.binding.id.is_some()).then(|| {
            Command::Notify(Notice::Close {
                upstream: Arc::clone(&self.call.upstream.name),
                binding: self.binding.clone(),
            })
        })
    }

    /// Tells a legacy upstream that nobody waits any more; the end of a one-shot session says so too.
    fn cancel(&self) -> Option<Command> {
        let id = self.request.id().filter(|_| !self.calls.one_shot)?;
        (self.request.era() == Era::Legacy).then(|| {
            Command::Notify(Notice::Cancelled {
                upstream: Arc::clone(&self.call.upstream.name),
                binding: self.binding.clone(),
                id: String::from_utf8_lossy(id).into(),
            })
        })
    }

    fn command(&self) -> Command {
        let own = heading::own_headers(&self.call, self.request.era(), &self.binding);
        Command::Call(Call {
            upstream: Arc::clone(&self.call.upstream.name),
            passed: heading::client_headers(
                &self.request.endpoint,
                &self.call,
                self.request.era(),
                &own,
                &self.request.headers,
            ),
            headers: own,
            body: self.call.body.clone(),
            timeout: self.call.deadline().unwrap_or(LONG),
        })
    }

    /// What rewrites the answer, if somebody has to.
    fn new_inspector(&self) -> Option<Box<Inspector>> {
        if self.call.tasks {
            let inspector = Inspector::with_tasks(Arc::clone(&self.call.upstream.name));
            return Some(Box::new(if self.call.upstream.rewrites {
                inspector.naming_resources()
            } else {
                inspector
            }));
        }
        let looks = self.request.is_inspected();
        looks.then(|| Box::new(self.request.new_inspector(&self.call.upstream)))
    }

    /// What listens for a request of the upstream that nobody would hear: the answer goes out only when it is whole.
    fn new_listener(&self, media: Media) -> Option<Decoder> {
        let hears = self.streamable && self.request.accepts == Accepts::Both;
        let unheard = media == Media::EventStream && !hears && self.request.is_inspected();
        unheard.then(Decoder::default)
    }

    /// A piece of an event stream as the client may see it; it may be empty, since half an event waits.
    fn inspect(&mut self, chunk: Bytes) -> Bytes {
        let is_events = match &self.stage {
            Stage::AwaitHead | Stage::Stream(Flow::Json) => false,
            Stage::Collect(collected) => collected.head.media == Media::EventStream,
            Stage::Stream(Flow::Events(_)) => true,
        };
        match &mut self.inspector {
            Some(inspector) if is_events => inspector.pass(&chunk),
            Some(_) | None => chunk,
        }
    }

    /// The stream is over: what the inspector still holds of it.
    fn held_back(&mut self) -> Bytes {
        self.inspector
            .as_mut()
            .map_or_else(Bytes::new, |inspector| inspector.rest())
    }

    /// Bytes of an answer that is being collected.
    const fn collected(&self) -> usize {
        match &self.stage {
            Stage::Collect(collected) => collected.len,
            Stage::AwaitHead | Stage::Stream(_) => 0,
        }
    }

    /// For how long the upstream may be silent within an answer that must be whole: event streams need not end. `None`: the
    /// answer goes out as it comes, or a deadline for all of it is running, or it takes as long as a task does.
    fn patience(&self) -> Option<Duration> {
        let collecting = matches!(&self.stage, Stage::Collect(collected) if collected.doubt.is_none());
        let waits = collecting && self.streamable && !self.may_stream();
        self.call.deadline().filter(|_| waits)
    }

    /// The answer that is being collected may leave before it is complete.
    fn may_stream(&self) -> bool {
        let readable = match &self.stage {
            Stage::Collect(collected) => match collected.head.media {
                // A JSON message is rewritten as a whole.
                Media::Json => !self.call.tasks,
                Media::EventStream => self.request.accepts == Accepts::Both,
            },
            Stage::AwaitHead | Stage::Stream(_) => false,
        };
        self.streamable && readable && !self.calls.reads_answers() && self.call.subscription.is_none()
    }

    /// The call will not be made again: what it was made of need not be kept as long as the answer takes.
    fn settle(&mut self) {
        self.call.body = Bytes::new();
        self.calls.settle();
        self.request.headers = Headers::default();
    }
}

impl Exchange {
    /// Makes the call of `calls` that is in turn.
    pub(super) fn relay(&mut self, request: Box<Request>, calls: Calls, binding: Binding) -> Step {
        let Some(call) = calls.current().cloned() else {
            return self.reject_missing(&request);
        };
        let streamable = self.modes.request == BodyMode::FullDuplex;
        self.start_relay(Relay {
            request,
            calls,
            call,
            binding,
            streamable,
            turn: Turn::First,
            stage: Stage::AwaitHead,
            inspector: None,
        })
    }

    /// Makes a call again that Envoy had made: in the response-header phase only one whole answer is possible.
    pub(super) fn replay(&mut self, request: Box<Request>, call: Outgoing, binding: Binding, turn: Turn) -> Step {
        let calls = Calls::default();
        let relay = Relay {
            request,
            calls,
            call,
            binding,
            streamable: false,
            turn,
            stage: Stage::AwaitHead,
            inspector: None,
        };
        self.start_relay(relay)
    }

    fn start_relay(&mut self, relay: Relay) -> Step {
        self.record.way = Way::Relay;
        let deadline = if relay.streamable {
            Command::Disarm
        } else {
            Command::Arm(relay.call.upstream.call_timeout.saturating_add(WHOLE))
        };
        let commands = vec![deadline, relay.command()];
        self.phase = Phase::Calling(Box::new(relay));
        Step {
            commands,
            ..Step::default()
        }
    }
}
