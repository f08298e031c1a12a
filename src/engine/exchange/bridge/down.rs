//! A modern client calls an upstream that is only legacy: the processor makes the call, in an upstream session that is
//! borrowed for it from a pool, and says what the upstream says in the words of the modern era.
//!
//! ```text
//! bridge_down -> Borrowing -> Under -> answer
//!                               `-> the upstream asks: input_required, the call is parked
//! bridge_down -> Resuming (the retry) -> Under -> answer, or input_required again
//! ```
//! A parked call lives in this process alone: its state names it, and whoever does not find it refuses the retry.

mod course;
mod ending;
mod open;
mod parked;

pub use parked::Parked;

use crate::engine::era::bridge::down::{Taken, digest, request};
use crate::engine::era::legacy;
use crate::engine::exchange::event::Finding;
use crate::engine::exchange::outgoing::calls::Calls;
use crate::engine::exchange::outgoing::tie::Found;
use crate::engine::exchange::outgoing::verdict::Settled;
use crate::engine::exchange::outgoing::{Outgoing, heading};
use crate::engine::exchange::record::Way;
use crate::engine::exchange::reject::{Reject, Trouble};
use crate::engine::exchange::step::{Attended, Borrower, Call, Command, Notice, ParkKey, Question, Step};
use crate::engine::exchange::{Accepts, BodyMode, Exchange, Phase, Request};
use crate::engine::mcp::{Era, Method};
use crate::engine::session::{Binding, Client, Level, RequestState, StateError, Timestamp};
use open::{Open, Reading};
use std::sync::Arc;

/// Where such a call stands.
#[derive(Debug)]
pub(in crate::engine::exchange) enum Down {
    /// An upstream session is being found.
    Borrowing(Box<Waiting>),
    /// The parked call is being found.
    Resuming(Box<Waiting>),
    /// The upstream has it.
    Under(Box<Under>),
}

/// A request that was read for the upstream.
#[derive(Debug)]
pub(in crate::engine::exchange) struct Waiting {
    request: Box<Request>,
    calls: Calls,
    call: Outgoing,
    taken: Taken,
    /// `None`: the upstream knows no sessions.
    borrower: Option<Arc<Borrower>>,
    /// The raw id that the upstream sees.
    own: Box<str>,
}

/// A call that the upstream has.
#[derive(Debug)]
pub(in crate::engine::exchange) struct Under {
    request: Box<Request>,
    calls: Calls,
    open: Open,
    /// The answer is an event stream that has begun.
    streaming: bool,
}

impl Down {
    pub(in crate::engine::exchange) fn held(&self) -> usize {
        match self {
            Self::Borrowing(waiting) | Self::Resuming(waiting) => waiting.taken.body.len(),
            Self::Under(under) => under.open.held(),
        }
    }

    /// The client has left: to a modern client that is to cancel.
    pub(in crate::engine::exchange) fn into_close(self) -> Vec<Command> {
        match self {
            Self::Borrowing(_) | Self::Resuming(_) => Vec::new(),
            Self::Under(under) => {
                let cancelled = Command::Notify(under.open.cancelled());
                [Command::CancelCall, cancelled]
                    .into_iter()
                    .chain(under.open.give_back().map(Command::Notify))
                    .collect()
            }
        }
    }
}

impl Exchange {
    /// A modern client calls a legacy upstream. `calls` stands at the call to make.
    pub(in crate::engine::exchange) fn bridge_down(&mut self, request: Box<Request>, calls: Calls) -> Step {
        let Some(call) = calls.current().cloned() else {
            return self.reject_missing(&request);
        };
        let bridged = matches!(
            request.sender.known,
            Some(Method::ToolsCall | Method::PromptsGet | Method::ResourcesRead | Method::Complete)
        );
        if !bridged {
            // Tasks of the two eras have nothing in common.
            return self.reject(&Reject::UnknownMethod(Era::Modern), request.id());
        }
        let own: Box<str> = format!("\"mb-{:016x}\"", self.entropy >> 64).into();
        let Some(taken) = request::take(&call.body, &own) else {
            return self.reject_missing(&request);
        };
        let Ok(level) = level(&taken) else {
            let complaint = "_meta io.modelcontextprotocol/logLevel must be one of the RFC 5424 levels";
            return self.reject(&Reject::Params(complaint), request.id());
        };
        let speech = call.upstream.speech(Era::Legacy);
        let Some(speech) = speech else {
            return self.try_next(request, calls, Trouble::NotListed);
        };
        self.record.way = Way::Relay;
        let borrower = speech.stateful.then(|| {
            Arc::new(Borrower {
                upstream: Arc::clone(&call.upstream.name),
                version: speech.version,
                principal: request.identity.hash(),
                client: client(&taken),
                level,
                delegation: call.delegation.clone(),
            })
        });
        let waiting = Box::new(Waiting {
            request,
            calls,
            call,
            taken,
            borrower,
            own,
        });
        if let Some(state) = &waiting.taken.state {
            return match self.parked_at(&waiting, state) {
                Ok(key) => self.down_await(Down::Resuming(waiting), Command::Resume(key)),
                Err(error) => self.reject(&Reject::RequestState(error), waiting.request.id()),
            };
        }
        match &waiting.borrower {
            Some(borrower) => {
                let question = Command::Ask(Question::Borrow {
                    borrower: Arc::clone(borrower),
                    trace: self.span_of_call(),
                });
                self.down_await(Down::Borrowing(waiting), question)
            }
            None => {
                let binding = Binding {
                    delegation: waiting.call.delegation.clone(),
                    ..Binding::stateless(speech.version)
                };
                self.down_begin(*waiting, binding)
            }
        }
    }

    fn down_await(&mut self, down: Down, command: Command) -> Step {
        self.phase = Phase::BridgingDown(down);
        Step {
            commands: vec![command],
            ..Step::default()
        }
    }

    /// Which parked call the presented state is for.
    fn parked_at(&self, waiting: &Waiting, state: &str) -> Result<ParkKey, StateError> {
        let request = self.digest(&waiting.request, &waiting.taken);
        let expected = self.request_state(&waiting.request, request, self.now);
        RequestState::verify(state, &expected, &waiting.request.endpoint.keys).map(ParkKey)
    }

    /// The state for a call that this exchange parks.
    fn request_state(&self, request: &Request, digest: [u8; 16], expires: Timestamp) -> RequestState {
        RequestState {
            endpoint: request.endpoint.hash,
            key: self.entropy,
            principal: request.identity.hash(),
            request: digest,
            expires,
        }
    }

    /// What the request is, so that its state is good for no other.
    fn digest(&self, request: &Request, taken: &Taken) -> [u8; 16] {
        let method = request.sender.known.map_or("", Method::as_str);
        let name = self.record.tool.as_deref().unwrap_or_default();
        digest::of_request(method, name, taken.arguments.as_deref())
    }

    /// A question about this call is answered.
    pub(in crate::engine::exchange) fn down_found(&mut self, down: Down, finding: Finding) -> Step {
        match (down, finding) {
            (Down::Resuming(waiting), Finding::Resumed(parked)) => self.down_resume(*waiting, *parked),
            (Down::Resuming(waiting), Finding::NotParked) => {
                self.reject(&Reject::RequestState(StateError::Gone), waiting.request.id())
            }
            (down, finding) => self.down_tied(down, Found::of(finding)),
        }
    }

    /// The same for what concerns the upstream session.
    fn down_tied(&mut self, down: Down, found: Option<Found>) -> Step {
        match (down, found) {
            (Down::Borrowing(waiting), Some(Found::Bound(binding))) => self.down_begin(*waiting, binding),
            (Down::Borrowing(waiting), Some(Found::Unbindable(failure))) => {
                let Waiting { request, calls, .. } = *waiting;
                self.unbindable(request, calls, failure)
            }
            (Down::Under(under), Some(Found::StillThere)) => self.down_settled(under),
            (Down::Under(mut under), Some(Found::Reopened(binding))) => {
                under.open.binding = binding;
                self.record.replayed = true;
                under.open.again();
                self.down_call(under, Step::default())
            }
            (Down::Under(under), Some(Found::Unbindable(failure))) => {
                self.down_refused(*under, Step::default(), Trouble::Failed(failure))
            }
            (
                down,
                Some(
                    Found::Live
                    | Found::Ended
                    | Found::Bound(_)
                    | Found::Unbindable(_)
                    | Found::StillThere
                    | Found::Reopened(_)
                    | Found::Delegated(_),
                )
                | None,
            ) => self.stay(Phase::BridgingDown(down)),
        }
    }

    /// No room is left for what this call holds (`limits.bodies`).
    pub(in crate::engine::exchange) fn down_crowded(&mut self, down: Down) -> Step {
        match down {
            Down::Borrowing(waiting) | Down::Resuming(waiting) => self.reject(&Reject::NoRoom, waiting.request.id()),
            Down::Under(under) => self.down_no_room(&under),
        }
    }

    /// The upstream session is there: make the call.
    fn down_begin(&mut self, waiting: Waiting, binding: Binding) -> Step {
        let under = Under {
            open: Open::new(&waiting, binding),
            request: waiting.request,
            calls: waiting.calls,
            streaming: false,
        };
        self.down_call(Box::new(under), Step::default())
    }

    /// Sends the call, dropping one that was sent before.
    fn down_call(&mut self, under: Box<Under>, mut step: Step) -> Step {
        step.commands.push(Command::CancelCall);
        step.commands.push(Command::Attend(Attended {
            call: call_of(&under),
            delegation: under.open.call.delegation.clone(),
            pushes: under.open.pushes,
            resume: None,
        }));
        self.down_wait(under, step)
    }

    /// The client has come back with what it was asked for.
    fn down_resume(&mut self, waiting: Waiting, parked: Parked) -> Step {
        let Waiting {
            request,
            calls,
            call,
            taken,
            own,
            ..
        } = waiting;
        let mut open = parked.open;
        // What spoke for the caller may have grown old meanwhile.
        open.call.delegation = call.delegation.clone();
        open.binding.delegation = call.delegation;
        self.record.upstream = Some(Arc::clone(&open.call.upstream.name));
        let answers = open.inputs.answered(taken.responses.as_deref());
        let mut step = Step::default();
        let upstream = &open.call.upstream.name;
        step.commands.extend(answers.responses.into_iter().map(|message| {
            Command::Notify(Notice::Tell {
                upstream: Arc::clone(upstream),
                binding: open.binding.clone(),
                message,
            })
        }));
        let elsewhere = open.elsewhere.take();
        let mut under = Box::new(Under {
            request,
            calls,
            open,
            streaming: false,
        });
        match elsewhere {
            Some(words) if answers.declined > 0 => self.down_declined(&under, step, &words),
            elsewhere if !under.open.inputs.is_empty() => {
                under.open.elsewhere = elsewhere;
                self.down_park(under, step)
            }
            Some(_) => {
                under.open.anew(taken.body, own);
                self.down_call(under, step)
            }
            None => self.down_read(under, step),
        }
    }

    /// The session is alive: what the upstream said to its call stands.
    fn down_settled(&mut self, mut under: Box<Under>) -> Step {
        let Reading::Json(collected) = &mut under.open.reading else {
            return self.stay(Phase::BridgingDown(Down::Under(under)));
        };
        match collected.doubt.take() {
            Some(Settled::Replace(trouble)) => self.down_refused(*under, Step::default(), trouble),
            Some(Settled::Pass(_)) | None if collected.complete => self.down_whole(under),
            Some(Settled::Pass(_)) | None => self.stay(Phase::BridgingDown(Down::Under(under))),
        }
    }

    /// Something may leave before the answer is there.
    fn down_may_stream(&self, under: &Under) -> bool {
        self.modes.request == BodyMode::FullDuplex
            && under.request.accepts == Accepts::Both
            && !under.calls.asking_around()
    }
}

fn call_of(under: &Under) -> Call {
    let open = &under.open;
    let headers = heading::own_headers(&open.call, Era::Legacy, &open.binding);
    let passed = heading::client_headers(
        &under.request.endpoint,
        &open.call,
        Era::Legacy,
        &headers,
        &under.request.headers,
    );
    Call {
        upstream: Arc::clone(&open.call.upstream.name),
        // Mcp-Method, Mcp-Name, Mcp-Param-*: what they mirror is not what the upstream gets.
        passed: passed.filtered(|name| !name.starts_with(b"mcp-")),
        headers,
        body: open.body.clone(),
        timeout: open.call.deadline().unwrap_or(open.call.upstream.call_timeout),
    }
}

/// What the upstream session is opened as: the client itself, as far as it says who it is.
fn client(taken: &Taken) -> Client {
    let own = Client::default();
    Client {
        capabilities: legacy::capabilities(&taken.capabilities),
        info: taken
            .info
            .clone()
            .filter(|info| info.starts_with('{'))
            .unwrap_or(own.info),
    }
}

/// The level that log messages are asked for at.
fn level(taken: &Taken) -> Result<Option<Level>, ()> {
    let Some(raw) = &taken.level else { return Ok(None) };
    let word: Option<String> = serde_json::from_str(raw).ok();
    word.and_then(|word| Level::parse(&word)).map(Some).ok_or(())
}
