//! Transparent paths: everything goes to one server as it came, and what it answers comes back so.
//!
//! A body is read and never changed: what is decided about a message is decided on the bytes that go upstream. Sessions are
//! the server's own. Of an opaque path only the head is seen.

use super::arrive::door::{Accepts, Verb};
use super::decide::admit::Intent;
use super::decide::plan::{Plan, Sender};
use super::decide::{route, sender};
use super::event::{Headers, RequestHead, ResponseHead, UpstreamFailure};
use super::outgoing::{Outgoing, Patience, Routed, delegate, heading, verdict};
use super::record::Way;
use super::reject::{Reject, Trouble};
use super::step::{Command, End, HeaderWork, Reply, Step};
use super::{BodyMode, Exchange, Phase, Request};
use crate::engine::jsonrpc::{Envelope, EnvelopeError, Shape};
use crate::engine::mcp::{Method, headers};
use crate::engine::policy::Identity;
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
        let Some(call) = outgoing(&endpoint, Bytes::new(), patience) else {
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

    /// The request may go on to the server.
    pub(super) fn pass_on(&mut self, request: &Request, routed: Routed) -> Step {
        let id = request.sender.id.clone();
        self.record.tool = routed.name;
        let Some(call) = routed.calls.into_iter().next() else {
            return self.reject(&Reject::NoEndpoint(super::reject::Looking::ForMcp), request.id());
        };
        let upstream = Arc::clone(&call.upstream);
        self.record.upstream = Some(Arc::clone(&upstream.name));
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

/// What is to be done with a message: always the same, if it can be judged at all.
pub(super) fn plan(
    endpoint: &Endpoint,
    client: &Headers,
    envelope: &Envelope<'_>,
    body: &Bytes,
    sender: &Sender,
) -> Result<Plan, Reject> {
    // A server may carry out a request that waits for no answer; rules judge requests.
    if sender.known.is_some() && !matches!(envelope.shape, Shape::Request { .. }) {
        return Err(Reject::Envelope(EnvelopeError::WrongType("a request must have an id")));
    }
    let key = match sender.known {
        Some(Method::ToolsCall | Method::PromptsGet) => Some("name"),
        Some(Method::ResourcesRead | Method::ResourcesSubscribe | Method::ResourcesUnsubscribe) => Some("uri"),
        Some(_) | None => None,
    };
    let name = match key {
        Some("uri") => Some(route::parameter(envelope, "uri", "params.uri must be a string")?.1),
        Some(_) => Some(route::parameter(envelope, "name", "params.name must be a string")?.1),
        None => None,
    };
    // Who reads the headers instead of the body must come to the same.
    sender::mirrors(client, sender.method.as_deref(), name.as_deref())?;
    let call = outgoing(endpoint, body.clone(), Patience::Usual);
    Ok(Plan::Call(Routed {
        calls: call.into_iter().collect(),
        gather: false,
        name: name.map(Into::into),
    }))
}

/// To the endpoint's only server.
fn outgoing(endpoint: &Endpoint, body: Bytes, patience: Patience) -> Option<Outgoing> {
    let upstream = endpoint.upstreams.first()?;
    Some(Outgoing {
        upstream: Arc::clone(upstream),
        body,
        renamed: None,
        params: None,
        tasks: false,
        patience,
        subscription: None,
        delegation: Delegation::NONE,
    })
}
