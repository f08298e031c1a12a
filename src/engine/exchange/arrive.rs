//! The request arrives: its head, its body, and what has to be found out before it is carried out.

pub(super) mod door;
pub(super) mod doorstep;
pub(super) mod identify;
pub(super) mod intake;
pub(super) mod viewing;

use super::decide::admit::Intent;
use super::decide::plan;
use super::decide::sender;
use super::decide::sender::Sender;
use super::event::{Headers, RequestHead};
use super::modes::unserved;
use super::reject::Reject;
use super::step::{Command, HeaderWork, Question, Reply, Step};
use super::{Arrival, BodyMode, Exchange, Phase, Request, Then, listen};
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
}

fn without_port(address: &str) -> Box<str> {
    address
        .rsplit_once(':')
        .map_or(address, |(host, _)| host)
        .trim_matches(['[', ']'])
        .into()
}
