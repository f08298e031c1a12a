//! A plan is begun, and gone on with once the question is answered that it waits for.

use super::answer;
use super::decide::admit::Intent;
use super::decide::petition::ClientName;
use super::decide::plan::Plan;
use super::decide::tell::Errand;
use super::event::{Finding, Refusal};
use super::listen::Voices;
use super::outgoing::Routed;
use super::outgoing::calls::Calls;
use super::outgoing::delegate;
use super::reject::Reject;
use super::step::{Addressee, Command, Question, SessionRef, Step};
use super::{Exchange, Phase, Request};
use crate::engine::mcp::Version;
use crate::engine::session::Timestamp;
use crate::engine::stream::Filter;
use bytes::Bytes;
use std::sync::Arc;

/// What happens once the open question is answered.
#[derive(Debug)]
pub(super) enum Then {
    /// Carry this out: it needed to know that the session is alive.
    Do(Plan),
    /// Answer 202: this message was passed on, or nobody was there to take it. It is held until then.
    Told(Bytes),
    /// Answer initialize with this id.
    Welcome { id: String, version: Version },
    /// Go on with this: it had to be counted.
    Admit(Intent),
    /// Go on with this, if the client may: its rules wanted to know what it calls itself.
    Permit(Result<Plan, Reject>),
    /// Go on with this: it had to have its places.
    Hold(Intent),
    /// Go on with a call: it needed its tie.
    Call(Calls),
    /// Go on with a call: it needed what speaks for its caller.
    Speak(Calls),
    /// The same on a transparent path.
    Pass(Routed),
    /// The same for a listen, which may concern several upstreams.
    Listen(Filter, Voices),
    /// Answer GET.
    Get,
    /// Answer DELETE.
    Delete,
}

impl Then {
    /// Bytes held: of the request body, or of a message that is passed on.
    pub(super) fn held(&self) -> usize {
        match self {
            Self::Call(calls) | Self::Speak(calls) => calls.held(),
            Self::Pass(routed) => routed.calls.iter().map(|call| call.body.len()).sum(),
            Self::Admit(intent) | Self::Hold(intent) => intent.held(),
            Self::Permit(Ok(plan)) => plan.held(),
            Self::Told(message) => message.len(),
            Self::Permit(Err(_)) | Self::Do(_) | Self::Welcome { .. } | Self::Listen(..) | Self::Get | Self::Delete => {
                0
            }
        }
    }
}

impl Exchange {
    /// Starts on a plan: what concerns a session first hears whether that may go on.
    pub(super) fn begin(&mut self, request: Box<Request>, plan: Plan, now: Timestamp) -> Step {
        let session = request.sender.session;
        if matches!(plan, Plan::Call(_)) {
            self.note_call();
        }
        match (plan, session) {
            (Plan::Call(routed), _) if request.endpoint.transparent.is_some() => self.speak_on(request, routed),
            (Plan::Call(routed), _) => self.begin_call(request, routed),
            (Plan::Initialize { version, flags, client }, _) => {
                let (session, id) = answer::new_session(&request, version, flags, self.entropy, now);
                let principal = request.identity.hash();
                self.ask(
                    request,
                    Question::Start {
                        session,
                        principal,
                        client,
                    },
                    Then::Welcome { id, version },
                )
            }
            (Plan::Listen(filter), _) => self.speak_listen(request, filter, Vec::new()),
            (Plan::SetLevel(level), Some(session)) => {
                // All that the session is tied to hear it.
                let refreshed = Self::refreshed(&request, None);
                let mut step = self.ask(request, Question::SetLevel { session, level }, Then::Do(Plan::Empty));
                step.commands.splice(0..0, refreshed);
                step
            }
            (Plan::Tell(errand), Some(session)) => self.tell(request, session, errand),
            (plan, Some(session)) => self.ask(request, Question::Recall(session), Then::Do(plan)),
            (plan, None) => self.say(&request, &plan),
        }
    }

    /// Passes a message on; its sender hears 202 whatever becomes of it.
    fn tell(&mut self, request: Box<Request>, session: SessionRef, errand: Errand) -> Step {
        let addressed = match &errand.to {
            Addressee::Upstream(name) | Addressee::Stateless(name, _) => Some(Arc::clone(name)),
            Addressee::Only | Addressee::Exchange(_) | Addressee::Owner(_) | Addressee::All => None,
        };
        if addressed
            .as_deref()
            .is_some_and(|name| !delegate::may_speak_to(&request, name))
        {
            return self.ask(request, Question::Recall(session), Then::Do(Plan::Absorb));
        }
        if addressed.is_some() {
            self.record.upstream.clone_from(&addressed);
        }
        let Errand { to, message } = errand;
        let then = Then::Told(message.clone());
        let refreshed = Self::refreshed(&request, addressed.as_ref());
        let mut step = self.ask(request, Question::Tell { session, to, message }, then);
        step.commands.splice(0..0, refreshed);
        step
    }

    pub(super) fn ask(&mut self, request: Box<Request>, question: Question, then: Then) -> Step {
        self.phase = Phase::Asking(request, then);
        Step {
            commands: vec![Command::Ask(question)],
            ..Step::default()
        }
    }

    /// The open question is answered.
    pub(super) fn found(&mut self, mut request: Box<Request>, then: Then, finding: Finding, now: Timestamp) -> Step {
        match (then, finding) {
            (_, Finding::Ended) => self.reject(&Reject::SessionNotFound("session_ended"), request.id()),
            (_, Finding::SessionsFull) => self.reject(&Reject::SessionsFull, request.id()),
            (Then::Do(plan), Finding::Live) => self.say(&request, &plan),
            (Then::Told(_), Finding::Told(_)) => self.say(&request, &Plan::Absorb),
            (Then::Welcome { id, version }, Finding::Live) => self.welcome(&request, id, version),
            (Then::Get, Finding::Live) => self.listen_legacy(&request),
            (Then::Delete, Finding::EndWritten(true)) => self.answer(&request, answer::empty(200)),
            (Then::Delete, Finding::EndWritten(false)) => self.reject(&Reject::NotWritten, None),
            (Then::Call(calls), finding) => self.tied(request, calls, finding),
            (Then::Speak(calls), finding) => self.delegated(request, calls, delegate::found(finding)),
            (Then::Pass(routed), finding) => self.delegated_on(&request, routed, delegate::found(finding)),
            (Then::Listen(filter, voices), finding) => {
                self.delegated_listen(request, filter, voices, delegate::found(finding))
            }
            (Then::Admit(intent), Finding::Admitted(quota)) => {
                self.quota = quota;
                self.admitted(request, intent, now)
            }
            (Then::Hold(intent), Finding::Held) => self.placed(request, intent, now),
            (Then::Hold(_), Finding::Crowded(kind)) => self.reject(&Reject::Crowded(kind), request.id()),
            (Then::Admit(_), Finding::Uncounted) => self.reject(&Reject::NotCounted, request.id()),
            (Then::Admit(intent), Finding::Exhausted(exhausted)) => self.exhausted(&request, &intent, exhausted),
            (Then::Permit(plan), Finding::Introduced(client, _)) => {
                request.sender.client = Some(ClientName::read(&client.info));
                self.permit(request, plan, now)
            }
            (
                Then::Do(_)
                | Then::Permit(_)
                | Then::Admit(_)
                | Then::Hold(_)
                | Then::Told(_)
                | Then::Welcome { .. }
                | Then::Get
                | Then::Delete,
                other,
            ) => {
                debug_assert!(false, "finding {other:?} answers no question of this exchange");
                self.reject(&Reject::Refused(Refusal::Draining), request.id())
            }
        }
    }
}
