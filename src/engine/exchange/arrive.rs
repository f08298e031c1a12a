//! The request arrives: its head, its body, and what has to be found out before it is carried out.

pub(super) mod door;
pub(super) mod doorstep;
pub(super) mod identify;
pub(super) mod intake;
pub(super) mod viewing;

use super::decide::admit::Intent;
use super::decide::permit::ClientName;
use super::decide::plan::{self, Plan, Sender};
use super::decide::sender;
use super::decide::tell::Errand;
use super::event::{Finding, Headers, Refusal, RequestHead};
use super::modes::unserved;
use super::outgoing::delegate;
use super::reject::Reject;
use super::step::{Addressee, Command, HeaderWork, Question, Reply, SessionRef, Step};
use super::{Arrival, BodyMode, Exchange, Phase, Request, Then, answer, listen};
use crate::engine::mcp::{Era, Method};
use crate::engine::policy::Identity;
use crate::engine::session::Timestamp;
use crate::engine::snapshot::Endpoint;
use bytes::Bytes;
use door::{Accepts, Verb};
use identify::Caller;
use intake::Intake;
use std::sync::Arc;

impl Exchange {
    pub(super) fn head(&mut self, mut head: RequestHead, now: Timestamp) -> Step {
        self.record.client = head.source.as_deref().map(without_port);
        if let Some(setting) = unserved(self.modes) {
            return self.reject(&Reject::Wiring(setting), None);
        }
        if let Some(document) = identify::document(door::served(&self.snapshot, &head), &head.headers) {
            return match document {
                Ok(page) => self.answer_anybody(page),
                Err(reject) => self.reject(&reject, None),
            };
        }
        let (endpoint, verb) = match door::enter(&self.snapshot, &head) {
            Ok(entered) => entered,
            Err(reject) => return self.reject(&reject, None),
        };
        match identify::identify(&endpoint, &mut head) {
            Ok(Caller::Known(identity)) => self.enter(endpoint, identity, head, verb, now),
            Ok(Caller::Claimed(claimed)) => self.knock(endpoint, head, verb, claimed),
            Err(reject) => self.reject(&reject, None),
        }
    }

    /// Somebody who may enter does.
    pub(super) fn enter(
        &mut self,
        endpoint: Arc<Endpoint>,
        identity: Arc<Identity>,
        head: RequestHead,
        verb: Verb,
        now: Timestamp,
    ) -> Step {
        self.record.principal.clone_from(&identity.principal);
        if endpoint.transparent.is_some() {
            return self.enter_transparent(endpoint, identity, head, verb, now);
        }
        match verb {
            Verb::Post => self.post(endpoint, identity, head, now),
            Verb::Get if !listen::is_offered(self.modes, &head) => self.reject(&Reject::MethodNotAllowed, None),
            Verb::Get | Verb::Delete => self.session_only(endpoint, identity, head.headers, verb, now),
        }
    }

    pub(super) fn post(
        &mut self,
        endpoint: Arc<Endpoint>,
        identity: Arc<Identity>,
        head: RequestHead,
        now: Timestamp,
    ) -> Step {
        if let Err(reject) = door::body_is_welcome(&endpoint, &head.headers) {
            return self.reject(&reject, None);
        }
        let receive = endpoint.limits.receive;
        let arrival = Arrival {
            endpoint,
            identity,
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

    pub(super) fn body(&mut self, mut arrival: Box<Arrival>, chunk: Bytes, end: bool, now: Timestamp) -> Step {
        let limit = arrival.endpoint.limits.body;
        if !arrival.intake.add(chunk, limit) {
            return self.reject(&Reject::BodyTooLarge(limit), None);
        }
        // Under BUFFERED one message is the whole, whatever follows.
        if end || self.modes.request == BodyMode::Buffered {
            return self.read(*arrival, false, now);
        }
        self.phase = Phase::AwaitBody(arrival);
        Step::default()
    }

    /// The whole request is here: decide, once it is known what its sender sees.
    pub(super) fn read(&mut self, arrival: Arrival, trailers: bool, now: Timestamp) -> Step {
        if viewing::is_wanted(&arrival) {
            return self.view(arrival, trailers);
        }
        self.decide(arrival, trailers, now)
    }

    pub(super) fn decide(&mut self, mut arrival: Arrival, trailers: bool, now: Timestamp) -> Step {
        let body = std::mem::take(&mut arrival.intake).into_bytes();
        self.record.bytes_in = body.len();
        let body = self.trace(&arrival, body);
        let mut sender = Sender::default();
        let from = plan::From {
            identity: &arrival.identity,
            headers: &arrival.headers,
        };
        let plan = plan::plan(&arrival.endpoint, &from, &body, &mut sender, now);
        let accepts = door::accepts(&arrival.headers);
        self.note_sender(&sender, &arrival.headers);
        self.record.arguments = sender.arguments.take();
        self.watching = arrival.endpoint.observed.results && sender.known == Some(Method::ToolsCall);
        let request = Request {
            endpoint: arrival.endpoint,
            identity: arrival.identity,
            headers: arrival.headers,
            accepts,
            sender,
            trailers,
        };
        let mut step = self.permit(Box::new(request), plan, now);
        step.commands.insert(0, Command::Disarm);
        step
    }

    /// GET and DELETE: nothing but a session id to look at.
    pub(super) fn session_only(
        &mut self,
        endpoint: Arc<Endpoint>,
        identity: Arc<Identity>,
        headers: Headers,
        verb: Verb,
        now: Timestamp,
    ) -> Step {
        if sender::header_is_modern(&headers) {
            return self.reject(&Reject::MethodNotAllowed, None);
        }
        let session = match sender::session(&endpoint, &identity, &headers, now) {
            Ok(session) => session,
            Err(reject) => return self.reject(&reject, None),
        };
        let (question, then) = match (verb, session) {
            (Verb::Delete, Some(session)) => (Question::End(session), Then::Delete),
            (Verb::Delete, None) => return self.reject(&Reject::SessionIdMissing, None),
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
            identity,
            headers,
            accepts: Accepts::Both,
            sender,
            trailers: false,
        };
        self.admit(Box::new(request), Intent::Ask(question, Box::new(then)), now)
    }

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

fn without_port(address: &str) -> Box<str> {
    address
        .rsplit_once(':')
        .map_or(address, |(host, _)| host)
        .trim_matches(['[', ']'])
        .into()
}
