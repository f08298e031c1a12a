//! Transparent paths: everything goes to one server as it came, and what it answers comes back so.
//!
//! A body is read and never changed: what is decided about a message is decided on the bytes that go upstream. Sessions are
//! the server's own. Of an opaque path only the head is seen.

use super::arrive::door::{Accepts, Verb};
use super::decide::admit::Intent;
use super::decide::plan::Plan;
use super::decide::sender::Sender;
use super::decide::{route, transparent};
use super::event::{RequestHead, ResponseHead, UpstreamFailure};
use super::outgoing::delegate::Voice;
use super::outgoing::{Patience, Routed, delegate, heading, verdict};
use super::record::Way;
use super::reject::{Reject, Trouble};
use super::step::{Command, End, HeaderWork, Question, Reply, Step};
use super::{BodyMode, Exchange, Phase, Request, Then};
use crate::engine::config::Confidential;
use crate::engine::mcp::headers;
use crate::engine::policy::Identity;
use crate::engine::policy::delegate::Lack;
use crate::engine::session::id::fingerprint;
use crate::engine::session::{Delegation, Timestamp};
use crate::engine::snapshot::{Endpoint, Upstream};
use bytes::Bytes;
use std::sync::Arc;

/// A request that is with the server.
#[derive(Debug)]
pub(super) struct Passage {
    upstream: Arc<Upstream>,
    /// The caller's raw id; `None`: nobody reads a JSON-RPC answer.
    id: Option<Bytes>,
    /// What speaks for the caller.
    delegation: Delegation,
}

impl Exchange {
    /// A request on a transparent path: its body is read first, unless there is none or it is nobody's business.
    pub(super) fn enter_transparent(
        &mut self,
        endpoint: Arc<Endpoint>,
        identity: Arc<Identity>,
        head: RequestHead,
        verb: Verb,
        now: Timestamp,
    ) -> Step {
        let opaque = endpoint
            .transparent
            .as_ref()
            .is_some_and(|transparent| transparent.opaque);
        if let Some(id) = head.headers.get(headers::SESSION_ID) {
            self.record.session = Some(fingerprint(id));
        }
        match (verb, opaque) {
            (Verb::Post, false) => return self.post(endpoint, identity, head, now),
            (Verb::Post, true) if self.modes.request != BodyMode::None && !head.end => {
                return self.reject(
                    &Reject::Wiring("request_body_mode of an opaque path must be NONE"),
                    None,
                );
            }
            (Verb::Get | Verb::Delete, _) if !head.end => {
                return self.reject(&Reject::MediaType("GET and DELETE have no body"), None);
            }
            (Verb::Post, true) | (Verb::Get | Verb::Delete, _) => {}
        }
        let patience = match verb {
            Verb::Get => Patience::Endless,
            Verb::Post | Verb::Delete => Patience::Usual,
        };
        let Some(call) = transparent::outgoing(&endpoint, Bytes::new(), patience) else {
            return self.reject(&Reject::NoEndpoint(super::reject::Looking::ForMcp), None);
        };
        let request = Request {
            endpoint,
            identity,
            headers: head.headers,
            accepts: Accepts::Both,
            sender: Sender::default(),
            trailers: false,
        };
        let routed = Routed {
            calls: vec![call],
            gather: false,
            name: None,
        };
        self.admit(Box::new(request), Intent::Begin(Plan::Call(routed)), now)
    }

    /// Goes on once it is known what speaks for the caller.
    pub(super) fn speak_on(&mut self, request: Box<Request>, mut routed: Routed) -> Step {
        let upstream = routed.calls.first().map(|call| Arc::clone(&call.upstream));
        let delegate = upstream.as_ref().and_then(|upstream| upstream.delegate.as_ref());
        let (Some(delegate), Some(call)) = (delegate, routed.calls.first_mut()) else {
            return self.pass_on(&request, routed);
        };
        match request.voice(delegate) {
            Voice::Known(delegation) => {
                call.delegation = delegation;
                self.pass_on(&request, routed)
            }
            Voice::Wanted(errand) => self.ask(request, Question::Delegate(errand), Then::Pass(routed)),
            Voice::None(lack) => self.not_passed(&request, &call.upstream, lack),
        }
    }

    /// The question about that is answered.
    pub(super) fn delegated_on(
        &mut self,
        request: &Request,
        mut routed: Routed,
        found: Result<Confidential, Lack>,
    ) -> Step {
        let Some(call) = routed.calls.first_mut() else {
            return self.pass_on(request, routed);
        };
        let delegate = call.upstream.delegate.as_ref();
        match delegate.map_or(Err(Lack::Unavailable), |delegate| request.found_voice(delegate, found)) {
            Ok(delegation) => {
                call.delegation = delegation;
                self.pass_on(request, routed)
            }
            Err(lack) => self.not_passed(request, &call.upstream, lack),
        }
    }

    fn not_passed(&mut self, request: &Request, upstream: &Upstream, lack: Lack) -> Step {
        self.record.upstream = Some(Arc::clone(&upstream.name));
        let id = request.id();
        self.reject(&unreached(Trouble::Caller(lack), upstream, id), id)
    }

    /// The request may go on to the server.
    pub(super) fn pass_on(&mut self, request: &Request, routed: Routed) -> Step {
        let id = request.sender.id.clone();
        self.record.tool = routed.name;
        let Some(call) = routed.calls.into_iter().next() else {
            return self.reject(&Reject::NoEndpoint(super::reject::Looking::ForMcp), request.id());
        };
        let upstream = Arc::clone(&call.upstream);
        self.record.upstream = Some(Arc::clone(&upstream.name));
        self.record.spoken = self.record.version;
        if let Err(trouble) = route::usability(&upstream) {
            return self.reject(&unreached(trouble, &upstream, id.as_deref()), id.as_deref());
        }
        let mut work = heading::transparent_headers(&request.endpoint, &call, &request.headers);
        work.metadata = Some(Box::new(self.forwarded(request)));
        let replies = self.onward(work, &call.body, request.trailers);
        self.record.way = Way::Forward;
        let deadline = call.deadline().map(Command::Arm);
        let delegation = call.delegation;
        self.phase = Phase::PassedOn(Box::new(Passage {
            upstream,
            id,
            delegation,
        }));
        Step {
            replies,
            commands: deadline.into_iter().collect(),
            end: End::Open,
        }
    }

    /// Lets the request go with its body as it came; an empty one was not asked for, or is not there.
    fn onward(&self, headers: HeaderWork, body: &Bytes, trailers: bool) -> Vec<Reply> {
        if body.is_empty() {
            return vec![Reply::RequestHeaders(headers)];
        }
        match self.modes.request {
            BodyMode::Buffered => vec![Reply::RequestBuffered { headers, body: None }],
            BodyMode::None | BodyMode::Streamed | BodyMode::BufferedPartial | BodyMode::FullDuplex => {
                let chunk = Reply::RequestChunk {
                    body: body.clone(),
                    end: !trailers,
                };
                let trailers = trailers.then_some(Reply::RequestTrailers);
                [Reply::RequestHeaders(headers), chunk]
                    .into_iter()
                    .chain(trailers)
                    .collect()
            }
        }
    }

    /// The server answered, or Envoy in its place. What the server says stands, whatever it is.
    pub(super) fn passed_on(&mut self, passage: &Passage, head: &ResponseHead) -> Step {
        self.record.status = verdict::status(head);
        match verdict::failure_of_envoy(head) {
            Some(failure) => self.not_reached(passage, failure),
            None => {
                // The client hears the server's own words; its next request speaks with something else.
                let spent = delegate::spent(&passage.delegation, self.record.status);
                let mut step = self.let_pass(heading::transparent_response(&head.headers), head.end);
                step.commands.extend(spent);
                step
            }
        }
    }

    /// No response headers in time.
    pub(super) fn passage_overdue(&mut self, passage: &Passage) -> Step {
        self.not_reached(passage, UpstreamFailure::TimedOut)
    }

    fn not_reached(&mut self, passage: &Passage, failure: UpstreamFailure) -> Step {
        let id = passage.id.as_deref();
        self.reject(&unreached(Trouble::Failed(failure), &passage.upstream, id), id)
    }
}

/// An error of JSON-RPC where a request waits for one, else of HTTP.
pub(super) fn unreached(trouble: Trouble, upstream: &Upstream, id: Option<&[u8]>) -> Reject {
    let name = Arc::clone(&upstream.name);
    match id {
        Some(_) => Reject::Upstream(trouble, name),
        None => Reject::Unreached(trouble, name),
    }
}
