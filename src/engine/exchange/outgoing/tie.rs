//! The tie of a call to its upstream: what the call waits for, and the way it goes once that is there.
//!
//! ```text
//! begin_call -> tie -> (delegate) -> tie_spoken -> Bind, Recall, OneShot -> tied -> forward or relay
//!                                        `-> bridge        the upstream speaks the other era
//! ```

use super::Routed;
use super::calls::Calls;
use crate::engine::config::{Confidential, Via};
use crate::engine::exchange::event::{Finding, UpstreamFailure};
use crate::engine::exchange::reject::{Reject, Trouble};
use crate::engine::exchange::step::{Question, Step};
use crate::engine::exchange::{Accepts, Exchange, Request, Then};
use crate::engine::mcp::{Era, Version};
use crate::engine::policy::delegate::Lack;
use crate::engine::session::{Binding, Delegation};
use crate::engine::snapshot::Speech;
use std::sync::Arc;

/// What was found out about the tie of a call, before it is made or while its answer is in doubt.
#[derive(Debug)]
pub(in crate::engine::exchange) enum Found {
    /// No tie is needed: the session is alive.
    Live,
    /// The session was ended meanwhile.
    Ended,
    /// This is the tie.
    Bound(Binding),
    /// None could be made.
    Unbindable(UpstreamFailure),
    /// The upstream session is not lost: the answer stands.
    StillThere,
    /// It was lost; this is the new tie.
    Reopened(Binding),
    /// What speaks for the caller now.
    Delegated(Result<Confidential, Lack>),
}

impl Found {
    /// `None`: the finding answers no question about a tie.
    pub(in crate::engine::exchange) fn of(finding: Finding) -> Option<Self> {
        match finding {
            Finding::Live => Some(Self::Live),
            Finding::Ended => Some(Self::Ended),
            Finding::Bound(binding) => Some(Self::Bound(binding)),
            Finding::Unbindable(failure) => Some(Self::Unbindable(failure)),
            Finding::StillThere => Some(Self::StillThere),
            Finding::Reopened(binding) => Some(Self::Reopened(binding)),
            Finding::Delegated(credential) => Some(Self::Delegated(credential)),
            Finding::Compared(_)
            | Finding::Viewed(_)
            | Finding::Admitted(_)
            | Finding::Uncounted
            | Finding::Exhausted(_)
            | Finding::Held
            | Finding::Crowded(_)
            | Finding::SessionsFull
            | Finding::Introduced(..)
            | Finding::EndWritten(_)
            | Finding::Told(_)
            | Finding::Resumed(_)
            | Finding::NotParked => None,
        }
    }
}

impl Exchange {
    /// A request was routed: find its tie to the upstream, then make the call.
    pub(in crate::engine::exchange) fn begin_call(&mut self, request: Box<Request>, routed: Routed) -> Step {
        let for_callers = routed.calls.iter().any(|call| call.upstream.for_callers);
        self.record.listed = routed.name.is_some() && !for_callers;
        self.record.tool = routed.name;
        let calls = if routed.gather {
            Calls::gathering(routed.calls)
        } else {
            Calls::new(routed.calls)
        };
        self.tie(request, calls)
    }

    /// Finds the tie for the next call in line.
    pub(in crate::engine::exchange) fn tie(&mut self, request: Box<Request>, mut calls: Calls) -> Step {
        let Some(call) = calls.advance() else {
            if let Some(gathered) = calls.gathered_mut() {
                return self.gathered(&request, gathered);
            }
            return self.reject_missing(&request);
        };
        let upstream = Arc::clone(&call.upstream);
        self.record.upstream = Some(Arc::clone(&upstream.name));
        let client = request.era();
        if upstream.spoken_to(client).is_none() {
            return self.reject(
                &Reject::Upstream(Trouble::NotListed, Arc::clone(&upstream.name)),
                request.id(),
            );
        }
        self.speak(request, calls)
    }

    /// The same once it is known what speaks for the caller.
    pub(in crate::engine::exchange) fn tie_spoken(&mut self, request: Box<Request>, calls: Calls) -> Step {
        let client = request.era();
        let (Some(call), Some((spoken, speech))) = (calls.current(), calls.spoken_to(client)) else {
            return self.reject_missing(&request);
        };
        let upstream = Arc::clone(&call.upstream);
        self.record.spoken = Some(speech.version);
        match (client, spoken) {
            (Era::Legacy, Era::Legacy) => self.tie_legacy(request, calls, &upstream.name, speech),
            (Era::Modern, Era::Modern) => {
                let binding = stateless(&calls, speech.version);
                self.go(request, calls, binding)
            }
            (Era::Legacy, Era::Modern) if call.subscription.is_some() => self.subscribed_here(request, &calls),
            (Era::Legacy, Era::Modern) => self.bridge_up(request, calls),
            (Era::Modern, Era::Legacy) => self.bridge_down(request, calls),
        }
    }

    /// Client and upstream are both legacy: the call may need an upstream session.
    fn tie_legacy(&mut self, request: Box<Request>, mut calls: Calls, upstream: &Arc<str>, speech: Speech) -> Step {
        let name = Arc::clone(upstream);
        match (request.sender.session, speech.stateful) {
            (None, false) => {
                let binding = stateless(&calls, speech.version);
                self.go(request, calls, binding)
            }
            (Some(session), true) => {
                let asked = self.record.tied.map_or(0, |(_, asked)| asked);
                self.record.tied = Some((session.key, asked + 1));
                let question = Question::Bind {
                    session,
                    upstream: name,
                    call: request.sender.id.clone().unwrap_or_default(),
                    trace: self.span_of_call(),
                };
                self.ask(request, question, Then::Call(calls))
            }
            (Some(session), false) => self.ask(request, Question::Recall(session), Then::Call(calls)),
            (None, true) => {
                let version = request.sender.version.unwrap_or(Version::V2025_03_26);
                calls.one_shot = true;
                let question = Question::OneShot {
                    upstream: name,
                    version,
                    delegation: delegation(&calls),
                    trace: self.span_of_call(),
                };
                self.ask(request, question, Then::Call(calls))
            }
        }
    }

    /// The question about the tie is answered.
    pub(in crate::engine::exchange) fn tied(&mut self, request: Box<Request>, calls: Calls, finding: Finding) -> Step {
        match Found::of(finding) {
            Some(Found::Bound(binding)) => self.go(request, calls, binding),
            Some(Found::Live) => {
                let version = calls.spoken_to(request.era()).map(|(_, speech)| speech.version);
                let version = version.unwrap_or(Version::NEWEST_LEGACY);
                let binding = stateless(&calls, version);
                self.go(request, calls, binding)
            }
            Some(Found::Unbindable(failure)) => self.unbindable(request, calls, failure),
            Some(Found::Ended | Found::StillThere | Found::Reopened(_) | Found::Delegated(_)) | None => {
                self.try_next(request, calls, Trouble::Failed(UpstreamFailure::Garbage))
            }
        }
    }

    /// No tie could be made. Where that is because of what speaks for the caller, whoever keeps it has heard so.
    pub(in crate::engine::exchange) fn unbindable(
        &mut self,
        request: Box<Request>,
        calls: Calls,
        failure: UpstreamFailure,
    ) -> Step {
        let trouble = Trouble::Failed(failure);
        match failure {
            UpstreamFailure::Unauthorized => self.speak_anew(request, calls, trouble),
            UpstreamFailure::Unreachable | UpstreamFailure::TimedOut | UpstreamFailure::Garbage => {
                self.try_next(request, calls, trouble)
            }
        }
    }

    /// Makes the call: through Envoy where its answer may go through untouched, else ourselves.
    fn go(&mut self, request: Box<Request>, calls: Calls, binding: Binding) -> Step {
        let Some(call) = calls.current() else {
            return self.reject_missing(&request);
        };
        self.record.spoken = Some(binding.version);
        let through_envoy = call.upstream.via == Via::Envoy
            && !request.endpoint.limits.counts_calls()
            && request.accepts == Accepts::Both
            && !call.tasks
            && call.subscription.is_none()
            && !calls.one_shot
            && (call.deadline().is_some() || !request.endpoint.timed_by_envoy)
            && !calls.asking_around()
            && self.may_forward(&request);
        if through_envoy {
            let call = call.clone();
            self.forward(request, call, binding)
        } else {
            self.relay(request, calls, binding)
        }
    }

    /// Nobody is left to ask.
    pub(in crate::engine::exchange) fn reject_missing(&mut self, request: &Request) -> Step {
        let name = self.record.tool.as_deref().unwrap_or_default().into();
        self.reject(&Reject::UnknownResource(request.era(), name), request.id())
    }
}

/// What speaks for the caller of the call in turn.
fn delegation(calls: &Calls) -> Delegation {
    calls.current().map_or(Delegation::NONE, |call| call.delegation.clone())
}

/// The tie of the call in turn to an upstream that knows no sessions.
fn stateless(calls: &Calls, version: Version) -> Binding {
    Binding {
        delegation: delegation(calls),
        ..Binding::stateless(version)
    }
}
