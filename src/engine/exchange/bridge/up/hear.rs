//! What the upstream says: its head, its events, its answer.

use super::{CLOSING, CLOSING_SOON, KEEP_ALIVE, Stage, Up, out};
use crate::engine::era::bridge::up::{self, Answer};
use crate::engine::exchange::event::{ResponseHead, UpstreamFailure};
use crate::engine::exchange::outgoing::verdict::{self, Media, Settled, Verdict};
use crate::engine::exchange::reject::{Input, Reject, Trouble};
use crate::engine::exchange::step::{Command, Notice, Step};
use crate::engine::exchange::{Exchange, Phase};
use crate::engine::mcp::Era;
use crate::engine::session::Timestamp;
use crate::engine::sse::{self, Framed, Framer, SseEvent};
use bytes::Bytes;

/// An answer, or one event, may not be larger.
const LIMIT: usize = 64 << 20;

/// What goes on after one message of a stream.
enum Heard {
    /// The stream does.
    More(Box<Up>),
    /// Something else; the rest of the stream does not count.
    Turned(Step),
}

impl Exchange {
    pub(super) fn up_head(&mut self, mut up: Box<Up>, head: &ResponseHead) -> Step {
        if !matches!(up.stage, Stage::AwaitHead) {
            return self.stay(Phase::BridgingUp(up));
        }
        let media = match verdict::judge(Era::Modern, false, head) {
            Verdict::Pass(media)
            | Verdict::Suspect {
                otherwise: Settled::Pass(media),
            } => media,
            Verdict::Replace(trouble)
            | Verdict::Suspect {
                otherwise: Settled::Replace(trouble),
            } => return self.up_unwelcome(up, verdict::status(head), trouble),
            Verdict::NotRouted => return self.up_failed(up, UpstreamFailure::Unreachable),
        };
        up.out.note(&head.headers);
        let mut step = Step::default();
        match media {
            Media::Json => {
                up.stage = Stage::Collect {
                    pieces: Vec::new(),
                    len: 0,
                }
            }
            Media::EventStream => {
                up.stage = Stage::Events(Framer::default());
                if up.out.may_stream() && !up.out.is_open() {
                    self.up_emit(&mut step, &up.request, &mut up.out, None, false);
                    step.commands.push(Command::Arm(KEEP_ALIVE));
                }
            }
        }
        step.commands.extend(self.up_patience_within(&up));
        self.phase = Phase::BridgingUp(up);
        step
    }

    pub(super) fn up_chunk(&mut self, mut up: Box<Up>, chunk: &Bytes, now: Timestamp) -> Step {
        match &mut up.stage {
            Stage::Collect { pieces, len } => {
                *len += chunk.len();
                pieces.push(chunk.clone());
                if *len > LIMIT {
                    return self.up_trouble(up, Trouble::Failed(UpstreamFailure::Garbage));
                }
                let commands = self.up_patience_within(&up).into_iter().collect();
                self.phase = Phase::BridgingUp(up);
                Step {
                    commands,
                    ..Step::default()
                }
            }
            Stage::Events(framer) => match framer.feed(chunk, LIMIT) {
                Ok(frames) => self.up_frames(up, frames, now),
                Err(_) => self.up_trouble(up, Trouble::Failed(UpstreamFailure::Garbage)),
            },
            Stage::Introducing | Stage::AwaitHead | Stage::Asking(_) | Stage::Closing(_) => {
                self.stay(Phase::BridgingUp(up))
            }
        }
    }

    fn up_frames(&mut self, mut up: Box<Up>, frames: Vec<Framed>, now: Timestamp) -> Step {
        let mut step = Step::default();
        for frame in frames {
            up = match self.up_frame(&mut step, up, frame, now) {
                Heard::More(up) => up,
                Heard::Turned(turned) => {
                    step.replies.extend(turned.replies);
                    step.commands.extend(turned.commands);
                    step.end = turned.end;
                    return step;
                }
            };
        }
        if !step.replies.is_empty() {
            step.commands.push(Command::Arm(KEEP_ALIVE));
        }
        step.commands.extend(self.up_patience_within(&up));
        self.phase = Phase::BridgingUp(up);
        step
    }

    fn up_frame(&mut self, step: &mut Step, mut up: Box<Up>, frame: Framed, now: Timestamp) -> Heard {
        let Framed { raw, event } = frame;
        let Some(event) = event else {
            // Comments are for who keeps the connection: they pass on one that is kept.
            if up.out.is_open() {
                self.up_emit(step, &up.request, &mut up.out, Some(raw), false);
            }
            return Heard::More(up);
        };
        if event.data.is_empty() {
            return Heard::More(up);
        }
        match up::read(&event.data, up.asked()) {
            Answer::Notification => {
                let raw = without_place(raw, event);
                self.up_emit(step, &up.request, &mut up.out, Some(raw), false);
                Heard::More(up)
            }
            answer @ (Answer::Final { .. }
            | Answer::Input(_)
            | Answer::Lacking(_)
            | Answer::Refused
            | Answer::Garbage) => Heard::Turned(self.up_answer(up, answer, now)),
        }
    }

    pub(super) fn up_end(&mut self, mut up: Box<Up>, now: Timestamp) -> Step {
        match &mut up.stage {
            Stage::Collect { pieces, .. } => {
                let whole = match pieces.as_slice() {
                    [one] => one.clone(),
                    many => many.concat().into(),
                };
                match up::read(&whole, up.asked()) {
                    Answer::Final { message, not_found } => {
                        up.stage = Stage::Closing(None);
                        self.up_final(up, message, not_found)
                    }
                    answer @ (Answer::Input(_)
                    | Answer::Lacking(_)
                    | Answer::Refused
                    | Answer::Notification
                    | Answer::Garbage) => self.up_answer(up, answer, now),
                }
            }
            // A stream that ends without an answer.
            Stage::Introducing | Stage::AwaitHead | Stage::Events(_) => {
                self.up_trouble(up, Trouble::Failed(UpstreamFailure::Garbage))
            }
            Stage::Asking(_) | Stage::Closing(_) => self.up_closed(up),
        }
    }

    /// The upstream has said everything, after its answer.
    pub(super) fn up_closed(&mut self, mut up: Box<Up>) -> Step {
        let Stage::Closing(message) = &mut up.stage else {
            return self.stay(Phase::BridgingUp(up));
        };
        let message = message.take();
        let Up { request, mut out, .. } = *up;
        let mut step = match message {
            Some(message) => self.up_whole(&request, out, message),
            None => {
                let mut step = Step::default();
                self.up_emit(&mut step, &request, &mut out, None, true);
                step
            }
        };
        step.commands.push(Command::CancelCall);
        step
    }

    fn up_answer(&mut self, up: Box<Up>, answer: Answer, now: Timestamp) -> Step {
        match answer {
            Answer::Final { message, not_found } => self.up_final(up, message, not_found),
            Answer::Input(input) => self.up_ask(up, input, now),
            Answer::Lacking(names) => self.up_reject(up, &Reject::Input(Input::Lacking(names.into()))),
            Answer::Refused => {
                // Perhaps its tools mirror other parameters by now (2026-07-28, Client Behavior).
                let upstream = up.upstream();
                let mut step = self.up_trouble(up, Trouble::Refused);
                step.commands.push(Command::Notify(Notice::Relist { upstream }));
                step
            }
            Answer::Notification | Answer::Garbage => self.up_trouble(up, Trouble::Failed(UpstreamFailure::Garbage)),
        }
    }

    fn up_final(&mut self, mut up: Box<Up>, message: Bytes, not_found: bool) -> Step {
        if not_found && up.out.asking_around() {
            let Up { request, calls, .. } = *up;
            let mut step = self.tie(request, calls);
            step.commands.insert(0, Command::CancelCall);
            return step;
        }
        up.out.settle();
        // It will not be made again.
        up.call.body = Bytes::new();
        let mut step = Step::default();
        match (&up.stage, up.out.is_open()) {
            // The upstream has nothing more to say.
            (Stage::Closing(_), false) => {
                let Up { request, out, .. } = *up;
                return self.up_whole(&request, out, message);
            }
            (Stage::Closing(_), true) => {
                let Up { request, mut out, .. } = *up;
                self.up_emit(&mut step, &request, &mut out, Some(out::event(message)), true);
                return step;
            }
            (_, true) => {
                self.up_emit(&mut step, &up.request, &mut up.out, Some(out::event(message)), false);
                up.stage = Stage::Closing(None);
                step.commands.push(Command::Arm(CLOSING));
            }
            (_, false) => {
                up.stage = Stage::Closing(Some(message));
                step.commands.push(Command::Arm(CLOSING_SOON));
            }
        }
        self.phase = Phase::BridgingUp(up);
        step
    }
}

/// The bytes of an event, without its place in a stream: modern streams cannot be resumed (2026-07-28, Receiving
/// Messages), and a legacy client would try.
fn without_place(raw: Bytes, event: SseEvent) -> Bytes {
    if event.id.is_none() && event.retry.is_none() {
        return raw;
    }
    sse::encode(&SseEvent {
        id: None,
        retry: None,
        ..event
    })
}
