//! A call that a legacy upstream has: how its answer is read, and what it has asked for so far.

use super::Waiting;
use crate::engine::era::bridge::down::{Inputs, Terms};
use crate::engine::exchange::outgoing::Outgoing;
use crate::engine::exchange::outgoing::verdict::Settled;
use crate::engine::exchange::step::{Borrower, Notice, Resumption};
use crate::engine::mcp::Method;
use crate::engine::session::Binding;
use crate::engine::sse::{Decoder, SseEvent};
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Times that a stream is read on from one place.
const ATTEMPTS: u32 = 5;
/// Milliseconds before that, where the upstream does not say.
const RETRY: u64 = 1000;

/// The upstream's side of a call. It outlives the exchange that made it where the client must be asked for something.
#[derive(Debug)]
pub(super) struct Open {
    /// To whom; its body is empty, see `body`.
    pub(super) call: Outgoing,
    /// `None`: the upstream knows no sessions.
    pub(super) borrower: Option<Arc<Borrower>>,
    pub(super) binding: Binding,
    /// What was sent, for a second attempt.
    pub(super) body: Bytes,
    /// What the request is, once its body is no longer kept.
    pub(super) digest: Option<[u8; 16]>,
    /// The raw id that the upstream knows.
    pub(super) own: Box<str>,
    pub(super) method: Method,
    /// Raw capabilities of the client.
    capabilities: Box<str>,
    /// Log messages were asked for.
    logs: bool,
    /// What is pushed in the session's own stream is heard.
    pub(super) pushes: bool,
    /// The answer, while log messages that were said before it may still be on their way in the other stream.
    pub(super) answer: Option<Bytes>,
    /// It was held back long enough.
    pub(super) lingered: bool,
    /// Where the stream of the answer can be read on, should it be closed too early.
    pub(super) place: Option<Place>,
    /// It was sent a second time: not again.
    pub(super) repeated: bool,
    pub(super) reading: Reading,
    /// Whole messages that were not looked at yet.
    pub(super) messages: VecDeque<Bytes>,
    /// What the client is to be asked for.
    pub(super) inputs: Inputs,
    /// More requests may follow closely: the client is asked for all of them at once.
    pub(super) gathering: bool,
    /// The upstream has refused the call until the user has been elsewhere; its words, raw. The call is made anew then.
    pub(super) elsewhere: Option<Box<str>>,
}

/// How the answer is read.
#[derive(Debug)]
pub(super) enum Reading {
    AwaitHead,
    /// One JSON document; or what may not stand.
    Json(Collected),
    /// An event stream.
    Events(Box<Decoder>),
    /// Everything was read.
    Over,
}

/// A place in an event stream.
#[derive(Debug)]
pub(super) struct Place {
    /// Id of the last event.
    pub(super) last: Box<str>,
    /// As the upstream wants it, in milliseconds.
    pub(super) retry: Option<u64>,
    /// How often it was read on from here.
    pub(super) attempts: u32,
}

/// What is collected of an answer.
#[derive(Debug)]
pub(super) struct Collected {
    pub(super) status: u16,
    pub(super) pieces: Vec<Bytes>,
    pub(super) len: usize,
    pub(super) complete: bool,
    /// Whether the upstream session is lost is being found out; what to do if it is not.
    pub(super) doubt: Option<Settled>,
}

impl Open {
    pub(super) fn new(waiting: &Waiting, binding: Binding) -> Self {
        let taken = &waiting.taken;
        Self {
            call: Outgoing {
                body: Bytes::new(),
                ..waiting.call.clone()
            },
            borrower: waiting.borrower.clone(),
            body: taken.body.clone(),
            digest: None,
            own: waiting.own.clone(),
            method: waiting.request.sender.known.unwrap_or(Method::ToolsCall),
            capabilities: taken.capabilities.clone(),
            logs: taken.level.is_some(),
            pushes: binding.id.is_some(),
            answer: None,
            lingered: false,
            place: None,
            binding,
            repeated: false,
            reading: Reading::AwaitHead,
            messages: VecDeque::new(),
            inputs: Inputs::default(),
            gathering: false,
            elsewhere: None,
        }
    }

    /// What its messages are read by; `id` is the raw id of the request that is answered.
    pub(super) fn terms<'a>(&'a self, id: &'a str, name: &'a str) -> Terms<'a> {
        Terms {
            id,
            own: &self.own,
            method: self.method,
            uri: (self.method == Method::ResourcesRead).then_some(name),
            logs: self.logs,
            capabilities: &self.capabilities,
        }
    }

    /// It is sent once more, in another session.
    pub(super) fn again(&mut self) {
        self.repeated = true;
        self.place = None;
        self.reading = Reading::AwaitHead;
        self.messages.clear();
    }

    /// It is made anew as the client has written it now, in the same session.
    pub(super) fn anew(&mut self, body: Bytes, own: Box<str>) {
        self.body = body;
        self.own = own;
        self.repeated = false;
        self.place = None;
        self.reading = Reading::AwaitHead;
        self.messages.clear();
    }

    /// Whether the answer has to wait for what was said before it.
    pub(super) const fn lingers(&self) -> bool {
        self.logs && self.pushes && !self.lingered
    }

    /// An event of the answer's stream. Priming events have no message.
    pub(super) fn take(&mut self, event: SseEvent) {
        let retry = event.retry.or(self.place.as_ref().and_then(|place| place.retry));
        if let Some(last) = event.id {
            let (last, attempts) = (last.into(), 0);
            self.place = Some(Place { last, retry, attempts });
        } else if let Some(place) = &mut self.place {
            place.retry = retry;
        }
        if !event.data.is_empty() {
            self.messages.push_back(event.data);
        }
    }

    /// Reads on where the stream was closed, if the upstream allows it and has not been asked too often.
    pub(super) fn read_on(&mut self) -> Option<Resumption> {
        let place = self.place.as_mut().filter(|place| place.attempts < ATTEMPTS)?;
        place.attempts += 1;
        self.reading = Reading::AwaitHead;
        self.repeated = true;
        Some(Resumption {
            last: place.last.clone(),
            after: Duration::from_millis(place.retry.unwrap_or(RETRY)),
        })
    }

    pub(super) fn held(&self) -> usize {
        let collected = match &self.reading {
            Reading::Json(collected) => collected.len,
            Reading::Events(decoder) => decoder.held(),
            Reading::AwaitHead | Reading::Over => 0,
        };
        let messages: usize = self.messages.iter().map(Bytes::len).sum();
        self.body.len() + collected + messages + self.inputs.held()
    }

    /// Tells the upstream that nobody waits any more.
    pub(super) fn cancelled(&self) -> Notice {
        Notice::Cancelled {
            upstream: Arc::clone(&self.call.upstream.name),
            binding: self.binding.clone(),
            id: self.own.clone(),
        }
    }

    /// The upstream session is free for the next call.
    pub(super) fn give_back(&self) -> Option<Notice> {
        self.borrower.as_ref().map(|borrower| Notice::Return {
            borrower: Arc::clone(borrower),
            binding: self.binding.clone(),
        })
    }

    /// The upstream session is of no use any more, or nobody knows.
    pub(super) fn close(&self) -> Option<Notice> {
        self.borrower.is_some().then(|| Notice::Close {
            upstream: Arc::clone(&self.call.upstream.name),
            binding: self.binding.clone(),
        })
    }

    #[cfg(test)]
    pub(super) fn for_tests(upstream: Arc<crate::engine::snapshot::Upstream>) -> Self {
        Self {
            call: Outgoing {
                upstream,
                body: Bytes::new(),
                renamed: None,
                params: None,
                tasks: false,
                patience: crate::engine::exchange::outgoing::Patience::Usual,
                subscription: None,
                delegation: crate::engine::session::Delegation::NONE,
            },
            borrower: None,
            binding: Binding {
                id: None,
                ..Binding::stateless(crate::engine::mcp::Version::NEWEST_LEGACY)
            },
            body: Bytes::new(),
            digest: None,
            own: "1".into(),
            method: Method::ToolsCall,
            capabilities: "{}".into(),
            logs: false,
            pushes: false,
            answer: None,
            lingered: false,
            place: None,
            repeated: false,
            reading: Reading::AwaitHead,
            messages: VecDeque::new(),
            inputs: Inputs::default(),
            gathering: false,
            elsewhere: None,
        }
    }
}
