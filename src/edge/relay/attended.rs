//! A call in an upstream session that nobody else uses: what the upstream says in the session's own stream (GET) while the
//! call runs belongs to it, and a stream that the upstream closes before its end (2025-11-25, polling) is read on.
//!
//! The session's own stream stays open from call to call: some servers say everything again to whoever opens it.

use super::{CallStream, Progress, advance, headers, open};
use crate::edge::http::{HttpError, Media, Response, Target};
use crate::engine::call::{Kind, Message};
use crate::engine::exchange::event::CallEvent;
use crate::engine::exchange::step::{Attended, Resumption};
use crate::engine::mcp::headers as names;
use crate::engine::session::Delegation;
use crate::engine::sse::Decoder;
use crate::engine::stream::Kinds;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::stream::{self, Stream, StreamExt};
use http::{HeaderMap, HeaderValue};
use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// The session's stream is waited for so long before the call is made.
const HEAD: Duration = Duration::from_secs(2);
/// The stream of the call before may not be gone yet at the upstream, which allows one: how often, and when, to try again.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(20);
/// Bytes of one pushed message.
const LIMIT: usize = 16 << 20;
/// However long an upstream wants a stream to be left alone: people wait for its call.
const LONGEST: Duration = Duration::from_secs(10);

/// The sessions' own streams while no call is under way in them.
#[derive(Clone, Default)]
pub(super) struct Resting(Arc<Mutex<HashMap<Whose, Rested>>>);

/// Upstream and session id.
type Whose = (Arc<str>, Bytes);
type Pushes = Pin<Box<dyn Stream<Item = Bytes> + Send>>;

struct Rested {
    /// `None`: the upstream offers none.
    pushes: Option<Pushes>,
    since: Instant,
}

impl std::fmt::Debug for Resting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Resting({})", self.streams().len())
    }
}

impl Resting {
    /// Closes the stream of a session that is over.
    pub(super) fn forget(&self, upstream: &Arc<str>, session: &str) {
        let whose = (Arc::clone(upstream), Bytes::copy_from_slice(session.as_bytes()));
        let forgotten = self.streams().remove(&whose);
        drop(forgotten);
    }

    /// Closes those that were not used for `idle`.
    pub(super) fn sweep(&self, idle: Duration) {
        let over: Vec<_> = self
            .streams()
            .extract_if(|_, rested| rested.since.elapsed() >= idle)
            .collect();
        drop(over);
    }

    /// Takes the stream of a session and what it has said since the last call; `None`: nobody has asked for one yet, or it
    /// is over.
    fn take(&self, whose: &Whose) -> Option<(Option<Pushes>, Vec<Bytes>)> {
        let rested = self.streams().remove(whose)?;
        let Some(mut pushes) = rested.pushes else {
            return Some((None, Vec::new()));
        };
        let mut late = Vec::new();
        loop {
            match pushes.next().now_or_never() {
                Some(Some(message)) => late.push(message),
                Some(None) => return None,
                None => return Some((Some(pushes), late)),
            }
        }
    }

    fn streams(&self) -> MutexGuard<'_, HashMap<Whose, Rested>> {
        // Nothing panics while it is held; and if: the map is still a map.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The call and the session's own stream, which rests when the call is over.
struct Both {
    call: CallStream,
    late: VecDeque<Bytes>,
    pushes: Option<Pushes>,
    /// Whether there is such a stream is known.
    asked: bool,
    whose: Whose,
    resting: Resting,
}

impl Drop for Both {
    fn drop(&mut self) {
        if self.asked {
            let (pushes, since) = (self.pushes.take(), Instant::now());
            let whose = self.whose.clone();
            self.resting.streams().insert(whose, Rested { pushes, since });
        }
    }
}

/// Carries out `attended`. Nothing happens until the stream is polled.
pub(super) fn attend(target: Arc<Target>, attended: Attended, resting: Resting) -> CallStream {
    let begin = async move {
        let mut headers = headers(&attended.call);
        // A call that is read on may have been made long ago.
        let spoken = match attended.resume {
            Some(_) => target.speaking(attended.delegation.clone()).await.ok(),
            None => None,
        };
        dress(&mut headers, spoken.as_ref());
        let session = headers.get(names::SESSION_ID).map(HeaderValue::as_bytes);
        let whose = (
            Arc::clone(target.name()),
            Bytes::copy_from_slice(session.unwrap_or_default()),
        );
        let mut late = VecDeque::new();
        let reading = reading(&headers, &attended.delegation);
        let pushes = match (attended.pushes, resting.take(&whose)) {
            (true, None) => pushes(&target, &reading).await,
            (false, None) => None,
            (_, Some((pushes, between))) => {
                late.extend(between);
                pushes
            }
        };
        // What was said between two calls belongs to neither, but changed lists are news.
        late.retain(is_news);
        let Attended {
            call,
            resume,
            pushes: asked,
            ..
        } = attended;
        let call: CallStream = match resume {
            None => Box::pin(stream::unfold(Progress::Begin(target, call), advance)),
            Some(resumption) => {
                let begun = resume_at(&target, &reading, resumption, call.timeout).await;
                let first = open(&target, begun, call.timeout);
                Box::pin(stream::iter([first.0]).chain(stream::unfold(first.1, advance)))
            }
        };
        Both {
            call,
            late,
            pushes,
            asked,
            whose,
            resting,
        }
    };
    Box::pin(stream::once(begin).flatten())
}

impl Stream for Both {
    type Item = CallEvent;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<CallEvent>> {
        // What was pushed was said before what is said now.
        if let Some(message) = self.late.pop_front() {
            return Poll::Ready(Some(CallEvent::Pushed(message)));
        }
        if let Some(pushes) = &mut self.pushes {
            match pushes.as_mut().poll_next(context) {
                Poll::Ready(Some(message)) => return Poll::Ready(Some(CallEvent::Pushed(message))),
                Poll::Ready(None) => {
                    // It is asked for again next time.
                    (self.pushes, self.asked) = (None, false);
                }
                Poll::Pending => {}
            }
        }
        self.call.as_mut().poll_next(context)
    }
}

/// The messages of the session's own stream; `None` where the upstream offers none.
async fn pushes(target: &Arc<Target>, reading: &HeaderMap) -> Option<Pushes> {
    for _ in 0..ATTEMPTS {
        let response = target.get(reading.clone(), HEAD).await.ok()?;
        match response.status() {
            200 if response.media() == Media::EventStream => {
                let state = (response, Decoder::default(), VecDeque::new());
                return Some(Box::pin(stream::unfold(state, next_message)));
            }
            409 => tokio::time::sleep(PAUSE).await,
            _ => return None,
        }
    }
    None
}

fn is_news(message: &Bytes) -> bool {
    let message = Message::read(message).map(|message| message.kind);
    matches!(message, Some(Kind::Notification { method }) if Kinds::of(&method).is_some())
}

type Reading = (Response, Decoder, VecDeque<Bytes>);

async fn next_message((mut response, mut decoder, mut ready): Reading) -> Option<(Bytes, Reading)> {
    loop {
        if let Some(message) = ready.pop_front() {
            return Some((message, (response, decoder, ready)));
        }
        let chunk = response.chunk().await?.ok()?;
        let events = decoder.feed(&chunk, LIMIT).ok()?;
        let messages = events.into_iter().map(|event| event.data);
        ready.extend(messages.filter(|data| !data.is_empty()));
    }
}

/// Asks for the rest of a stream, after the pause that the upstream wants.
async fn resume_at(
    target: &Arc<Target>,
    reading: &HeaderMap,
    resumption: Resumption,
    limit: Duration,
) -> Result<Response, HttpError> {
    tokio::time::sleep(resumption.after.min(LONGEST)).await;
    let mut headers = reading.clone();
    if let Ok(last) = HeaderValue::from_str(&resumption.last) {
        headers.insert("last-event-id", last);
    }
    target.get(headers, limit).await
}

/// What speaks for the caller now takes the place of what did.
fn dress(headers: &mut HeaderMap, spoken: Option<&Delegation>) {
    for (name, value) in spoken.iter().flat_map(|spoken| spoken.headers()) {
        let name = http::HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_maybe_shared(value.clone())) {
            headers.insert(name, value);
        }
    }
}

/// The headers of a GET in the session of a call.
fn reading(call: &HeaderMap, delegation: &Delegation) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, _) in delegation.headers() {
        let name = http::HeaderName::from_bytes(name.as_bytes()).ok();
        headers.extend(name.and_then(|name| Some((name.clone(), call.get(&name)?.clone()))));
    }
    for name in [names::SESSION_ID, names::PROTOCOL_VERSION] {
        headers.extend(
            call.get(name)
                .map(|value| (http::HeaderName::from_static(name), value.clone())),
        );
    }
    headers.insert("accept", HeaderValue::from_static("text/event-stream"));
    headers
}
