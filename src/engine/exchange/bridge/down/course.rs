//! The course of a call: what comes from the upstream, message by message, until something decides.

use super::open::{Collected, Reading};
use super::{Down, Under};
use crate::engine::era::bridge::down::{Said, answer};
use crate::engine::exchange::event::{CallEvent, ResponseHead, UpstreamFailure};
use crate::engine::exchange::outgoing::verdict::{self, Media, Verdict};
use crate::engine::exchange::reject::Trouble;
use crate::engine::exchange::step::{Attended, Command, Notice, Question, Reply, Step};
use crate::engine::exchange::{Exchange, Phase};
use crate::engine::mcp::Era;
use crate::engine::sse::{self, SseEvent};
use crate::engine::stream::Kinds;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// A stream that we write is never silent for longer, and a client that could read one waits no longer for its head.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// An answer that can only be given whole may take so much longer than its headers.
const WHOLE: Duration = Duration::from_secs(20);
/// Requests that come so closely one after the other are put to the client together.
const GATHER: Duration = Duration::from_millis(30);
/// Log messages in the session's own stream may be so much later than an answer that was said after them.
const LINGER: Duration = Duration::from_millis(20);
/// No more than so many.
const GATHER_MAX: usize = 32;
/// No more than so many bytes.
const GATHER_BYTES: usize = 1 << 20;
/// An answer may not be larger.
const COLLECT_MAX: usize = 64 << 20;

const COMMENT: Bytes = Bytes::from_static(b": keep-alive\n\n");

impl Exchange {
    /// The call made progress.
    pub(in crate::engine::exchange) fn down_called(&mut self, down: Down, event: CallEvent) -> Step {
        let Down::Under(under) = down else {
            return self.stay(Phase::BridgingDown(down));
        };
        match event {
            CallEvent::Head(head) if matches!(under.open.reading, Reading::AwaitHead) => self.down_head(under, &head),
            // A call has one head.
            CallEvent::Head(_) => self.stay(Phase::BridgingDown(Down::Under(under))),
            CallEvent::Chunk(chunk) => self.down_chunk(under, &chunk),
            CallEvent::Pushed(message) => self.down_pushed(under, message),
            CallEvent::End => self.down_end(under),
            CallEvent::Failed(failure) => self.down_cut(under, failure),
        }
    }

    fn down_head(&mut self, mut under: Box<Under>, head: &ResponseHead) -> Step {
        let open = &mut under.open;
        let status = verdict::status(head);
        let tied = open.borrower.is_some() && open.binding.id.is_some() && !open.repeated;
        let (media, doubt) = match verdict::judge(Era::Legacy, tied, head) {
            Verdict::Pass(media) => (media, None),
            Verdict::Suspect { otherwise } => (Media::Json, Some(otherwise)),
            Verdict::Replace(trouble) => return self.down_unwelcome(*under, status, trouble),
            Verdict::NotRouted => {
                let trouble = Trouble::Failed(UpstreamFailure::Unreachable);
                return self.down_refused(*under, Step::default(), trouble);
            }
        };
        let mut step = Step::default();
        if let (Some(_), Some(borrower)) = (&doubt, &open.borrower) {
            step.commands.push(Command::Ask(Question::Renew {
                borrower: Arc::clone(borrower),
                stale: open.binding.clone(),
                trace: self.span_of_call(),
            }));
        }
        open.reading = match media {
            Media::EventStream => Reading::Events(Box::default()),
            Media::Json => Reading::Json(Collected {
                status,
                pieces: Vec::new(),
                len: 0,
                complete: false,
                doubt,
            }),
        };
        self.down_wait(under, step)
    }

    fn down_chunk(&mut self, mut under: Box<Under>, chunk: &Bytes) -> Step {
        let too_large = match &mut under.open.reading {
            Reading::AwaitHead | Reading::Over => false,
            Reading::Json(collected) => {
                collected.len += chunk.len();
                collected.pieces.push(chunk.clone());
                collected.len > COLLECT_MAX
            }
            Reading::Events(decoder) => match decoder.feed(chunk, COLLECT_MAX) {
                Ok(events) => {
                    events.into_iter().for_each(|event| under.open.take(event));
                    return self.down_read(under, Step::default());
                }
                Err(sse::EventTooLarge(_)) => true,
            },
        };
        if too_large {
            let trouble = Trouble::Failed(UpstreamFailure::Garbage);
            return self.down_refused(*under, Step::default(), trouble);
        }
        self.stay(Phase::BridgingDown(Down::Under(under)))
    }

    /// The upstream has said everything.
    fn down_end(&mut self, mut under: Box<Under>) -> Step {
        match &mut under.open.reading {
            Reading::Json(collected) => {
                collected.complete = true;
                if collected.doubt.is_some() {
                    return self.stay(Phase::BridgingDown(Down::Under(under)));
                }
                self.down_whole(under)
            }
            Reading::AwaitHead | Reading::Events(_) | Reading::Over => self.down_cut(under, UpstreamFailure::Garbage),
        }
    }

    /// The answer's stream is closed before the answer came: read on, where that is possible (2025-11-25, Sending Messages
    /// to the Server, 6), else that was it.
    fn down_cut(&mut self, mut under: Box<Under>, failure: UpstreamFailure) -> Step {
        if under.open.answer.is_some() {
            return self.stay(Phase::BridgingDown(Down::Under(under)));
        }
        let Some(resumption) = under.open.read_on() else {
            return self.down_refused(*under, Step::default(), Trouble::Failed(failure));
        };
        let attended = Attended {
            call: super::call_of(&under),
            delegation: under.open.call.delegation.clone(),
            pushes: under.open.pushes,
            resume: Some(resumption),
        };
        let step = Step {
            commands: vec![Command::CancelCall, Command::Attend(attended)],
            ..Step::default()
        };
        self.down_wait(under, step)
    }

    /// The upstream has said something in the session's own stream. Nobody else uses the session: it belongs to this call.
    fn down_pushed(&mut self, mut under: Box<Under>, message: Bytes) -> Step {
        under.open.messages.push_back(message);
        self.down_read(under, Step::default())
    }

    /// One JSON document is here and stands.
    pub(super) fn down_whole(&mut self, mut under: Box<Under>) -> Step {
        if let Reading::Json(collected) = std::mem::replace(&mut under.open.reading, Reading::Over) {
            self.record.status = collected.status;
            under.open.messages.push_back(collected.pieces.concat().into());
        }
        self.down_read(under, Step::default())
    }

    /// Looks at the messages that are here, until one decides.
    pub(super) fn down_read(&mut self, mut under: Box<Under>, mut step: Step) -> Step {
        while let Some(message) = under.open.messages.pop_front() {
            let id = String::from_utf8_lossy(under.request.id().unwrap_or(b"null")).into_owned();
            let name = self.record.tool.clone().unwrap_or_default();
            match answer::read(&under.open.terms(&id, &name), &message) {
                Said::Result(_) | Said::Error { .. } if under.open.lingers() => {
                    under.open.answer = Some(message);
                    break;
                }
                Said::Result(body) => return self.down_answer(&under, step, 200, body),
                Said::Error { not_found: true, .. } if under.calls.asking_around() && !under.calls.is_last() => {
                    return self.down_next(*under, step);
                }
                Said::Error { body, code, .. } => return self.down_error(&under, step, code, body),
                Said::Elsewhere { asked, message } => {
                    asked.into_iter().for_each(|asked| under.open.inputs.add(asked));
                    under.open.elsewhere = Some(message);
                    under.open.reading = Reading::Over;
                    return self.down_park(under, step);
                }
                Said::Misunderstanding => {
                    return self.down_refused(*under, step, Trouble::Failed(UpstreamFailure::Garbage));
                }
                Said::Pass => {
                    if self.down_may_stream(&under) {
                        self.down_stream(&mut under, &mut step, event(message));
                    }
                }
                Said::Nothing => {}
                Said::Changed(method) => {
                    let upstream = Arc::clone(&under.open.call.upstream.name);
                    let changed = Kinds::of(&method).map(|kinds| Notice::Changed {
                        upstream,
                        principal: self.record.principal.clone(),
                        kinds,
                    });
                    step.commands.extend(changed.map(Command::Notify));
                }
                Said::Asks(asked) => {
                    under.open.inputs.add(asked);
                    under.open.gathering = true;
                    if under.open.inputs.len() >= GATHER_MAX || under.open.inputs.held() > GATHER_BYTES {
                        return self.down_park(under, step);
                    }
                }
                Said::Withdraws(id) => {
                    under.open.inputs.withdraw(&id);
                    under.open.gathering = !under.open.inputs.is_empty();
                }
                Said::Reply(message) => step.commands.push(Command::Notify(Notice::Tell {
                    upstream: Arc::clone(&under.open.call.upstream.name),
                    binding: under.open.binding.clone(),
                    message,
                })),
            }
        }
        if matches!(under.open.reading, Reading::Over) && under.open.answer.is_none() {
            // All was read and nothing of it was an answer.
            return self.down_refused(*under, step, Trouble::Failed(UpstreamFailure::Garbage));
        }
        self.down_wait(under, step)
    }

    /// Waits for what comes next.
    pub(super) fn down_wait(&mut self, under: Box<Under>, mut step: Step) -> Step {
        let may_stream = self.down_may_stream(&under);
        let timer = match &under.open.reading {
            _ if under.open.answer.is_some() => Command::Arm(LINGER),
            _ if under.open.gathering => Command::Arm(GATHER),
            _ if under.streaming => Command::Arm(KEEP_ALIVE),
            Reading::Events(_) if may_stream => Command::Arm(KEEP_ALIVE),
            Reading::AwaitHead | Reading::Json(_) if may_stream => Command::Disarm,
            Reading::AwaitHead | Reading::Json(_) | Reading::Events(_) | Reading::Over => {
                Command::Arm(under.open.call.upstream.call_timeout.saturating_add(WHOLE))
            }
        };
        step.commands.push(timer);
        self.phase = Phase::BridgingDown(Down::Under(under));
        step
    }

    /// The timer is up.
    pub(in crate::engine::exchange) fn down_timer(&mut self, down: Down) -> Step {
        let Down::Under(mut under) = down else {
            return self.stay(Phase::BridgingDown(down));
        };
        if let Some(answer) = under.open.answer.take() {
            under.open.lingered = true;
            under.open.messages.push_back(answer);
            return self.down_read(under, Step::default());
        }
        if under.open.gathering {
            return self.down_park(under, Step::default());
        }
        if !self.down_may_stream(&under) {
            let trouble = Trouble::Failed(UpstreamFailure::TimedOut);
            return self.down_refused(*under, Step::default(), trouble);
        }
        let mut step = Step::default();
        self.down_stream(&mut under, &mut step, COMMENT);
        self.down_wait(under, step)
    }

    /// Puts something into the client's stream, which begins with it if it has not begun.
    fn down_stream(&mut self, under: &mut Under, step: &mut Step, wire: Bytes) {
        if !std::mem::replace(&mut under.streaming, true) {
            step.replies.push(self.down_stream_head(under, b"text/event-stream"));
        }
        self.record.bytes_out += wire.len();
        step.replies.push(Reply::StreamChunk {
            body: vec![wire],
            end: false,
        });
    }
}

/// A message as an event. Ids and retry times of the upstream's stream are not passed on: there is no resuming any more.
pub(super) fn event(data: Bytes) -> Bytes {
    sse::encode(&SseEvent {
        event: "message".to_owned(),
        data,
        ..SseEvent::default()
    })
}
