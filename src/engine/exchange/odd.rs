//! Odd turns: the stream is gone, Envoy answers in our place, an event comes that nobody waits for.

use super::event::{Event, Message};
use super::outgoing::verdict;
use super::reject::Reject;
use super::step::{Command, End, HeaderWork, Reply, Step};
use super::{Exchange, Phase};

impl Exchange {
    /// The stream is gone: what was opened for this exchange alone is closed.
    pub(super) fn closed(phase: Phase) -> Step {
        let mut step = Step {
            end: End::Done,
            ..Step::default()
        };
        match phase {
            Phase::Calling(relay) => {
                step.commands.push(Command::CancelCall);
                step.commands.extend(relay.into_close());
            }
            Phase::BridgingUp(up) => step.commands.extend(up.left()),
            Phase::Replaying(_) => step.commands.push(Command::CancelCall),
            Phase::BridgingDown(down) => step.commands.extend(down.into_close()),
            Phase::AwaitHead
            | Phase::Doorstep(_)
            | Phase::AwaitBody(_)
            | Phase::Viewing(_)
            | Phase::Asking(..)
            | Phase::Forwarded(_)
            | Phase::PassedOn(_)
            | Phase::Recovering(_)
            | Phase::Streaming(_)
            | Phase::Passing
            | Phase::Inspecting(_)
            | Phase::Done => {}
        }
        step
    }

    /// A response goes to the client as it comes.
    pub(super) fn pass(message: Message, phase: &mut Phase) -> Step {
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
    pub(super) fn unexpected(&mut self, phase: Phase, event: Event) -> Step {
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
            Event::Envoy(Message::RequestTrailers) if matches!(phase, Phase::Forwarded(_) | Phase::PassedOn(_)) => {
                // Under BUFFERED, where trailers are asked for, they come after the body was replied to.
                self.phase = phase;
                Step {
                    replies: vec![Reply::RequestTrailers],
                    ..Step::default()
                }
            }
            Event::Envoy(Message::RequestHeaders(_) | Message::RequestBody { .. } | Message::RequestTrailers) => {
                match phase {
                    Phase::AwaitHead | Phase::Doorstep(_) | Phase::AwaitBody(_) => {
                        self.reject(&Reject::Wiring("request_header_mode must be SEND"), None)
                    }
                    Phase::Viewing(_)
                    | Phase::Asking(..)
                    | Phase::Calling(_)
                    | Phase::BridgingUp(_)
                    | Phase::BridgingDown(_)
                    | Phase::Forwarded(_)
                    | Phase::PassedOn(_)
                    | Phase::Recovering(_)
                    | Phase::Replaying(_)
                    | Phase::Streaming(_)
                    | Phase::Passing
                    | Phase::Inspecting(_)
                    | Phase::Done => self.stay(phase),
                }
            }
            Event::Envoy(message @ (Message::ResponseBody { .. } | Message::ResponseTrailers)) => match phase {
                Phase::Recovering(suspicion) => self.hold(suspicion, message),
                phase @ (Phase::AwaitHead
                | Phase::Doorstep(_)
                | Phase::AwaitBody(_)
                | Phase::Viewing(_)
                | Phase::Asking(..)
                | Phase::Calling(_)
                | Phase::BridgingUp(_)
                | Phase::BridgingDown(_)
                | Phase::Forwarded(_)
                | Phase::PassedOn(_)
                | Phase::Streaming(_)
                | Phase::Passing
                | Phase::Inspecting(_)
                // Of the answer that is replaced.
                | Phase::Replaying(_)
                | Phase::Done) => self.stay(phase),
            },
            // Late or early: nothing waits for it.
            Event::Finding(_)
            | Event::Call(_)
            | Event::Answered { .. }
            | Event::Cancelled
            | Event::Hub(_)
            | Event::Timer
            | Event::NoRoom
            | Event::Refused(_)
            | Event::Closed => self.stay(phase),
        }
    }

    pub(super) fn stay(&mut self, phase: Phase) -> Step {
        self.phase = phase;
        Step::default()
    }
}
