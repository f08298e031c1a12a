//! Inspected forward: Envoy makes the call, and the answer comes through here on its way to the client.
//!
//! Only for sessions whose clients take requests, on the route that their id's mark chooses (response body
//! FULL_DUPLEX_STREAMED); a route that does not show the body is no danger: the call is then relayed. JSON answers hold
//! no requests and pass as they are, as does everything on the other sessions. Before response headers all is as on any
//! forward; after them there is no deadline.
//!
//! ```text
//! Forwarded -> Inspecting -> Done
//!   `-> Recovering -> Replaying -> Done      the upstream session was lost: our call, its answer as the response body
//! ```

mod replay;

pub(in crate::engine::exchange) use replay::Replay;

use crate::engine::call::Inspector;
use crate::engine::exchange::event::{Message, ResponseHead};
use crate::engine::exchange::outgoing::heading;
use crate::engine::exchange::outgoing::verdict::Media;
use crate::engine::exchange::reject::Reject;
use crate::engine::exchange::step::{Command, End, Reply, Step};
use crate::engine::exchange::{BodyMode, Exchange, Phase, Request};
use crate::engine::mcp::Era;
use crate::engine::snapshot::Upstream;
use crate::engine::stream::event_id;
use bytes::Bytes;
use std::sync::Arc;

impl Request {
    /// Upstreams may send this client requests: what they say must be looked at.
    pub(in crate::engine::exchange) fn is_inspected(&self) -> bool {
        self.sender.session.is_some_and(|session| session.flags.any())
    }

    /// Looks at an event stream of `upstream`, if somebody has to.
    pub(in crate::engine::exchange) fn inspector(&self, upstream: &Upstream, media: Media) -> Option<Inspector> {
        let looks = self.is_inspected() && media == Media::EventStream;
        looks.then(|| self.new_inspector(upstream))
    }

    /// Looks at what this legacy upstream says. Any stream of it may speak of its tasks (2025-11-25, Task Status).
    pub(in crate::engine::exchange) fn new_inspector(&self, upstream: &Upstream) -> Inspector {
        let inspector = self.inspector_of_ids(upstream);
        if upstream.rewrites {
            inspector.naming_resources()
        } else {
            inspector
        }
    }

    fn inspector_of_ids(&self, upstream: &Upstream) -> Inspector {
        let name = Arc::clone(&upstream.name);
        if self.endpoint.upstreams.len() < 2 {
            return Inspector::new(name);
        }
        let events = event_id::expose(&name, "");
        let has_tasks = upstream.speech(Era::Legacy).is_some_and(|speech| speech.tasks);
        let inspector = if has_tasks {
            Inspector::with_tasks(name)
        } else {
            Inspector::new(name)
        };
        inspector.naming_events(events)
    }
}

impl Exchange {
    /// The wiring lets a forward of this request be answered as its client must see it.
    pub(in crate::engine::exchange) fn may_forward(&self, request: &Request) -> bool {
        !request.is_inspected() || self.modes.response == BodyMode::FullDuplex
    }

    /// The answer begins: it goes on piece by piece.
    pub(in crate::engine::exchange) fn inspect(&mut self, inspector: Inspector, head: &ResponseHead) -> Step {
        let mut headers = heading::response_headers(&head.headers);
        if head.headers.get("content-length").is_some() {
            // Another id has another length.
            headers.remove.push("content-length".into());
        }
        self.phase = Phase::Inspecting(Box::new(inspector));
        Step {
            replies: vec![Reply::ResponseHeaders(headers)],
            commands: vec![Command::Disarm],
            end: End::Open,
        }
    }

    /// No room is left for an event that is not whole yet (`limits.bodies`). What was begun cannot be mended, and unread it
    /// may not pass: a request in it would reach the client under an id that is not ours.
    pub(in crate::engine::exchange) fn inspection_crowded(&mut self) -> Step {
        let reject = Reject::NoRoom;
        self.record.code = Some(reject.code().0);
        self.record.reason = Some(reject.reason());
        Step {
            end: End::Abort,
            ..Step::default()
        }
    }

    /// A piece of the answer.
    pub(in crate::engine::exchange) fn inspected(&mut self, mut inspector: Box<Inspector>, message: Message) -> Step {
        let mut replies = Vec::with_capacity(2);
        let end = match message {
            Message::ResponseBody { chunk, end } => {
                let mut body = inspector.pass(&chunk);
                if end {
                    body = joined(body, inspector.rest());
                }
                // What is held comes with its end.
                if end || !body.is_empty() {
                    replies.push(Reply::ResponseChunk { body, end });
                }
                end
            }
            Message::ResponseTrailers => {
                let body = inspector.rest();
                if !body.is_empty() {
                    replies.push(Reply::ResponseChunk { body, end: false });
                }
                replies.push(Reply::ResponseTrailers);
                true
            }
            // The request was answered in full before, and a response has one head.
            Message::RequestHeaders(_)
            | Message::RequestBody { .. }
            | Message::RequestTrailers
            | Message::ResponseHeaders(_) => false,
        };
        if end {
            return Step {
                replies,
                commands: Vec::new(),
                end: End::Done,
            };
        }
        self.phase = Phase::Inspecting(inspector);
        Step {
            replies,
            ..Step::default()
        }
    }
}

fn joined(first: Bytes, second: Bytes) -> Bytes {
    match (first.is_empty(), second.is_empty()) {
        (_, true) => first,
        (true, false) => second,
        (false, false) => [first, second].concat().into(),
    }
}
