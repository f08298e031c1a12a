//! An answer to a forward that may not stand: the upstream session may be lost, or what spoke for the caller was refused.
//!
//! Whoever can tell is asked; until then the answer is held. Then it stands, or the call is made once more.

use super::Forward;
use crate::engine::exchange::event::{Finding, Message, ResponseHead, UpstreamFailure};
use crate::engine::exchange::outgoing::delegate;
use crate::engine::exchange::outgoing::tie::Found;
use crate::engine::exchange::outgoing::verdict::{self, Settled};
use crate::engine::exchange::reject::{Reject, Trouble};
use crate::engine::exchange::relay::Turn;
use crate::engine::exchange::step::{Command, Question, Step};
use crate::engine::exchange::{BodyMode, Exchange, Phase};
use crate::engine::session::Delegation;

/// The body of a 400 or 404 that may stand is no longer than this.
const DOUBTFUL: usize = 1 << 20;

/// A forward whose upstream session may be lost.
#[derive(Debug)]
pub(in crate::engine::exchange) struct Suspicion {
    pub(in crate::engine::exchange) forward: Forward,
    head: ResponseHead,
    otherwise: Settled,
    /// What came meanwhile (inspected routes only).
    rest: Vec<Message>,
    /// Bytes of it.
    len: usize,
}

impl Forward {
    /// The same with something else that speaks for its caller.
    fn spoken_for_by(mut self, delegation: Delegation) -> Self {
        self.binding.delegation = delegation.clone();
        self.call.delegation = delegation;
        self
    }
}

impl Exchange {
    /// The upstream's answer is of no use. One that refused what spoke for the caller has done nothing else: the call is made
    /// once more if its caller has something else by now.
    pub(super) fn refused(&mut self, forward: Forward, head: ResponseHead, trouble: Trouble) -> Step {
        let spent = delegate::spent(&forward.call.delegation, verdict::status(&head));
        let errand = forward.call.delegation.errand().cloned();
        let mut step = match errand.filter(|_| spent.is_some() && forward.replayable) {
            Some(errand) => self.doubt(forward, head, Settled::Replace(trouble), Question::Delegate(errand)),
            None => self.replace(&forward, trouble),
        };
        step.commands.splice(0..0, spent);
        step
    }

    pub(super) fn doubt(
        &mut self,
        forward: Forward,
        head: ResponseHead,
        otherwise: Settled,
        question: Question,
    ) -> Step {
        let suspicion = Suspicion {
            forward,
            head,
            otherwise,
            rest: Vec::new(),
            len: 0,
        };
        self.phase = Phase::Recovering(Box::new(suspicion));
        Step {
            commands: vec![Command::Ask(question)],
            ..Step::default()
        }
    }

    /// The response goes on while nobody knows yet whether it stands.
    pub(in crate::engine::exchange) fn hold(&mut self, mut suspicion: Box<Suspicion>, message: Message) -> Step {
        if let Message::ResponseBody { chunk, .. } = &message {
            suspicion.len += chunk.len();
        }
        if suspicion.len > DOUBTFUL {
            return self.replace(&suspicion.forward, Trouble::Failed(UpstreamFailure::Garbage));
        }
        suspicion.rest.push(message);
        self.phase = Phase::Recovering(suspicion);
        Step::default()
    }

    /// It takes too long to find out whether the session was lost. The call itself was answered: nothing to cancel.
    pub(in crate::engine::exchange) fn undecidable(&mut self, suspicion: &Suspicion) -> Step {
        self.replace(&suspicion.forward, Trouble::Failed(UpstreamFailure::TimedOut))
    }

    /// Whether the upstream session was lost is known now.
    pub(in crate::engine::exchange) fn recovered(&mut self, suspicion: Suspicion, finding: Finding) -> Step {
        let Suspicion {
            forward,
            head,
            otherwise,
            rest,
            len: _,
        } = suspicion;
        match Found::of(finding) {
            Some(Found::StillThere) => match otherwise {
                Settled::Pass(_) => {
                    let mut step = self.pass_response(&head);
                    for message in rest {
                        let more = Self::pass(message, &mut self.phase);
                        step.replies.extend(more.replies);
                        step.end = more.end;
                    }
                    step
                }
                Settled::Replace(trouble) => self.replace(&forward, trouble),
            },
            Some(Found::Reopened(binding)) if forward.replayable => {
                self.once_more(Forward { binding, ..forward }, head)
            }
            Some(Found::Delegated(found)) => match delegate::instead(&forward.call.delegation, found) {
                Ok(delegation) => self.once_more(forward.spoken_for_by(delegation), head),
                Err(trouble) => self.replace(&forward, trouble),
            },
            Some(Found::Reopened(_)) => self.replace(&forward, Trouble::Status(verdict::status(&head))),
            Some(Found::Unbindable(failure)) => self.replace(&forward, Trouble::Failed(failure)),
            Some(Found::Ended) => self.reject(&Reject::SessionNotFound("session_ended"), forward.request.id()),
            Some(Found::Live | Found::Bound(_)) | None => {
                self.replace(&forward, Trouble::Failed(UpstreamFailure::Garbage))
            }
        }
    }

    /// Makes the call again, in place of what was answered to it.
    fn once_more(&mut self, forward: Forward, head: ResponseHead) -> Step {
        self.record.replayed = true;
        let Forward {
            request, call, binding, ..
        } = forward;
        let remembered = delegate::remember(&request, &call.upstream, call.delegation.clone());
        let remembered = remembered.filter(|_| call.delegation.errand().is_some());
        let mut step = if request.is_inspected() && self.modes.response == BodyMode::FullDuplex && !head.end {
            self.replay_in_body(request, call, binding, head)
        } else {
            self.replay(request, call, binding, Turn::Second)
        };
        step.commands.splice(0..0, remembered);
        step
    }
}
