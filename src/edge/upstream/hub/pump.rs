//! Holds one stream of an upstream open: opens it, hands out its frames, opens it again with what it had said last.

use super::held::{Bodies, Held};
use crate::edge::backoff::Backoff;
use crate::edge::http::{Media, Response};
use crate::edge::upstream::line::Line;
use crate::engine::sse::{Framed, Framer};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Bytes of one event.
const EVENT: usize = 4 << 20;
/// An event that has begun takes room that others need: it is to be complete within this time.
const COMPLETING: Duration = Duration::from_secs(60);
/// Some servers send no headers before the first event, and that may be hours.
const OPENING: Duration = Duration::from_secs(24 * 60 * 60);
/// A stream that lived shorter was refused rather than broken.
const LIVED: Duration = Duration::from_secs(5);
/// The longest an upstream can make us wait by `retry:`.
const LONGEST: Duration = Duration::from_secs(30);
/// For an answer to a request of the upstream.
const ANSWERING: Duration = Duration::from_secs(5);

/// What is opened.
#[derive(Debug)]
pub(super) enum Way {
    /// GET, for as long as the upstream session lives.
    Get,
    /// GET with this `Last-Event-ID`, once.
    Resume(String),
    /// `subscriptions/listen` with these members of `params`.
    Listen(String),
}

/// See the module.
pub(super) struct Pump {
    line: Line,
    way: Way,
    last: Option<String>,
    retry: Option<Duration>,
    backoff: Backoff,
    opened: watch::Sender<bool>,
    held: Held,
}

/// What to do after a frame.
#[derive(Debug, PartialEq)]
pub(super) enum Flow {
    /// Read on.
    On,
    /// Tell the upstream this, and read on.
    Say(Bytes),
    /// Nobody listens any more.
    Stop,
}

/// Why a pump has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// It was told to.
    Stopped,
    /// A stream that is opened only once has ended.
    Closed,
    /// The upstream offers no such stream, or knows nothing of what is to be resumed.
    NoStream,
    /// The upstream does not know the session.
    SessionLost,
}

enum Opened {
    Stream(Box<Response>),
    Never(Ended),
    Later,
}

impl Pump {
    /// A pump, and where it says that its first attempt is over: the stream is open, or will not be for now.
    pub(super) fn new(line: Line, way: Way, bodies: &Arc<dyn Bodies>) -> (Self, watch::Receiver<bool>) {
        let (opened, first) = watch::channel(false);
        let last = match &way {
            Way::Resume(id) => Some(id.clone()),
            Way::Get | Way::Listen(_) => None,
        };
        let pump = Self {
            line,
            way,
            last,
            retry: None,
            backoff: Backoff::new(crate::edge::upstream::PAUSES),
            opened,
            held: Held::new(bodies),
        };
        (pump, first)
    }

    /// Runs until there is no stream to be had, or `take` stops it.
    pub(super) async fn run(mut self, mut take: impl FnMut(&Framed) -> Flow + Send) -> Ended {
        loop {
            // Boxed: what opening needs is given back before the stream waits, for hours.
            match Box::pin(self.open()).await {
                Opened::Stream(response) => {
                    self.opened.send_replace(true);
                    let since = Instant::now();
                    if self.read(*response, &mut take).await == Flow::Stop {
                        return Ended::Stopped;
                    }
                    self.held.set(0);
                    if matches!(self.way, Way::Resume(_)) {
                        return Ended::Closed;
                    }
                    if since.elapsed() >= LIVED {
                        self.backoff.reset();
                    }
                }
                Opened::Never(ended) => return ended,
                Opened::Later => {
                    self.opened.send_replace(true);
                }
            }
            let pause = self.backoff.next_wait();
            tokio::time::sleep(self.retry.take().unwrap_or(pause).min(LONGEST)).await;
        }
    }

    async fn open(&mut self) -> Opened {
        let opened = match &self.way {
            Way::Get | Way::Resume(_) => self.line.listen(self.last.as_deref(), OPENING).await,
            Way::Listen(members) => self.line.open("subscriptions/listen", members, OPENING).await,
        };
        let mut response = match opened {
            Ok(response) => response,
            Err(failure) => {
                tracing::debug!(upstream = %self.line.target().name(), %failure, "Stream was not opened.");
                return self.refused();
            }
        };
        match response.status() {
            200..=299 if response.media() == Media::EventStream => {
                // They hold on to the 8 KiB that they were read into, for as long as the stream lives.
                response.forget_headers();
                Opened::Stream(Box::new(response))
            }
            // It may be the event that it does not know any more, and not the session.
            400 if matches!(self.way, Way::Get) && self.last.take().is_some() => Opened::Later,
            400 | 404 if self.line.has_session() => Opened::Never(Ended::SessionLost),
            401 | 403 | 409 | 429 | 500.. => self.refused(),
            _ => Opened::Never(Ended::NoStream),
        }
    }

    /// Worth another attempt, unless somebody waits for this very stream.
    const fn refused(&self) -> Opened {
        match self.way {
            Way::Resume(_) => Opened::Never(Ended::NoStream),
            Way::Get | Way::Listen(_) => Opened::Later,
        }
    }

    async fn read(&mut self, mut response: Response, take: &mut (impl FnMut(&Framed) -> Flow + Send)) -> Flow {
        let mut framer = Framer::default();
        let mut begun: Option<Instant> = None;
        while let Some(chunk) = next(&mut response, begun).await {
            let Ok(frames) = framer.feed(&chunk, EVENT) else {
                return Flow::On;
            };
            let frames_came = !frames.is_empty();
            for frame in frames {
                self.note(&frame);
                match take(&frame) {
                    Flow::On => {}
                    Flow::Stop => return Flow::Stop,
                    // Boxed: the room for a request is needed while one is made, not while nothing is said.
                    Flow::Say(message) => {
                        Box::pin(self.line.say(message, ANSWERING)).await;
                    }
                }
            }
            if !self.held.set(framer.kept().len()) {
                tracing::debug!(upstream = %self.line.target().name(), "No room for an event of this stream.");
                return Flow::On;
            }
            begun = match (framer.kept(), frames_came) {
                ([], _) => None,
                (_, true) => Some(Instant::now()),
                (_, false) => begun.or_else(|| Some(Instant::now())),
            };
        }
        Flow::On
    }

    /// Remembers where to go on, and when.
    fn note(&mut self, frame: &Framed) {
        let Some(event) = &frame.event else { return };
        if let Some(id) = &event.id {
            // An empty one resets it.
            self.last = Some(id.clone()).filter(|id| !id.is_empty());
        }
        if let Some(retry) = event.retry {
            self.retry = Some(Duration::from_millis(retry));
        }
    }
}

/// What comes next; `None`: nothing more does, or the event that has begun then takes too long.
async fn next(response: &mut Response, begun: Option<Instant>) -> Option<Bytes> {
    let chunk = match begun {
        None => response.chunk().await,
        // Boxed: most of the time no event has begun.
        Some(begun) => {
            let next = tokio::time::timeout_at(begun + COMPLETING, response.chunk());
            Box::pin(next).await.unwrap_or(None)
        }
    };
    chunk?.ok()
}
