//! What is said to the client: answers, refusals, and the facts that go with them.

use super::page;
use crate::engine::catalog::Kind;
use crate::engine::exchange::decide::plan::Plan;
use crate::engine::exchange::decide::sender::Sender;
use crate::engine::exchange::event::Headers;
use crate::engine::exchange::record::Way;
use crate::engine::exchange::reject::Reject;
use crate::engine::exchange::step::{Answer, Command, End, Metadata, Reply, Step, quota};
use crate::engine::exchange::{BodyMode, Exchange, Phase, Request, answer};
use crate::engine::mcp::{Era, Version, headers};
use crate::engine::session::id::fingerprint;
use crate::engine::snapshot::Prepared;
use bytes::Bytes;

impl Exchange {
    /// Carries out a plan that needs nobody else.
    pub(in crate::engine::exchange) fn say(&mut self, request: &Request, plan: &Plan) -> Step {
        let endpoint = &request.endpoint;
        match plan {
            Plan::Absorb | Plan::Tell(_) => self.answer(request, answer::empty(202)),
            Plan::Empty | Plan::SetLevel(_) => {
                let result = answer::empty_result(request.era());
                self.answer(request, answer::result(request.id(), &[result]))
            }
            Plan::Discover => self.answer(
                request,
                answer::result(request.id(), std::slice::from_ref(&endpoint.discover)),
            ),
            Plan::List(kind, cursor) => self.say_list(request, *kind, cursor.as_deref()),
            Plan::Initialize { .. } | Plan::Call(_) | Plan::Listen(_) => {
                debug_assert!(false, "these plans need somebody else");
                self.reject(&Reject::UnknownMethod(request.era()), request.id())
            }
        }
    }

    /// Lists are one page: in one piece, or streamed where that would be too large, or paged where the wiring does not
    /// stream.
    fn say_list(&mut self, request: &Request, kind: Kind, cursor: Option<&str>) -> Step {
        let takes_requests = request.sender.takes_requests;
        let list = request
            .endpoint
            .view(request.era(), kind, takes_requests, &self.caller(request));
        let list = &*list;
        match (list.len > answer::LARGE, self.modes.request, cursor) {
            (true, BodyMode::FullDuplex, None) => self.stream_list(request, list),
            (false, _, None) => self.answer(request, answer::result(request.id(), &list.segments)),
            (false, _, Some(_)) | (true, BodyMode::FullDuplex, Some(_)) => {
                self.reject(&Reject::FOREIGN_CURSOR, request.id())
            }
            (true, BodyMode::Buffered | BodyMode::BufferedPartial | BodyMode::Streamed | BodyMode::None, cursor) => {
                match page::page(&request.endpoint, request.era(), list, kind, cursor) {
                    Some(page) => self.answer(request, answer::result(request.id(), &page)),
                    None => self.reject(&Reject::FOREIGN_CURSOR, request.id()),
                }
            }
        }
    }

    pub(in crate::engine::exchange) fn welcome(&mut self, request: &Request, id: String, version: Version) -> Step {
        let result = answer::initialize(&request.endpoint, version);
        let mut answer = answer::result(request.id(), &[result]);
        self.record.session = Some(fingerprint(id.as_bytes()));
        self.record.version = Some(version);
        answer.headers.push((headers::SESSION_ID.into(), Bytes::from(id)));
        self.answer(request, answer)
    }

    pub(in crate::engine::exchange) fn answer(&mut self, request: &Request, mut answer: Answer) -> Step {
        answer.metadata = Some(Box::new(self.answered(request)));
        self.said(answer)
    }

    /// An answer to whoever asks.
    pub(in crate::engine::exchange) fn answer_anybody(&mut self, mut answer: Answer) -> Step {
        answer.metadata = Some(Box::new(self.metadata(None, true)));
        self.said(answer)
    }

    fn said(&mut self, mut answer: Answer) -> Step {
        if let Some(quota) = &self.quota {
            quota::tell(&mut answer, quota);
        }
        self.record.way = Way::Answer;
        self.record.status = answer.status;
        self.record.bytes_out = answer.body.iter().map(Bytes::len).sum();
        self.phase = Phase::Done;
        Step {
            replies: vec![Reply::Answer(answer)],
            end: End::Done,
            ..Step::default()
        }
    }

    /// A list too large for one message, in pieces.
    pub(super) fn stream_list(&mut self, request: &Request, list: &Prepared) -> Step {
        let metadata = Some(Box::new(self.answered(request)));
        let (head, chunks) = answer::stream(request.id(), list, metadata);
        self.record.way = Way::Answer;
        self.record.status = 200;
        self.record.bytes_out = list.len;
        self.phase = Phase::Done;
        let replies = std::iter::once(head).chain(chunks).collect();
        Step {
            replies,
            end: End::Done,
            ..Step::default()
        }
    }

    pub(in crate::engine::exchange) fn reject(&mut self, reject: &Reject, id: Option<&[u8]>) -> Step {
        self.record.tool = self.record.tool.take().or_else(|| reject.named());
        let answer = reject.answer(id, Some(Box::new(self.metadata(id, true))));
        self.record.way = Way::Reject;
        self.record.status = answer.status;
        self.record.code = Some(reject.code().0);
        self.record.reason = Some(reject.reason());
        self.record.bytes_out = answer.body.iter().map(Bytes::len).sum();
        self.phase = Phase::Done;
        Step {
            replies: vec![Reply::Answer(answer)],
            commands: vec![Command::Disarm, Command::CancelCall],
            end: End::Done,
        }
    }

    pub(in crate::engine::exchange) fn note_sender(&mut self, sender: &Sender, all: &Headers) {
        self.record.method.clone_from(&sender.method);
        self.record.known = sender.known;
        self.record.era = sender.era;
        self.record.version = sender.session.map_or(sender.version, |session| Some(session.version));
        if sender.session.is_some() {
            let id = all.get(headers::SESSION_ID).unwrap_or(b"");
            self.record.session = Some(fingerprint(id));
        }
    }

    /// Of an answer: where nobody reads the rest, the one mark that keeps Envoy's mappers off it.
    fn answered(&self, request: &Request) -> Metadata {
        if request.endpoint.metadata {
            return self.metadata(request.id(), true);
        }
        Metadata {
            answered: true,
            ..Metadata::default()
        }
    }

    /// Of a call that Envoy makes: where nobody reads the rest, the id, which an error of Envoy's own is to bear.
    pub(in crate::engine::exchange) fn forwarded(&self, request: &Request) -> Metadata {
        if request.endpoint.metadata {
            return self.metadata(request.id(), false);
        }
        Metadata {
            id: text(request.id()),
            ..Metadata::default()
        }
    }

    pub(in crate::engine::exchange) fn metadata(&self, id: Option<&[u8]>, answered: bool) -> Metadata {
        Metadata {
            method: self.record.method.clone(),
            id: text(id),
            tool: self.record.tool.clone(),
            upstream: self.record.upstream.clone(),
            session: self.record.session.clone(),
            era: self.record.era.map(Era::as_str),
            principal: self.record.principal.clone(),
            answered,
        }
    }
}

fn text(id: Option<&[u8]>) -> Option<Box<str>> {
    std::str::from_utf8(id?).ok().map(Into::into)
}
