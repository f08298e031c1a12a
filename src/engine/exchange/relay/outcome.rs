//! How a relayed call ends: its answer, the next upstream in line, or an error.

use super::collected::{is_not_found, response_in};
use super::{Collected, Flow, Relay, Stage};
use crate::engine::exchange::event::UpstreamFailure;
use crate::engine::exchange::outgoing::calls::Calls;
use crate::engine::exchange::outgoing::verdict::Media;
use crate::engine::exchange::outgoing::{delegate, subscribe};
use crate::engine::exchange::reject::{Reject, Trouble};
use crate::engine::exchange::step::{Answer, Command, End, Reply, Step};
use crate::engine::exchange::{Accepts, Exchange, Phase, Request};
use crate::engine::sse;
use bytes::Bytes;
use std::sync::Arc;

impl Exchange {
    /// The upstream has said everything.
    pub(super) fn relay_end(&mut self, mut relay: Box<Relay>) -> Step {
        let rest = relay.held_back();
        let rest = Some(rest).filter(|rest| !rest.is_empty());
        match &mut relay.stage {
            Stage::AwaitHead => self.relay_failed(relay, UpstreamFailure::Garbage),
            Stage::Stream(_) => self.relay_done(
                &relay,
                vec![Reply::StreamChunk {
                    body: rest.into_iter().collect(),
                    end: true,
                }],
            ),
            Stage::Collect(collected) => {
                collected.pieces.extend(rest);
                collected.complete = true;
                if collected.doubt.is_some() {
                    self.phase = Phase::Calling(relay);
                    return Step::default();
                }
                self.relay_whole(relay)
            }
        }
    }

    /// The whole answer is here and stands.
    pub(super) fn relay_whole(&mut self, mut relay: Box<Relay>) -> Step {
        let Stage::Collect(collected) = std::mem::replace(&mut relay.stage, Stage::AwaitHead) else {
            return self.relay_failed(relay, UpstreamFailure::Garbage);
        };
        let Collected { head, mut pieces, .. } = *collected;
        let (status, mut headers) = (head.status, head.headers);
        let must_convert = relay.request.accepts == Accepts::Json || relay.calls.reads_answers();
        if head.media == Media::EventStream && must_convert {
            let Some(message) = response_in(&pieces) else {
                return self.relay_refused(*relay, Trouble::Failed(UpstreamFailure::Garbage));
            };
            pieces = vec![message];
            headers = vec![("content-type".into(), Bytes::from_static(b"application/json"))];
        } else if head.media == Media::Json
            && relay.call.tasks
            && let Some(inspector) = &relay.inspector
        {
            pieces = vec![inspector.whole(pieces.concat().into())];
        }
        if let Some(gathered) = relay.calls.gathered_mut() {
            gathered.take(&relay.call.upstream.name, pieces.concat().into());
            return self.relay_next(*relay);
        }
        if relay.calls.asking_around() && is_not_found(&pieces) {
            return self.relay_next(*relay);
        }
        let agreed = agreed(&relay, &pieces);
        let answer = Answer {
            status,
            headers,
            body: pieces,
            details: "relayed",
            metadata: Some(Box::new(self.metadata(relay.request.id(), true))),
        };
        self.record.status = status;
        self.record.bytes_out = answer.body.iter().map(Bytes::len).sum();
        let mut step = self.relay_done(&relay, vec![Reply::Answer(answer)]);
        step.commands.splice(0..0, agreed);
        step
    }

    pub(super) fn relay_failed(&mut self, relay: Box<Relay>, failure: UpstreamFailure) -> Step {
        let trouble = Trouble::Failed(failure);
        match &relay.stage {
            Stage::AwaitHead | Stage::Collect(_) => self.relay_refused(*relay, trouble),
            Stage::Stream(_) => {
                let reject = Reject::Upstream(trouble, Arc::clone(&relay.call.upstream.name));
                self.relay_breaks_off(&relay, &reject)
            }
        }
    }

    /// An answer that is on its way cannot be completed.
    pub(super) fn relay_breaks_off(&mut self, relay: &Relay, reject: &Reject) -> Step {
        match &relay.stage {
            Stage::Stream(Flow::Events(pulse)) if !pulse.may_break_off() => {
                // The status is out; the caller still hears what became of its request.
                self.record.code = Some(reject.code().0);
                self.record.reason = Some(reject.reason());
                let event = sse::SseEvent {
                    data: reject.body(relay.request.id()),
                    ..sse::SseEvent::default()
                };
                let chunk = Reply::StreamChunk {
                    // Whatever was begun ends here.
                    body: vec![Bytes::from_static(b"\n\n"), sse::encode(&event)],
                    end: true,
                };
                self.relay_done(relay, vec![chunk])
            }
            Stage::AwaitHead | Stage::Collect(_) | Stage::Stream(Flow::Json | Flow::Events(_)) => {
                // Half a JSON document cannot be mended, and the rest of a stream can be had elsewhere or is not missed:
                // cut the connection, as Envoy would.
                self.record.reason = Some("upstream_cut");
                let mut step = self.relay_done(relay, Vec::new());
                step.end = End::Abort;
                step
            }
        }
    }

    /// Its head says that the upstream does not take the call. One that refused what spoke for the caller has done nothing
    /// else: the call is made once more if its caller has something else by now.
    pub(super) fn relay_unwelcome(&mut self, relay: Relay, trouble: Trouble) -> Step {
        let spent = delegate::spent(&relay.call.delegation, self.record.status);
        // One that Envoy had made before has no calls: it must be answered as it stands.
        if spent.is_none() || relay.calls.current().is_none() {
            let mut step = self.relay_refused(relay, trouble);
            step.commands.splice(0..0, spent);
            return step;
        }
        let close = relay.close();
        let mut step = self.speak_anew(relay.request, relay.calls, trouble);
        step.commands
            .splice(0..0, spent.into_iter().chain([Command::CancelCall]));
        step.commands.extend(close);
        step
    }

    /// This upstream gives no answer: the next one, or the error.
    pub(super) fn relay_refused(&mut self, relay: Relay, trouble: Trouble) -> Step {
        let timed_out = trouble == Trouble::Failed(UpstreamFailure::TimedOut);
        let cancel = relay.cancel().filter(|_| timed_out);
        let close = relay.close();
        let mut step = self.try_next(relay.request, relay.calls.or(relay.call), trouble);
        step.commands.insert(0, Command::CancelCall);
        step.commands.extend(cancel.into_iter().chain(close));
        step
    }

    pub(super) fn relay_next(&mut self, relay: Relay) -> Step {
        let close = relay.close();
        let mut step = self.tie(relay.request, relay.calls);
        step.commands.extend(close);
        step
    }

    /// Goes on to the next upstream in line, if there is one; else the trouble is the client's answer.
    pub(in crate::engine::exchange) fn try_next(
        &mut self,
        request: Box<Request>,
        calls: Calls,
        trouble: Trouble,
    ) -> Step {
        if calls.is_gathering() {
            return self.gather_on(request, calls, trouble);
        }
        if calls.is_last() {
            let upstream = calls.current().map(|call| &call.upstream);
            let trouble = upstream.map_or(trouble, |upstream| trouble.at(upstream));
            let upstream = upstream
                .map(|upstream| Arc::clone(&upstream.name))
                .or_else(|| self.record.upstream.clone())
                .unwrap_or_else(|| "".into());
            return self.reject(&Reject::Upstream(trouble, upstream), request.id());
        }
        self.tie(request, calls)
    }

    pub(super) fn relay_done(&mut self, relay: &Relay, replies: Vec<Reply>) -> Step {
        self.phase = Phase::Done;
        Step {
            replies,
            commands: relay.close().into_iter().collect(),
            end: End::Done,
        }
    }
}

/// What is remembered now that this answer is here.
fn agreed(relay: &Relay, pieces: &[Bytes]) -> Option<Command> {
    relay.call.subscription.as_ref()?;
    let message = response_in(pieces).unwrap_or_else(|| pieces.concat().into());
    subscribe::agreed(&relay.request, &relay.call, &message)
}
