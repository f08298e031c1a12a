//! The state machine of one ext_proc stream: one HTTP request and its response.
//!
//! Events in, replies and commands out. Total: whatever comes in, the step is a reply or a wait, never a panic.
//!
//! ```text
//! AwaitHead -> AwaitBody -> (Asking ->) Forwarded -> Done         forward
//!                                         `-> Recovering -> Calling -> Done
//!                                      Forwarded -> Inspecting -> Done          inspected forward (`forward::inspect`)
//!                        -> (Asking ->) Calling -> Done           relay
//!                        -> BridgingUp -> Done                    relay to an upstream of the other era
//!                        -> (Asking ->) Streaming -> Done         GET, subscriptions/listen
//!                        -> PassedOn -> Done                      transparent path
//!                        -> (Asking ->) Done                      answer, reject
//! ```
//!
//! Where a thing happens:
//!
//! | room | what |
//! |---|---|
//! | [`event`], [`headers`], [`modes`] | what may happen, and how Envoy is wired |
//! | [`step`] | what is wanted done: replies to Envoy, commands to the edge |
//! | `arrive` | the request comes in: which endpoint, who calls, the body, what this caller sees |
//! | `decide` | what is to be done with the message, whom it concerns, whether it may be (rules, limits) |
//! | `asking` | a plan is begun, and gone on with once a question is answered |
//! | `outgoing` | what every call to an upstream needs: its turn, its tie, its headers, what speaks for its caller, a verdict on its answer |
//! | `answer`, `forward`, `relay`, `bridge`, `listen`, `transparent` | the ways: out of memory; by Envoy; by the processor; the same in the words of the other era; a stream held open; a transparent path |
//! | `reject` | what may be wrong, and what the client is told |
//! | [`record`] | what is written down, for audit line, metrics and trace |
//! | `odd` | turns that no phase waits for |

pub mod event;
pub mod headers;
pub mod modes;
pub mod record;
pub mod step;

mod answer;
mod arrive;
mod asking;
mod bridge;
mod decide;
mod forward;
mod listen;
mod odd;
mod outgoing;
mod reject;
mod relay;
mod transparent;

pub use arrive::door::{ROUTE_MISSING, ROUTE_REFUSED};
pub use bridge::Parked;
pub use event::{CallEvent, Event, Finding, HubEvent, Message, RequestHead, ResponseHead};
pub use headers::Headers;
pub use modes::{BodyMode, BodyModes};
pub use record::Record;
pub use record::trace::{Carried, Traced, Tracing};
pub use reject::UPSTREAM_UNAUTHORIZED;
pub use step::{Command, End, Reply, Step};

use crate::engine::call::Inspector;
use crate::engine::mcp::Era;
use crate::engine::policy::Identity;
use crate::engine::policy::rate::Quota;
use crate::engine::session::Timestamp;
use crate::engine::snapshot::{Endpoint, Snapshot};
use arrive::door::Accepts;
use arrive::doorstep::Doorstep;
use arrive::intake::Intake;
use arrive::viewing::Viewing;
use asking::Then;
use decide::sender::Sender;
use forward::inspect::Replay;
use record::observe::Watch;
use reject::Reject;
use std::sync::Arc;
use std::time::Duration;

/// One ext_proc stream.
#[derive(Debug)]
pub struct Exchange {
    snapshot: Arc<Snapshot>,
    modes: BodyModes,
    entropy: u128,
    /// When the event that is being handled happened.
    now: Timestamp,
    phase: Phase,
    record: Record,
    /// How the bucket stands that is nearest to its end; told where the answer is ours.
    quota: Option<Box<Quota>>,
    /// Whether the tool that is called fails is to be found out.
    watching: bool,
    watch: Option<Box<Watch>>,
    /// Until it is known whether this belongs to a trace.
    tracing: Option<Box<Tracing>>,
    /// From the beginning to the event that is being handled, as far as anybody has said; for the times of spans.
    elapsed: Duration,
}

/// Where an exchange stands. Each phase owns what it needs and nothing else.
#[derive(Debug)]
enum Phase {
    /// Nothing came yet.
    AwaitHead,
    /// A password is being compared, the body may be on its way.
    Doorstep(Box<Doorstep>),
    /// The body is on its way.
    AwaitBody(Box<Arrival>),
    /// The request is here; what its sender sees is being found out.
    Viewing(Box<Viewing>),
    /// A question is open.
    Asking(Box<Request>, Then),
    /// The processor makes the call.
    Calling(Box<relay::Relay>),
    /// The processor makes the call to a modern upstream for a legacy client.
    BridgingUp(Box<bridge::Up>),
    /// The processor makes the call of a modern client to a legacy upstream.
    BridgingDown(bridge::Down),
    /// Envoy makes the call.
    Forwarded(Box<forward::Forward>),
    /// A transparent path: the server has the request as it came.
    PassedOn(Box<transparent::Passage>),
    /// The upstream session may be lost; a question about it is open.
    Recovering(Box<forward::Suspicion>),
    /// The client holds a stream open.
    Streaming(Box<listen::Listening>),
    /// The response goes to the client as it comes.
    Passing,
    /// The response goes to the client event by event.
    Inspecting(Box<Inspector>),
    /// The processor makes the call again, its answer becomes the response that Envoy holds.
    Replaying(Box<Replay>),
    /// Decided and said.
    Done,
}

/// A request whose body is still coming.
#[derive(Debug)]
struct Arrival {
    endpoint: Arc<Endpoint>,
    identity: Arc<Identity>,
    headers: Headers,
    intake: Intake,
}

/// A request that was read in full.
#[derive(Debug)]
struct Request {
    endpoint: Arc<Endpoint>,
    identity: Arc<Identity>,
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

impl Exchange {
    /// A new exchange under one snapshot. `entropy` becomes the session key if this is an initialize.
    #[must_use]
    pub fn new(snapshot: Arc<Snapshot>, modes: BodyModes, entropy: u128, now: Timestamp) -> Self {
        Self {
            snapshot,
            modes,
            entropy,
            now,
            phase: Phase::AwaitHead,
            record: Record::default(),
            quota: None,
            watching: false,
            watch: None,
            tracing: None,
            elapsed: Duration::ZERO,
        }
    }

    /// Takes one event. Total: a failure is a reply.
    pub fn handle(&mut self, event: Event, now: Timestamp) -> Step {
        self.now = now;
        let mut step = self.turn(event, now);
        if !self.is_blind() {
            self.observe(&step);
        }
        if self.record.trace.is_some() {
            self.trace_calls(&mut step);
        }
        step
    }

    fn turn(&mut self, event: Event, now: Timestamp) -> Step {
        match (std::mem::replace(&mut self.phase, Phase::Done), event) {
            (phase, Event::Closed) => Self::closed(phase),
            (_, Event::Refused(refusal)) => self.reject(&Reject::Refused(refusal), None),
            (Phase::AwaitHead, Event::Envoy(Message::RequestHeaders(head))) => self.head(head, now),
            (Phase::Doorstep(doorstep), Event::Finding(finding)) => self.compared(*doorstep, &finding, now),
            (Phase::Doorstep(doorstep), Event::Envoy(Message::RequestBody { chunk, end })) => {
                self.early(doorstep, chunk, end)
            }
            (Phase::Doorstep(doorstep), Event::Envoy(Message::RequestTrailers)) => self.early_end(doorstep),
            (Phase::Doorstep(_), Event::Timer) => self.reject(&Reject::TooSlow, None),
            (Phase::Doorstep(_), Event::NoRoom) => self.reject(&Reject::NoRoom, None),
            (Phase::AwaitBody(arrival), Event::Envoy(Message::RequestBody { chunk, end })) => {
                self.body(arrival, chunk, end, now)
            }
            (Phase::AwaitBody(arrival), Event::Envoy(Message::RequestTrailers)) => self.read(*arrival, true, now),
            (Phase::AwaitBody(_), Event::Timer) => self.reject(&Reject::TooSlow, None),
            (Phase::AwaitBody(_) | Phase::Viewing(_), Event::NoRoom) => self.reject(&Reject::NoRoom, None),
            (Phase::Viewing(viewing), Event::Finding(finding)) => self.viewed(viewing, finding, now),
            (Phase::Asking(request, _), Event::NoRoom) => self.reject(&Reject::NoRoom, request.id()),
            (Phase::Calling(relay), Event::NoRoom) => self.relay_crowded(&relay),
            (Phase::Inspecting(_), Event::NoRoom) => self.inspection_crowded(),
            (Phase::Replaying(replay), Event::NoRoom) => self.replay_crowded(&replay),
            (Phase::BridgingDown(down), Event::NoRoom) => self.down_crowded(down),
            (Phase::Asking(request, then), Event::Finding(finding)) => self.found(request, then, finding, now),
            (Phase::Calling(relay), Event::Call(event)) => self.relayed(relay, event),
            (Phase::Calling(relay), Event::Finding(finding)) => self.relay_found(relay, finding),
            (Phase::Calling(relay), Event::Timer) => self.relay_timer(relay),
            (
                Phase::BridgingUp(up),
                event @ (Event::Call(_)
                | Event::Finding(_)
                | Event::Answered { .. }
                | Event::Cancelled
                | Event::NoRoom
                | Event::Timer),
            ) => self.bridging_up(up, event, now),
            (Phase::BridgingDown(down), Event::Call(event)) => self.down_called(down, event),
            (Phase::BridgingDown(down), Event::Finding(finding)) => self.down_found(down, finding),
            (Phase::BridgingDown(down), Event::Timer) => self.down_timer(down),
            (Phase::Forwarded(forward), Event::Envoy(Message::ResponseHeaders(head))) => self.responded(forward, head),
            (Phase::Forwarded(forward), Event::Timer) => self.overdue(&forward),
            (Phase::PassedOn(passage), Event::Envoy(Message::ResponseHeaders(head))) => self.passed_on(&passage, &head),
            (Phase::PassedOn(passage), Event::Timer) => self.passage_overdue(&passage),
            (Phase::Recovering(suspicion), Event::Finding(finding)) => self.recovered(*suspicion, finding),
            (Phase::Recovering(suspicion), Event::Timer) => self.undecidable(&suspicion),
            (Phase::Inspecting(inspector), Event::Envoy(message)) => self.inspected(inspector, message),
            (Phase::Replaying(replay), Event::Call(event)) => self.replayed(replay, event),
            (Phase::Replaying(replay), Event::Timer) => self.replay_timer(replay),
            (Phase::Streaming(listening), Event::Hub(event)) => self.streamed(listening, event),
            (Phase::Streaming(listening), Event::Timer) => self.stream_silent(listening),
            (Phase::Passing, Event::Envoy(message)) => Self::pass(message, &mut self.phase),
            (Phase::Done, _) => Step {
                end: End::Done,
                ..Step::default()
            },
            (phase, event) => self.unexpected(phase, event),
        }
    }

    /// Bytes held: of the request body, for decision or replay, and of an answer that cannot go on yet.
    #[must_use]
    pub fn held(&self) -> usize {
        match &self.phase {
            Phase::Doorstep(doorstep) => doorstep.held(),
            Phase::AwaitBody(arrival) => arrival.intake.len(),
            Phase::Viewing(viewing) => viewing.held(),
            Phase::Asking(_, then) => then.held(),
            Phase::Calling(relay) => relay.held(),
            Phase::BridgingUp(up) => up.held(),
            Phase::BridgingDown(down) => down.held(),
            Phase::Forwarded(forward) => forward.held(),
            Phase::Recovering(suspicion) => suspicion.forward.held(),
            Phase::Replaying(replay) => replay.held(),
            Phase::Inspecting(inspector) => inspector.held(),
            Phase::AwaitHead | Phase::PassedOn(_) | Phase::Streaming(_) | Phase::Passing | Phase::Done => 0,
        }
    }

    /// True while what is held is a body kept for a replay alone: it counts against `limits.replay` then.
    #[must_use]
    pub const fn decided(&self) -> bool {
        match &self.phase {
            Phase::AwaitHead
            | Phase::Doorstep(_)
            | Phase::AwaitBody(_)
            | Phase::Viewing(_)
            | Phase::Asking(..)
            | Phase::Calling(_)
            | Phase::BridgingUp(_)
            | Phase::BridgingDown(_)
            | Phase::Inspecting(_) => false,
            Phase::Replaying(replay) => replay.waits(),
            Phase::Forwarded(_)
            | Phase::PassedOn(_)
            | Phase::Recovering(_)
            | Phase::Streaming(_)
            | Phase::Passing
            | Phase::Done => true,
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

#[cfg(test)]
mod tests;
