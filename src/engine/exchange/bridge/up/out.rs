//! What goes to the client: events as they come where that is possible, else all at once.

use crate::engine::exchange::outgoing::calls::Calls;
use crate::engine::exchange::outgoing::heading;
use crate::engine::exchange::step::{Answer, Command, End, HeaderName, Reply, Step};
use crate::engine::exchange::{Accepts, Exchange, Headers, Phase, Request};
use crate::engine::sse::{self, SseEvent};
use bytes::Bytes;
use std::time::Duration;

/// A JSON answer beyond this many bytes is streamed where the wiring can.
const LARGE: usize = 1 << 20;
const COMMENT: Bytes = Bytes::from_static(b": keep-alive\n\n");
const JSON: Bytes = Bytes::from_static(b"application/json");
const EVENT_STREAM: Bytes = Bytes::from_static(b"text/event-stream");

/// The way to the client.
#[derive(Debug)]
pub(super) struct Out {
    /// StreamedImmediateResponse is possible.
    wired: bool,
    accepts: Accepts,
    /// Another upstream may be asked yet: nothing goes out before the answer.
    around: bool,
    /// The upstream's own, of its last answer.
    headers: Vec<(HeaderName, Bytes)>,
    sent: Sent,
}

#[derive(Debug)]
enum Sent {
    /// Nothing went out; these events wait for the answer.
    Held(Vec<Bytes>),
    /// The response has begun: an event stream.
    Open,
}

impl Out {
    pub(super) fn new(wired: bool, accepts: Accepts, calls: &Calls) -> Self {
        Self {
            wired,
            accepts,
            around: calls.asking_around(),
            headers: Vec::new(),
            sent: Sent::Held(Vec::new()),
        }
    }

    pub(super) const fn is_open(&self) -> bool {
        matches!(self.sent, Sent::Open)
    }

    /// Bytes of events that wait.
    pub(super) fn held(&self) -> usize {
        match &self.sent {
            Sent::Held(held) => held.iter().map(Bytes::len).sum(),
            Sent::Open => 0,
        }
    }

    pub(super) const fn is_wired(&self) -> bool {
        self.wired
    }

    /// Takes the headers of an answer that go on to the client.
    pub(super) fn note(&mut self, upstream: &Headers) {
        self.headers = heading::relayed_headers(upstream);
        self.headers.retain(|(name, _)| name != "content-type");
    }

    /// The response's headers; once.
    fn headers(&mut self, content_type: Bytes) -> Vec<(HeaderName, Bytes)> {
        let mut headers: Vec<(HeaderName, Bytes)> = vec![("content-type".into(), content_type)];
        headers.append(&mut self.headers);
        headers
    }

    /// Events may go out as they come.
    pub(super) fn may_stream(&self) -> bool {
        self.wired && self.accepts == Accepts::Both && !self.around
    }

    pub(super) const fn asking_around(&self) -> bool {
        self.around
    }

    /// The upstream that is asked now is the one.
    pub(super) const fn settle(&mut self) {
        self.around = false;
    }

    pub(super) fn keep_alive(&self, again: Duration) -> Step {
        let comment = Reply::StreamChunk {
            body: vec![COMMENT],
            end: false,
        };
        Step {
            replies: if self.is_open() { vec![comment] } else { Vec::new() },
            commands: vec![Command::Arm(again)],
            ..Step::default()
        }
    }
}

/// A message as an event.
pub(super) fn event(data: Bytes) -> Bytes {
    sse::encode(&SseEvent {
        data,
        ..SseEvent::default()
    })
}

impl Exchange {
    /// Sends, or keeps, one encoded event, and begins the stream for it. With `end` the exchange is over; only for streams.
    pub(super) fn up_emit(
        &mut self,
        step: &mut Step,
        request: &Request,
        out: &mut Out,
        event: Option<Bytes>,
        end: bool,
    ) {
        if !out.may_stream() {
            // A client that takes only JSON has no use for them.
            if let Sent::Held(held) = &mut out.sent
                && out.accepts == Accepts::Both
            {
                held.extend(event);
            }
            return;
        }
        if let Sent::Held(held) = std::mem::replace(&mut out.sent, Sent::Open) {
            step.replies.push(self.up_stream_head(request, out));
            self.up_pieces(step, held, false);
        }
        self.up_pieces(step, event.into_iter().collect(), end);
        if end {
            step.end = End::Done;
            self.phase = Phase::Done;
        }
    }

    fn up_pieces(&mut self, step: &mut Step, body: Vec<Bytes>, end: bool) {
        if end || !body.is_empty() {
            self.record.bytes_out += body.iter().map(Bytes::len).sum::<usize>();
            step.replies.push(Reply::StreamChunk { body, end });
        }
    }

    fn up_stream_head(&mut self, request: &Request, out: &mut Out) -> Reply {
        self.record.status = 200;
        let mut headers = out.headers(EVENT_STREAM);
        if headers.iter().all(|(name, _)| name != "cache-control") {
            headers.push(("cache-control".into(), Bytes::from_static(b"no-cache")));
        }
        Reply::StreamHead {
            status: 200,
            headers,
            metadata: Some(Box::new(self.metadata(request.id(), true))),
        }
    }

    /// The whole answer where no stream was begun.
    pub(super) fn up_whole(&mut self, request: &Request, mut out: Out, message: Bytes) -> Step {
        let held = match std::mem::replace(&mut out.sent, Sent::Open) {
            Sent::Held(held) => held,
            Sent::Open => Vec::new(),
        };
        let (kind, body) = if held.is_empty() {
            (JSON, vec![message])
        } else {
            (EVENT_STREAM, held.into_iter().chain([event(message)]).collect())
        };
        let len: usize = body.iter().map(Bytes::len).sum();
        self.record.status = 200;
        self.record.bytes_out = len;
        self.phase = Phase::Done;
        let metadata = Some(Box::new(self.metadata(request.id(), true)));
        let headers = out.headers(kind);
        let replies = if len > LARGE && out.wired {
            let head = Reply::StreamHead {
                status: 200,
                headers,
                metadata,
            };
            vec![head, Reply::StreamChunk { body, end: true }]
        } else {
            let details = "relayed";
            vec![Reply::Answer(Answer {
                status: 200,
                headers,
                body,
                details,
                metadata,
            })]
        };
        Step {
            replies,
            commands: Vec::new(),
            end: End::Done,
        }
    }
}
