//! What comes of a relayed call: its head, its pieces, the timer, what is found out about its session.

use super::collected::asks;
use super::pulse::Pulse;
use super::{COLLECT_MAX, COMMENT, Collected, Flow, Head, KEEP_ALIVE, PROMPT, Relay, SMALL, Stage, Turn};
use crate::engine::exchange::event::{CallEvent, Finding, ResponseHead, UpstreamFailure};
use crate::engine::exchange::outgoing::heading;
use crate::engine::exchange::outgoing::tie::Found;
use crate::engine::exchange::outgoing::verdict::{self, Media, Settled, Verdict};
use crate::engine::exchange::reject::{Input, Reject, Trouble};
use crate::engine::exchange::step::{Command, End, Question, Reply, Step};
use crate::engine::exchange::{Exchange, Phase};
use bytes::Bytes;
use std::sync::Arc;

/// What a wiring must say for an answer that cannot wait to be whole.
const STREAMS: &str = "request_body_mode must be FULL_DUPLEX_STREAMED for a server that asks its client";

impl Exchange {
    /// The call made progress.
    pub(in crate::engine::exchange) fn relayed(&mut self, relay: Box<Relay>, event: CallEvent) -> Step {
        match event {
            CallEvent::Head(head) if matches!(relay.stage, Stage::AwaitHead) => self.relay_head(relay, &head),
            // A call has one head.
            CallEvent::Head(_) | CallEvent::Pushed(_) => self.stay(Phase::Calling(relay)),
            CallEvent::Chunk(chunk) => self.relay_chunk(relay, chunk),
            CallEvent::End => self.relay_end(relay),
            CallEvent::Failed(failure) => self.relay_failed(relay, failure),
        }
    }

    fn relay_head(&mut self, mut relay: Box<Relay>, head: &ResponseHead) -> Step {
        self.record.status = verdict::status(head);
        let tied = relay.binding.id.is_some() && !relay.calls.one_shot && relay.turn == Turn::First;
        let (media, doubt) = match verdict::judge(relay.request.era(), tied, head) {
            Verdict::Pass(media) => (media, None),
            Verdict::Suspect { otherwise } => {
                let media = if let Settled::Pass(media) = otherwise {
                    media
                } else {
                    Media::Json
                };
                (media, Some(otherwise))
            }
            Verdict::Replace(trouble) => return self.relay_unwelcome(*relay, trouble),
            Verdict::NotRouted => {
                return self.relay_refused(*relay, Trouble::Failed(UpstreamFailure::Unreachable));
            }
        };
        let mut step = Step::default();
        let question = doubt.is_some().then(|| Question::Recover {
            session: relay.request.sender.session,
            upstream: Arc::clone(&relay.call.upstream.name),
            stale: relay.binding.clone(),
            trace: self.span_of_call(),
        });
        relay.inspector = relay.new_inspector();
        relay.stage = Stage::Collect(Box::new(Collected {
            head: Head {
                status: verdict::status(head),
                media,
                headers: heading::relayed_headers(&head.headers),
                length: head.headers.get("content-length").map(Bytes::copy_from_slice),
            },
            pieces: Vec::new(),
            len: 0,
            complete: false,
            listener: relay.new_listener(media),
            doubt,
        }));
        match question {
            Some(question) => step.commands.push(Command::Ask(question)),
            None => self.perhaps_stream(&mut relay, &mut step),
        }
        step.commands.extend(relay.patience().map(Command::Arm));
        self.phase = Phase::Calling(relay);
        step
    }

    fn relay_chunk(&mut self, mut relay: Box<Relay>, chunk: Bytes) -> Step {
        let mut step = Step::default();
        let chunk = relay.inspect(chunk);
        step.commands.extend(relay.patience().map(Command::Arm));
        if chunk.is_empty() {
            self.phase = Phase::Calling(relay);
            return step;
        }
        match &mut relay.stage {
            Stage::AwaitHead => {}
            Stage::Stream(flow) => {
                self.record.bytes_out += chunk.len();
                if let Flow::Events(pulse) = flow {
                    pulse.feel(&chunk);
                    step.commands.push(Command::Arm(KEEP_ALIVE));
                }
                step.replies.push(Reply::StreamChunk {
                    body: vec![chunk],
                    end: false,
                });
            }
            Stage::Collect(collected) => {
                if collected.listener.as_mut().is_some_and(|decoder| asks(decoder, &chunk)) {
                    return self.relay_unheard(&relay);
                }
                collected.len += chunk.len();
                collected.pieces.push(chunk);
                if collected.len > SMALL && collected.doubt.is_none() && relay.may_stream() {
                    self.stream(&mut relay, &mut step);
                } else if relay.collected() > COLLECT_MAX {
                    return self.relay_refused(*relay, Trouble::Failed(UpstreamFailure::Garbage));
                }
            }
        }
        self.phase = Phase::Calling(relay);
        step
    }

    /// The upstream asks the client before it answers, and all that can be sent is a whole answer.
    fn relay_unheard(&mut self, relay: &Relay) -> Step {
        let reject = if relay.streamable {
            Reject::Input(Input::OnlyJson)
        } else {
            Reject::Wiring(STREAMS)
        };
        let mut step = self.reject(&reject, relay.request.id());
        step.commands.extend(relay.cancel().into_iter().chain(relay.close()));
        step
    }

    /// No room is left for what is collected (`limits.bodies`).
    pub(in crate::engine::exchange) fn relay_crowded(&mut self, relay: &Relay) -> Step {
        if let Stage::Stream(_) = relay.stage {
            let mut step = self.relay_breaks_off(relay, &Reject::NoRoom);
            step.commands.extend(relay.cancel());
            return step;
        }
        let mut step = self.reject(&Reject::NoRoom, relay.request.id());
        step.commands.extend(relay.cancel().into_iter().chain(relay.close()));
        step
    }

    /// The timer is up: the upstream is silent, or the whole answer did not come in time.
    pub(in crate::engine::exchange) fn relay_timer(&mut self, mut relay: Box<Relay>) -> Step {
        let mut step = Step::default();
        match &relay.stage {
            Stage::Stream(Flow::Json) => {}
            Stage::Stream(Flow::Events(pulse)) => {
                if !pulse.mid_line() {
                    step.replies.push(Reply::StreamChunk {
                        body: vec![COMMENT],
                        end: false,
                    });
                }
                step.commands.push(Command::Arm(KEEP_ALIVE));
            }
            Stage::Collect(collected) if collected.doubt.is_none() && relay.may_stream() => {
                self.stream(&mut relay, &mut step);
            }
            // The response came, and the stream after it does not end.
            Stage::Collect(collected) if collected.has_response() => {
                let mut step = self.relay_whole(relay);
                if step.end == End::Open {
                    // The next upstream is asked: one call is open at a time.
                    step.commands.insert(0, Command::CancelCall);
                }
                return step;
            }
            Stage::AwaitHead | Stage::Collect(_) => {
                return self.relay_refused(*relay, Trouble::Failed(UpstreamFailure::TimedOut));
            }
        }
        self.phase = Phase::Calling(relay);
        step
    }

    /// What is known of the upstream session now.
    pub(in crate::engine::exchange) fn relay_found(&mut self, mut relay: Box<Relay>, finding: Finding) -> Step {
        match Found::of(finding) {
            Some(Found::StillThere) => self.still_there(relay),
            Some(Found::Reopened(binding)) => {
                relay.binding = binding;
                relay.turn = Turn::Second;
                relay.stage = Stage::AwaitHead;
                self.record.replayed = true;
                let commands = vec![Command::CancelCall, relay.command()];
                self.phase = Phase::Calling(relay);
                Step {
                    commands,
                    ..Step::default()
                }
            }
            Some(Found::Unbindable(failure)) => self.relay_refused(*relay, Trouble::Failed(failure)),
            Some(Found::Ended) => self.reject(&Reject::SessionNotFound("session_ended"), relay.request.id()),
            Some(Found::Live | Found::Bound(_) | Found::Delegated(_)) | None => {
                self.phase = Phase::Calling(relay);
                Step::default()
            }
        }
    }

    /// The session is alive: the answer stands.
    fn still_there(&mut self, mut relay: Box<Relay>) -> Step {
        let mut step = Step::default();
        if let Stage::Collect(collected) = &mut relay.stage {
            match collected.doubt.take() {
                Some(Settled::Replace(trouble)) => return self.relay_refused(*relay, trouble),
                Some(Settled::Pass(_)) | None if collected.complete => return self.relay_whole(relay),
                Some(Settled::Pass(_)) | None => self.perhaps_stream(&mut relay, &mut step),
            }
        }
        step.commands.extend(relay.patience().map(Command::Arm));
        self.phase = Phase::Calling(relay);
        step
    }

    /// Begins to stream an answer that will not be whole at once; waits a moment for one that may be.
    fn perhaps_stream(&mut self, relay: &mut Relay, step: &mut Step) {
        let Stage::Collect(collected) = &relay.stage else {
            return;
        };
        if !relay.may_stream() {
            return;
        }
        let head = &collected.head;
        if head.media == Media::EventStream || head.says_more_than(SMALL) {
            self.stream(relay, step);
        } else {
            step.commands.push(Command::Arm(PROMPT));
        }
    }

    /// Begins to stream: what was collected goes out, the rest follows as it comes.
    fn stream(&mut self, relay: &mut Relay, step: &mut Step) {
        let Stage::Collect(collected) = std::mem::replace(&mut relay.stage, Stage::AwaitHead) else {
            return;
        };
        let Head {
            status,
            media,
            mut headers,
            length,
        } = collected.head;
        let flow = match media {
            Media::Json => {
                headers.extend(length.map(|length| ("content-length".into(), length)));
                step.commands.push(Command::Disarm);
                Flow::Json
            }
            Media::EventStream => {
                let mut pulse = Pulse::default();
                collected.pieces.iter().for_each(|piece| pulse.feel(piece));
                step.commands.push(Command::Arm(KEEP_ALIVE));
                Flow::Events(pulse)
            }
        };
        step.replies.push(Reply::StreamHead {
            status,
            headers,
            metadata: Some(Box::new(self.metadata(relay.request.id(), true))),
        });
        if !collected.pieces.is_empty() {
            self.record.bytes_out += collected.len;
            step.replies.push(Reply::StreamChunk {
                body: collected.pieces,
                end: false,
            });
        }
        relay.settle();
        relay.stage = Stage::Stream(flow);
    }
}
