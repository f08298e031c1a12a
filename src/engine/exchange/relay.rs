//! Relay: the processor makes the call itself and the answer goes out as a response of its own.
//!
//! Used where Envoy cannot: a call without a session (one-shot upstream session), a client that reads only JSON, a resource
//! that several upstreams are asked for in turn, a replay after a lost session, an upstream with `via: direct`.

mod collected;
mod outcome;

use super::call::Outgoing;
use super::calls::Calls;
use super::event::{CallEvent, Finding, ResponseHead, UpstreamFailure};
use super::record::Way;
use super::reject::{Reject, Trouble};
use super::step::{Call, Command, Notice, Question, Reply, Step};
use super::verdict::{self, Media, Settled, Verdict};
use super::{Accepts, BodyMode, Exchange, Phase, Request, heading};
use crate::engine::mcp::Era;
use crate::engine::session::Binding;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// An answer that can only be given whole may take so much longer than its headers: Envoy's message_timeout is the
/// largest `timeout.call` and 30 s, and some of that has passed.
const WHOLE: Duration = Duration::from_secs(20);
/// A stream that we write is never silent for longer: clients and what stands between cut silent ones.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// A comment. One line end, for it may come between the lines of an event.
const COMMENT: Bytes = Bytes::from_static(b": keep-alive\n");
/// As long as a task may take.
const LONG: Duration = Duration::from_secs(24 * 3600);
/// A JSON answer beyond this many bytes is streamed where the wiring can.
const COLLECT: usize = 1 << 20;
/// An answer that must be collected may not be larger.
const COLLECT_MAX: usize = 64 << 20;

/// A call that the processor makes.
#[derive(Debug)]
pub(super) struct Relay {
    request: Box<Request>,
    calls: Calls,
    call: Outgoing,
    binding: Binding,
    /// StreamedImmediateResponse is possible: request phase, FULL_DUPLEX.
    streamable: bool,
    turn: Turn,
    stage: Stage,
}

/// How often the upstream has seen this call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Never; a lost upstream session can be recovered.
    First,
    /// Once: it is not made a third time.
    Second,
}

#[derive(Debug)]
enum Stage {
    AwaitHead,
    /// The answer is collected to be sent whole.
    Collect(Collected),
    /// The answer is on its way to the client.
    Stream {
        media: Media,
        /// A line is not complete yet: nothing may be put in.
        mid_line: bool,
    },
}

#[derive(Debug)]
struct Collected {
    status: u16,
    media: Media,
    pieces: Vec<Bytes>,
    len: usize,
    complete: bool,
    /// Whether the upstream session is lost is being found out; what to do if it is not.
    doubt: Option<Settled>,
}

impl Relay {
    pub(super) fn held(&self) -> usize {
        self.call.body.len()
    }

    /// What has to be closed when the relay ends.
    pub(super) fn into_close(self: Box<Self>) -> Option<Command> {
        self.close()
    }

    fn close(&self) -> Option<Command> {
        (self.calls.one_shot && self.binding.id.is_some()).then(|| {
            Command::Notify(Notice::Close {
                upstream: Arc::clone(&self.call.upstream.name),
                binding: self.binding.clone(),
            })
        })
    }

    /// Tells a legacy upstream that nobody waits any more; the end of a one-shot session says so too.
    fn cancel(&self) -> Option<Command> {
        let id = self.request.id().filter(|_| !self.calls.one_shot)?;
        (self.request.era() == Era::Legacy).then(|| {
            Command::Notify(Notice::Cancelled {
                upstream: Arc::clone(&self.call.upstream.name),
                binding: self.binding.clone(),
                id: String::from_utf8_lossy(id).into(),
            })
        })
    }

    fn command(&self) -> Command {
        Command::Call(Call {
            upstream: Arc::clone(&self.call.upstream.name),
            headers: heading::own_headers(&self.call, self.request.era(), &self.binding, &self.request.headers),
            body: self.call.body.clone(),
            timeout: self.call.deadline().unwrap_or(LONG),
        })
    }

    /// The answer may leave before it is complete.
    fn may_stream(&self, media: Media) -> bool {
        let readable = media == Media::Json || self.request.accepts == Accepts::Both;
        self.streamable && readable && !self.calls.asking_around()
    }
}

impl Exchange {
    /// Makes the call of `calls` that is in turn.
    pub(super) fn relay(&mut self, request: Box<Request>, calls: Calls, binding: Binding) -> Step {
        let Some(call) = calls.current().cloned() else {
            return self.reject_missing(&request);
        };
        let streamable = self.modes.request == BodyMode::FullDuplex;
        self.start_relay(Relay {
            request,
            calls,
            call,
            binding,
            streamable,
            turn: Turn::First,
            stage: Stage::AwaitHead,
        })
    }

    /// Makes a call again that Envoy had made: in the response-header phase only one whole answer is possible.
    pub(super) fn replay(&mut self, request: Box<Request>, call: Outgoing, binding: Binding, turn: Turn) -> Step {
        let calls = Calls::default();
        let relay = Relay {
            request,
            calls,
            call,
            binding,
            streamable: false,
            turn,
            stage: Stage::AwaitHead,
        };
        self.start_relay(relay)
    }

    fn start_relay(&mut self, relay: Relay) -> Step {
        self.record.way = Way::Relay;
        let deadline = if relay.streamable {
            Command::Disarm
        } else {
            Command::Arm(relay.call.upstream.call_timeout.saturating_add(WHOLE))
        };
        let commands = vec![deadline, relay.command()];
        self.phase = Phase::Calling(Box::new(relay));
        Step {
            commands,
            ..Step::default()
        }
    }

    /// The call made progress.
    pub(super) fn relayed(&mut self, relay: Box<Relay>, event: CallEvent) -> Step {
        match event {
            CallEvent::Head(head) if matches!(relay.stage, Stage::AwaitHead) => self.relay_head(relay, &head),
            // A call has one head.
            CallEvent::Head(_) => self.stay(Phase::Calling(relay)),
            CallEvent::Chunk(chunk) => self.relay_chunk(relay, chunk),
            CallEvent::End => self.relay_end(relay),
            CallEvent::Failed(failure) => self.relay_failed(relay, failure),
        }
    }

    fn relay_head(&mut self, mut relay: Box<Relay>, head: &ResponseHead) -> Step {
        let status = verdict::status(head);
        self.record.status = status;
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
            Verdict::Replace(trouble) => return self.relay_refused(*relay, trouble),
            Verdict::UnknownCluster => {
                return self.relay_refused(*relay, Trouble::Failed(UpstreamFailure::Unreachable));
            }
        };
        let mut step = Step::default();
        if doubt.is_none() && media == Media::EventStream && relay.may_stream(media) {
            step.replies.push(self.stream_head(&relay.request, media));
            step.commands.push(Command::Arm(KEEP_ALIVE));
            relay.stage = Stage::Stream { media, mid_line: false };
        } else {
            if doubt.is_some() {
                step.commands.push(Command::Ask(Question::Recover {
                    session: relay.request.sender.session,
                    upstream: Arc::clone(&relay.call.upstream.name),
                    stale: relay.binding.clone(),
                }));
            }
            relay.stage = Stage::Collect(Collected {
                status,
                media,
                pieces: Vec::new(),
                len: 0,
                complete: false,
                doubt,
            });
        }
        self.phase = Phase::Calling(relay);
        step
    }

    fn relay_chunk(&mut self, mut relay: Box<Relay>, chunk: Bytes) -> Step {
        let mut step = Step::default();
        let mut begun = None;
        match &mut relay.stage {
            Stage::AwaitHead => {}
            Stage::Stream { media, mid_line } => {
                self.record.bytes_out += chunk.len();
                if *media == Media::EventStream {
                    step.commands.push(Command::Arm(KEEP_ALIVE));
                    *mid_line = chunk.last().map_or(*mid_line, |last| *last != b'\n');
                }
                step.replies.push(Reply::StreamChunk {
                    body: vec![chunk],
                    end: false,
                });
            }
            Stage::Collect(collected) => {
                collected.len += chunk.len();
                collected.pieces.push(chunk);
                if collected.len > COLLECT && collected.doubt.is_none() && collected.status == 200 {
                    begun = Some(collected.media);
                }
                if collected.len > COLLECT_MAX {
                    return self.relay_refused(*relay, Trouble::Failed(UpstreamFailure::Garbage));
                }
            }
        }
        if let Some(media) = begun.filter(|media| relay.may_stream(*media)) {
            step.replies.push(self.stream_head(&relay.request, media));
            let streaming = Stage::Stream { media, mid_line: false };
            if let Stage::Collect(collected) = std::mem::replace(&mut relay.stage, streaming) {
                self.record.bytes_out += collected.len;
                step.replies.push(Reply::StreamChunk {
                    body: collected.pieces,
                    end: false,
                });
            }
        }
        self.phase = Phase::Calling(relay);
        step
    }

    /// The timer is up: the upstream is silent, or the whole answer did not come in time.
    pub(super) fn relay_timer(&mut self, relay: Box<Relay>) -> Step {
        let Stage::Stream { mid_line, .. } = &relay.stage else {
            return self.relay_refused(*relay, Trouble::Failed(UpstreamFailure::TimedOut));
        };
        let comment = Reply::StreamChunk {
            body: vec![COMMENT],
            end: false,
        };
        let replies = if *mid_line { Vec::new() } else { vec![comment] };
        self.phase = Phase::Calling(relay);
        Step {
            replies,
            commands: vec![Command::Arm(KEEP_ALIVE)],
            ..Step::default()
        }
    }

    /// What is known of the upstream session now.
    pub(super) fn relay_found(&mut self, mut relay: Box<Relay>, finding: Finding) -> Step {
        match finding {
            Finding::StillThere => {
                let Stage::Collect(collected) = &mut relay.stage else {
                    self.phase = Phase::Calling(relay);
                    return Step::default();
                };
                match collected.doubt.take() {
                    Some(Settled::Replace(trouble)) => self.relay_refused(*relay, trouble),
                    Some(Settled::Pass(_)) | None if collected.complete => self.relay_whole(relay),
                    Some(Settled::Pass(_)) | None => {
                        self.phase = Phase::Calling(relay);
                        Step::default()
                    }
                }
            }
            Finding::Reopened(binding) => {
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
            Finding::Unbindable(failure) => self.relay_refused(*relay, Trouble::Failed(failure)),
            Finding::Ended => self.reject(&Reject::SessionNotFound("session_ended"), relay.request.id()),
            Finding::Live | Finding::SessionsFull | Finding::Bound(_) | Finding::EndWritten(_) | Finding::Told(_) => {
                self.phase = Phase::Calling(relay);
                Step::default()
            }
        }
    }

    fn stream_head(&self, request: &Request, media: Media) -> Reply {
        let content_type: &'static [u8] = match media {
            Media::Json => b"application/json",
            Media::EventStream => b"text/event-stream",
        };
        let mut headers = vec![("content-type".into(), Bytes::from_static(content_type))];
        if media == Media::EventStream {
            headers.push(("cache-control".into(), Bytes::from_static(b"no-cache")));
        }
        Reply::StreamHead {
            status: 200,
            headers,
            metadata: Some(Box::new(self.metadata(request.id(), true))),
        }
    }
}
