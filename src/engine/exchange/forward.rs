//! Forward: the call goes through Envoy; the response headers come back to be judged.

mod doubt;
pub(super) mod inspect;

pub(super) use doubt::Suspicion;

use super::event::{ResponseHead, UpstreamFailure};
use super::outgoing::verdict::{self, Verdict};
use super::outgoing::{Outgoing, heading};
use super::record::Way;
use super::reject::{Reject, Trouble};
use super::relay::Turn;
use super::step::{Command, End, HeaderWork, Notice, Question, Reply, Step};
use super::{BodyMode, Exchange, Phase, Request};
use crate::engine::mcp::Era;
use crate::engine::session::Binding;
use bytes::Bytes;
use std::sync::Arc;

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

    pub(super) fn drop_replay(&mut self) {
        self.call.body = Bytes::new();
        self.replayable = false;
    }
}

impl Exchange {
    pub(super) fn forward(&mut self, request: Box<Request>, call: Outgoing, binding: Binding) -> Step {
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
}
