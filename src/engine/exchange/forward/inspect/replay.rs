//! A replay whose answer takes the place of the lost one in the response that Envoy holds: it may ask the client while it
//! runs, so it cannot be one answer at the end.
//!
//! The response headers of the answer that said "no such session" are still held: they become those of the new answer,
//! and nothing of the old body goes on. Until then an error is an answer of our own, as everywhere.

use crate::engine::call::Inspector;
use crate::engine::exchange::event::{CallEvent, ResponseHead, UpstreamFailure};
use crate::engine::exchange::outgoing::verdict::{self, Verdict};
use crate::engine::exchange::outgoing::{Outgoing, heading};
use crate::engine::exchange::record::Way;
use crate::engine::exchange::reject::{Reject, Trouble};
use crate::engine::exchange::relay::{COMMENT, KEEP_ALIVE, WHOLE};
use crate::engine::exchange::step::{Call, Command, End, HeaderName, HeaderWork, Notice, Reply, Step};
use crate::engine::exchange::{Exchange, Phase, Request};
use crate::engine::session::Binding;
use crate::engine::sse;
use bytes::Bytes;
use std::sync::Arc;

/// A call that is made again.
#[derive(Debug)]
pub(in crate::engine::exchange) struct Replay {
    request: Box<Request>,
    call: Outgoing,
    binding: Binding,
    /// Of the answer that is replaced.
    old: ResponseHead,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    AwaitHead,
    Json,
    Events(Box<Inspector>),
}

impl Replay {
    pub(in crate::engine::exchange) fn held(&self) -> usize {
        let answer = match &self.stage {
            Stage::AwaitHead | Stage::Json => 0,
            Stage::Events(inspector) => inspector.held(),
        };
        self.call.body.len() + answer
    }

    /// Its answer has not begun.
    pub(in crate::engine::exchange) const fn waits(&self) -> bool {
        matches!(self.stage, Stage::AwaitHead)
    }

    fn name(&self) -> Arc<str> {
        Arc::clone(&self.call.upstream.name)
    }
}

impl Exchange {
    /// Makes a call again in the session that was opened anew.
    pub(in crate::engine::exchange) fn replay_in_body(
        &mut self,
        request: Box<Request>,
        call: Outgoing,
        binding: Binding,
        old: ResponseHead,
    ) -> Step {
        self.record.way = Way::Relay;
        let own = heading::own_headers(&call, request.era(), &binding);
        let command = Command::Call(Call {
            upstream: Arc::clone(&call.upstream.name),
            passed: heading::client_headers(&request.endpoint, &call, request.era(), &own, &request.headers),
            headers: own,
            body: call.body.clone(),
            timeout: call.upstream.call_timeout,
        });
        let deadline = Command::Arm(call.upstream.call_timeout.saturating_add(WHOLE));
        self.phase = Phase::Replaying(Box::new(Replay {
            request,
            call,
            binding,
            old,
            stage: Stage::AwaitHead,
        }));
        Step {
            commands: vec![deadline, command],
            ..Step::default()
        }
    }

    /// The call made progress.
    pub(in crate::engine::exchange) fn replayed(&mut self, mut replay: Box<Replay>, event: CallEvent) -> Step {
        match (&mut replay.stage, event) {
            (Stage::AwaitHead, CallEvent::Head(head)) => self.replay_head(replay, &head),
            (Stage::AwaitHead, CallEvent::Failed(failure)) => self.replay_refused(&replay, Trouble::Failed(failure)),
            (_, CallEvent::Pushed(_)) => self.stay(Phase::Replaying(replay)),
            (Stage::AwaitHead, CallEvent::Chunk(_) | CallEvent::End) => {
                self.replay_refused(&replay, Trouble::Failed(UpstreamFailure::Garbage))
            }
            // A call has one head.
            (Stage::Json | Stage::Events(_), CallEvent::Head(_)) => self.stay(Phase::Replaying(replay)),
            (Stage::Json, CallEvent::Chunk(body)) => self.replay_piece(replay, body, Vec::new()),
            (Stage::Events(inspector), CallEvent::Chunk(chunk)) => {
                let body = inspector.pass(&chunk);
                self.replay_piece(replay, body, vec![Command::Arm(KEEP_ALIVE)])
            }
            (Stage::Json, CallEvent::End) => replay_done(Bytes::new()),
            (Stage::Events(inspector), CallEvent::End) => replay_done(inspector.rest()),
            (Stage::Json, CallEvent::Failed(_)) => {
                // Half a JSON document cannot be mended: cut the connection.
                self.record.reason = Some("upstream_cut");
                Step {
                    end: End::Abort,
                    ..Step::default()
                }
            }
            (Stage::Events(_), CallEvent::Failed(failure)) => {
                self.replay_breaks_off(&replay, &Reject::Upstream(Trouble::Failed(failure), replay.name()))
            }
        }
    }

    /// No room is left for an event that is not whole yet (`limits.bodies`).
    pub(in crate::engine::exchange) fn replay_crowded(&mut self, replay: &Replay) -> Step {
        match replay.stage {
            Stage::AwaitHead | Stage::Json => self.reject(&Reject::NoRoom, replay.request.id()),
            Stage::Events(_) => self.replay_breaks_off(replay, &Reject::NoRoom),
        }
    }

    fn replay_breaks_off(&mut self, replay: &Replay, reject: &Reject) -> Step {
        self.record.code = Some(reject.code().0);
        self.record.reason = Some(reject.reason());
        let data = reject.body(replay.request.id());
        let event = sse::encode(&sse::SseEvent {
            data,
            ..sse::SseEvent::default()
        });
        // Whatever was begun ends here.
        replay_done([b"\n\n", event.as_ref()].concat().into())
    }

    fn replay_head(&mut self, mut replay: Box<Replay>, head: &ResponseHead) -> Step {
        self.record.status = verdict::status(head);
        let media = match verdict::judge(replay.request.era(), false, head) {
            Verdict::Pass(media) => media,
            Verdict::Replace(trouble) => return self.replay_refused(&replay, trouble),
            Verdict::Suspect { .. } | Verdict::NotRouted => {
                return self.replay_refused(&replay, Trouble::Failed(UpstreamFailure::Garbage));
            }
        };
        let headers = instead(&replay.old, head);
        let (stage, timer) = match replay.request.inspector(&replay.call.upstream, media) {
            Some(inspector) => (Stage::Events(Box::new(inspector)), Command::Arm(KEEP_ALIVE)),
            None => (Stage::Json, Command::Disarm),
        };
        replay.stage = stage;
        // It is not made a third time.
        replay.call.body = Bytes::new();
        self.phase = Phase::Replaying(replay);
        Step {
            replies: vec![Reply::ResponseHeaders(headers)],
            commands: vec![timer],
            end: End::Open,
        }
    }

    fn replay_piece(&mut self, replay: Box<Replay>, body: Bytes, commands: Vec<Command>) -> Step {
        self.record.bytes_out += body.len();
        let reply = (!body.is_empty()).then_some(Reply::ResponseChunk { body, end: false });
        self.phase = Phase::Replaying(replay);
        Step {
            replies: reply.into_iter().collect(),
            commands,
            end: End::Open,
        }
    }

    fn replay_refused(&mut self, replay: &Replay, trouble: Trouble) -> Step {
        let trouble = trouble.at(&replay.call.upstream);
        self.reject(&Reject::Upstream(trouble, replay.name()), replay.request.id())
    }

    /// The timer is up: the upstream is silent.
    pub(in crate::engine::exchange) fn replay_timer(&mut self, replay: Box<Replay>) -> Step {
        let body = match &replay.stage {
            Stage::AwaitHead => return self.replay_overdue(&replay),
            // Its head is out: nothing is left to say but the rest.
            Stage::Json => return self.stay(Phase::Replaying(replay)),
            Stage::Events(inspector) if inspector.is_between() => COMMENT,
            Stage::Events(_) => Bytes::new(),
        };
        self.replay_piece(replay, body, vec![Command::Arm(KEEP_ALIVE)])
    }

    fn replay_overdue(&mut self, replay: &Replay) -> Step {
        let mut step = self.replay_refused(replay, Trouble::Failed(UpstreamFailure::TimedOut));
        step.commands.extend(replay.request.id().map(|id| {
            Command::Notify(Notice::Cancelled {
                upstream: replay.name(),
                binding: replay.binding.clone(),
                id: String::from_utf8_lossy(id).into(),
            })
        }));
        step
    }
}

/// Everything was said.
fn replay_done(body: Bytes) -> Step {
    Step {
        replies: vec![Reply::ResponseChunk { body, end: true }],
        commands: Vec::new(),
        end: End::Done,
    }
}

/// What makes the headers of the old answer those of the new one; without the length, for the body comes in pieces.
fn instead(old: &ResponseHead, new: &ResponseHead) -> HeaderWork {
    let mut set = heading::relayed_headers(&new.headers);
    let mut remove: Vec<HeaderName> = Vec::new();
    for (name, _) in old.headers.select(|name| name.first() != Some(&b':')) {
        let is_known = |other: &HeaderName| other == name;
        if !set.iter().any(|(other, _)| is_known(other)) && !remove.iter().any(is_known) {
            remove.push(name.to_owned().into());
        }
    }
    let status = new.headers.get(":status").map(Bytes::copy_from_slice);
    set.extend(status.map(|status| (":status".into(), status)));
    HeaderWork {
        set,
        remove,
        clear_route: false,
        metadata: None,
    }
}
