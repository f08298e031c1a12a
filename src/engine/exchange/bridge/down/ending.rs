//! How such a call ends: its answer, an error, the next upstream in line, or a question to the client.

use super::course::event;
use super::{Parked, Under};
use crate::engine::era::bridge::down::request;
use crate::engine::era::legacy;
use crate::engine::exchange::event::UpstreamFailure;
use crate::engine::exchange::outgoing::delegate;
use crate::engine::exchange::reject::{Reject, Trouble};
use crate::engine::exchange::step::{Answer, Command, End, ParkKey, Reply, Step};
use crate::engine::exchange::{BodyMode, Exchange, Phase};
use crate::engine::jsonrpc::Code;
use bytes::Bytes;
use std::sync::Arc;

/// A larger answer goes out in pieces, where the wiring can.
const LARGE: usize = 1 << 20;

impl Exchange {
    /// The answer is here.
    pub(super) fn down_answer(&mut self, under: &Under, mut step: Step, status: u16, body: Bytes) -> Step {
        self.down_last(under, &mut step, status, body);
        step.commands.extend(under.open.give_back().map(Command::Notify));
        step
    }

    /// The answer is an error.
    pub(super) fn down_error(&mut self, under: &Under, step: Step, code: i64, body: Bytes) -> Step {
        self.record.code = i32::try_from(code).ok();
        let code = self.record.code.map(Code);
        // 2026-07-28, Streamable HTTP: these two have a status of their own.
        let status = match (code, self.record.status) {
            (Some(Code::METHOD_NOT_FOUND), _) => 404,
            (Some(Code::MISSING_CAPABILITY), _) => 400,
            (_, seen @ 400..) => seen,
            _ => 200,
        };
        self.down_answer(under, step, status, body)
    }

    /// The client does not want to go where the upstream sends it.
    pub(super) fn down_declined(&mut self, under: &Under, step: Step, words: &str) -> Step {
        let id = String::from_utf8_lossy(under.request.id().unwrap_or(b"null")).into_owned();
        let code = Code::INVALID_REQUEST;
        let error = format!(r#"{{"code":{},"message":{words}}}"#, code.0);
        self.down_error(under, step, code.0.into(), legacy::error(&id, &error))
    }

    /// The client is asked for what the upstream wants; the call waits for it.
    pub(super) fn down_park(&mut self, mut under: Box<Under>, mut step: Step) -> Step {
        under.open.gathering = false;
        let expires = self.now.after(under.request.endpoint.parked);
        let body = std::mem::take(&mut under.open.body);
        let digest = under.open.digest.or_else(|| {
            let taken = request::take(&body, "0")?;
            Some(self.digest(&under.request, &taken))
        });
        under.open.digest = digest;
        let state = self.request_state(&under.request, digest.unwrap_or_default(), expires);
        let state = state.sign(&under.request.endpoint.keys);
        let id = String::from_utf8_lossy(under.request.id().unwrap_or(b"null")).into_owned();
        let body = under.open.inputs.required(&id, &state);
        self.down_last(&under, &mut step, 200, body);
        // The stream of the call goes with it.
        step.commands.retain(|command| !matches!(command, Command::CancelCall));
        let parked = Parked {
            open: under.open,
            principal: under.request.identity.hash(),
            expires,
        };
        step.commands
            .push(Command::Park(ParkKey(self.entropy), Box::new(parked)));
        step
    }

    /// Says the last message to the client.
    fn down_last(&mut self, under: &Under, step: &mut Step, status: u16, body: Bytes) {
        self.record.status = status;
        self.record.bytes_out += body.len();
        if under.streaming {
            step.replies.push(Reply::StreamChunk {
                body: vec![event(body)],
                end: true,
            });
        } else if status == 200 && body.len() > LARGE && self.modes.request == BodyMode::FullDuplex {
            step.replies.push(self.down_stream_head(under, b"application/json"));
            step.replies.push(Reply::StreamChunk {
                body: vec![body],
                end: true,
            });
        } else {
            step.replies.push(Reply::Answer(Answer {
                status,
                headers: vec![("content-type".into(), Bytes::from_static(b"application/json"))],
                body: vec![body],
                details: "bridged",
                metadata: Some(Box::new(self.metadata(under.request.id(), true))),
            }));
        }
        step.commands.push(Command::Disarm);
        step.commands.push(Command::CancelCall);
        step.end = End::Done;
        self.phase = Phase::Done;
    }

    /// Begins an answer in pieces.
    pub(super) fn down_stream_head(&self, under: &Under, content_type: &'static [u8]) -> Reply {
        Reply::StreamHead {
            status: 200,
            headers: vec![
                ("content-type".into(), Bytes::from_static(content_type)),
                ("cache-control".into(), Bytes::from_static(b"no-cache")),
                // 2026-07-28, Receiving Messages: whoever stands between shall not wait for more.
                ("x-accel-buffering".into(), Bytes::from_static(b"no")),
            ],
            metadata: Some(Box::new(self.metadata(under.request.id(), true))),
        }
    }

    /// The upstream has no such resource: the next one is asked.
    pub(super) fn down_next(&mut self, under: Under, mut step: Step) -> Step {
        let give_back = under.open.give_back();
        let next = self.tie(under.request, under.calls);
        step.commands.push(Command::CancelCall);
        step.commands.extend(give_back.map(Command::Notify));
        step.commands.extend(next.commands);
        step.replies.extend(next.replies);
        step.end = next.end;
        step
    }

    /// No room is left for what is collected (`limits.bodies`).
    pub(super) fn down_no_room(&mut self, under: &Under) -> Step {
        let mut step = Step::default();
        if under.streaming {
            self.down_last_error(under, &mut step, &Reject::NoRoom);
        } else {
            step = self.reject(&Reject::NoRoom, under.request.id());
        }
        let notices = [Some(under.open.cancelled()), under.open.close()];
        step.commands.extend(notices.into_iter().flatten().map(Command::Notify));
        step
    }

    /// The status of the stream is out; the caller still hears what became of its request.
    fn down_last_error(&mut self, under: &Under, step: &mut Step, reject: &Reject) {
        self.record.code = Some(reject.code().0);
        self.record.reason = Some(reject.reason());
        self.down_last(under, step, 200, reject.body(under.request.id()));
    }

    /// Its head says that the upstream does not take the call. One that refused what spoke for the caller has done nothing
    /// else: the call is made once more if its caller has something else by now, unless it is one that was parked.
    pub(super) fn down_unwelcome(&mut self, under: Under, status: u16, trouble: Trouble) -> Step {
        let spent = delegate::spent(&under.open.call.delegation, status);
        let begun = under.streaming || under.open.repeated || under.open.digest.is_some();
        let mut step = if spent.is_none() || begun {
            self.down_refused(under, Step::default(), trouble)
        } else {
            let close = under.open.close();
            let mut step = self.speak_anew(under.request, under.calls, trouble);
            step.commands.insert(0, Command::CancelCall);
            step.commands.extend(close.map(Command::Notify));
            step
        };
        step.commands.splice(0..0, spent);
        step
    }

    /// The upstream gives no answer that the client could read.
    pub(super) fn down_refused(&mut self, under: Under, mut step: Step, trouble: Trouble) -> Step {
        let timed_out = trouble == Trouble::Failed(UpstreamFailure::TimedOut);
        let cancelled = timed_out.then(|| under.open.cancelled());
        let close = under.open.close();
        step.commands.push(Command::CancelCall);
        if under.streaming {
            let upstream = &under.open.call.upstream;
            let reject = Reject::Upstream(trouble.at(upstream), Arc::clone(&upstream.name));
            self.down_last_error(&under, &mut step, &reject);
        } else {
            let next = self.try_next(under.request, under.calls, trouble);
            step.commands.extend(next.commands);
            step.replies.extend(next.replies);
            step.end = next.end;
        }
        let notices = cancelled.into_iter().chain(close);
        step.commands.extend(notices.map(Command::Notify));
        step
    }
}
