//! Forward: the call goes through Envoy; the response headers come back to be judged.

pub(super) mod inspect;

use super::event::{Finding, Message, ResponseHead, UpstreamFailure};
use super::outgoing::calls::Calls;
use super::outgoing::verdict::{self, Settled, Verdict};
use super::outgoing::{Outgoing, Routed, delegate, heading, subscribe};
use super::record::Way;
use super::reject::{Reject, Trouble};
use super::relay::Turn;
use super::step::{Command, End, HeaderWork, Notice, Question, Reply, Step};
use super::{Accepts, BodyMode, Exchange, Phase, Request, Then};
use crate::engine::config::Via;
use crate::engine::mcp::{Era, Version};
use crate::engine::session::{Binding, Delegation};
use crate::engine::snapshot::Speech;
use bytes::Bytes;
use std::sync::Arc;

/// The body of a 400 or 404 that may stand is no longer than this.
const DOUBTFUL: usize = 1 << 20;

/// A call that Envoy makes.
#[derive(Debug)]
pub(super) struct Forward {
    pub(super) request: Box<Request>,
    pub(super) call: Outgoing,
    pub(super) binding: Binding,
    /// False: the body was given up, nothing can be replayed.
    pub(super) replayable: bool,
}

impl Forward {
    pub(super) fn held(&self) -> usize {
        self.call.body.len()
    }

    /// The same with something else that speaks for its caller.
    fn spoken_for_by(mut self, delegation: Delegation) -> Self {
        self.binding.delegation = delegation.clone();
        self.call.delegation = delegation;
        self
    }

    pub(super) fn drop_replay(&mut self) {
        self.call.body = Bytes::new();
        self.replayable = false;
    }
}

/// A forward whose upstream session may be lost.
#[derive(Debug)]
pub(super) struct Suspicion {
    pub(super) forward: Forward,
    head: ResponseHead,
    otherwise: Settled,
    /// What came meanwhile (inspected routes only).
    rest: Vec<Message>,
    /// Bytes of it.
    len: usize,
}

impl Exchange {
    /// A request was routed: find its tie to the upstream, then make the call.
    pub(super) fn begin_call(&mut self, request: Box<Request>, routed: Routed) -> Step {
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
    pub(super) fn tie(&mut self, request: Box<Request>, mut calls: Calls) -> Step {
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
    pub(super) fn tie_spoken(&mut self, request: Box<Request>, calls: Calls) -> Step {
        let client = request.era();
        let (Some(call), Some((spoken, speech))) = (calls.current(), calls.spoken_to(client)) else {
            return self.reject_missing(&request);
        };
        let upstream = Arc::clone(&call.upstream);
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
    pub(super) fn tied(&mut self, request: Box<Request>, calls: Calls, finding: Finding) -> Step {
        match finding {
            Finding::Bound(binding) => self.go(request, calls, binding),
            Finding::Live => {
                let version = calls.spoken_to(request.era()).map(|(_, speech)| speech.version);
                let version = version.unwrap_or(Version::NEWEST_LEGACY);
                let binding = stateless(&calls, version);
                self.go(request, calls, binding)
            }
            Finding::Unbindable(failure) => self.unbindable(request, calls, failure),
            Finding::Compared(_)
            | Finding::Ended
            | Finding::SessionsFull
            | Finding::Admitted(_)
            | Finding::Exhausted(_)
            | Finding::Held
            | Finding::Crowded(_)
            | Finding::Uncounted
            | Finding::StillThere
            | Finding::Reopened(_)
            | Finding::EndWritten(_)
            | Finding::Introduced(..)
            | Finding::Resumed(_)
            | Finding::Delegated(_)
            | Finding::Viewed(_)
            | Finding::NotParked
            | Finding::Told(_) => self.try_next(request, calls, Trouble::Failed(UpstreamFailure::Garbage)),
        }
    }

    /// No tie could be made. Where that is because of what speaks for the caller, whoever keeps it has heard so.
    pub(super) fn unbindable(&mut self, request: Box<Request>, calls: Calls, failure: UpstreamFailure) -> Step {
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
        let through_envoy = call.upstream.via == Via::Envoy
            && !request.endpoint.limits.counts_calls()
            && request.accepts == Accepts::Both
            && !call.tasks
            && !calls.one_shot
            && (call.deadline().is_some() || !request.endpoint.timed_by_envoy)
            && !calls.asking_around()
            && self.may_forward(&request);
        let remember = subscribe::remember(&request, &calls);
        let mut step = if through_envoy {
            let call = call.clone();
            self.forward(request, call, binding)
        } else {
            self.relay(request, calls, binding)
        };
        step.commands.extend(remember);
        step
    }

    fn forward(&mut self, request: Box<Request>, call: Outgoing, binding: Binding) -> Step {
        let mut headers = heading::request_headers(&request.endpoint, &call, request.era(), &binding, &request.headers);
        headers.metadata = Some(Box::new(self.forwarded(&request)));
        let body = call.body.clone();
        let replies = match self.modes.request {
            BodyMode::Buffered => {
                vec![Reply::RequestBuffered {
                    headers,
                    body: Some(body),
                }]
            }
            BodyMode::None | BodyMode::Streamed | BodyMode::BufferedPartial | BodyMode::FullDuplex => {
                let mut replies = vec![
                    Reply::RequestHeaders(headers),
                    Reply::RequestChunk {
                        body,
                        end: !request.trailers,
                    },
                ];
                if request.trailers {
                    replies.push(Reply::RequestTrailers);
                }
                replies
            }
        };
        self.record.way = Way::Forward;
        let deadline = call.deadline().map(Command::Arm);
        self.phase = Phase::Forwarded(Box::new(Forward {
            request,
            call,
            binding,
            replayable: true,
        }));
        Step {
            replies,
            commands: deadline.into_iter().collect(),
            end: End::Open,
        }
    }

    /// The upstream, or Envoy in its place, answered.
    pub(super) fn responded(&mut self, forward: Box<Forward>, head: ResponseHead) -> Step {
        self.record.status = verdict::status(&head);
        let (routing, tied) = (forward.request.endpoint.routing, forward.binding.id.is_some());
        match verdict::judge_forward(routing, forward.request.era(), tied, &head) {
            Verdict::Pass(media) => {
                let inspector = forward.request.inspector(&forward.call.upstream, media);
                match inspector.filter(|_| self.modes.response == BodyMode::FullDuplex && !head.end) {
                    Some(inspector) => self.inspect(inspector, &head),
                    None => self.pass_response(&head),
                }
            }
            Verdict::Replace(trouble) => self.refused(*forward, head, trouble),
            Verdict::Suspect { otherwise } => {
                let question = Question::Recover {
                    session: forward.request.sender.session,
                    upstream: Arc::clone(&forward.call.upstream.name),
                    stale: forward.binding.clone(),
                    trace: self.span_of_call(),
                };
                self.doubt(*forward, head, otherwise, question)
            }
            Verdict::NotRouted if forward.replayable => {
                let Forward {
                    request, call, binding, ..
                } = *forward;
                self.replay(request, call, binding, Turn::First)
            }
            Verdict::NotRouted => self.replace(&forward, Trouble::Failed(UpstreamFailure::Unreachable)),
        }
    }

    /// The upstream's answer is of no use. One that refused what spoke for the caller has done nothing else: the call is made
    /// once more if its caller has something else by now.
    fn refused(&mut self, forward: Forward, head: ResponseHead, trouble: Trouble) -> Step {
        let spent = delegate::spent(&forward.call.delegation, verdict::status(&head));
        let errand = forward.call.delegation.errand().cloned();
        let mut step = match errand.filter(|_| spent.is_some() && forward.replayable) {
            Some(errand) => self.doubt(forward, head, Settled::Replace(trouble), Question::Delegate(errand)),
            None => self.replace(&forward, trouble),
        };
        step.commands.splice(0..0, spent);
        step
    }

    fn doubt(&mut self, forward: Forward, head: ResponseHead, otherwise: Settled, question: Question) -> Step {
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
    pub(super) fn hold(&mut self, mut suspicion: Box<Suspicion>, message: Message) -> Step {
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
    pub(super) fn undecidable(&mut self, suspicion: &Suspicion) -> Step {
        self.replace(&suspicion.forward, Trouble::Failed(UpstreamFailure::TimedOut))
    }

    /// Whether the upstream session was lost is known now.
    pub(super) fn recovered(&mut self, suspicion: Suspicion, finding: Finding) -> Step {
        let Suspicion {
            forward,
            head,
            otherwise,
            rest,
            len: _,
        } = suspicion;
        match finding {
            Finding::StillThere => match otherwise {
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
            Finding::Reopened(binding) if forward.replayable => self.once_more(Forward { binding, ..forward }, head),
            Finding::Delegated(found) => match delegate::instead(&forward.call.delegation, found) {
                Ok(delegation) => self.once_more(forward.spoken_for_by(delegation), head),
                Err(trouble) => self.replace(&forward, trouble),
            },
            Finding::Reopened(_) => self.replace(&forward, Trouble::Status(verdict::status(&head))),
            Finding::Unbindable(failure) => self.replace(&forward, Trouble::Failed(failure)),
            Finding::Ended => self.reject(&Reject::SessionNotFound("session_ended"), forward.request.id()),
            Finding::Compared(_)
            | Finding::Live
            | Finding::SessionsFull
            | Finding::Admitted(_)
            | Finding::Exhausted(_)
            | Finding::Held
            | Finding::Crowded(_)
            | Finding::Uncounted
            | Finding::Bound(_)
            | Finding::EndWritten(_)
            | Finding::Introduced(..)
            | Finding::Told(_)
            | Finding::Resumed(_)
            | Finding::Viewed(_)
            | Finding::NotParked => self.replace(&forward, Trouble::Failed(UpstreamFailure::Garbage)),
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

    /// The upstream did not answer in time: the client hears so, a legacy upstream too.
    pub(super) fn overdue(&mut self, forward: &Forward) -> Step {
        let mut step = self.replace(forward, Trouble::Failed(UpstreamFailure::TimedOut));
        if let (Era::Legacy, Some(id)) = (forward.request.era(), forward.request.id()) {
            step.commands.push(Command::Notify(Notice::Cancelled {
                upstream: Arc::clone(&forward.call.upstream.name),
                binding: forward.binding.clone(),
                id: String::from_utf8_lossy(id).into(),
            }));
        }
        step
    }

    fn pass_response(&mut self, head: &ResponseHead) -> Step {
        self.let_pass(heading::response_headers(&head.headers), head.end)
    }

    /// Lets a response go to the client with these changes; `end`: it has no body.
    pub(super) fn let_pass(&mut self, headers: HeaderWork, end: bool) -> Step {
        let end = match self.modes.response {
            BodyMode::FullDuplex if !end => End::Open,
            BodyMode::FullDuplex
            | BodyMode::None
            | BodyMode::Streamed
            | BodyMode::Buffered
            | BodyMode::BufferedPartial => End::Done,
        };
        self.phase = if end == End::Open { Phase::Passing } else { Phase::Done };
        Step {
            replies: vec![Reply::ResponseHeaders(headers)],
            commands: vec![Command::Disarm],
            end,
        }
    }

    fn replace(&mut self, forward: &Forward, trouble: Trouble) -> Step {
        let upstream = &forward.call.upstream;
        let reject = Reject::Upstream(trouble.at(upstream), Arc::clone(&upstream.name));
        self.reject(&reject, forward.request.id())
    }

    /// Nobody is left to ask.
    pub(super) fn reject_missing(&mut self, request: &Request) -> Step {
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
