//! A call in an upstream session that nobody else uses: what the upstream says in the session's own stream (GET) while the
//! call runs belongs to it, and a stream that the upstream closes before its end (2025-11-25, polling) is read on.

use super::{CallStream, Progress, advance, headers, open};
use crate::edge::http::{HttpError, Media, Response, Target};
use crate::engine::exchange::event::CallEvent;
use crate::engine::exchange::step::{Attended, Resumption};
use crate::engine::mcp::headers as names;
use crate::engine::sse::Decoder;
use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};
use http::{HeaderMap, HeaderValue};
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// The session's stream is waited for so long before the call is made.
const HEAD: Duration = Duration::from_secs(2);
/// The stream of the call before may not be gone yet at the upstream, which allows one: how often, and when, to try again.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(20);
/// Bytes of one pushed message.
const LIMIT: usize = 16 << 20;
/// However long an upstream wants a stream to be left alone: people wait for its call.
const LONGEST: Duration = Duration::from_secs(10);

/// The call and the session's own stream, which ends with it.
struct Both {
    call: CallStream,
    pushes: Option<Pushes>,
}

type Pushes = Pin<Box<dyn Stream<Item = Bytes> + Send>>;

/// Carries out `attended`. Nothing happens until the stream is polled.
pub(super) fn attend(target: Arc<Target>, attended: Attended) -> CallStream {
    let begin = async move {
        let pushes = if attended.pushes {
            pushes(&target, &headers(&attended.call)).await
        } else {
            None
        };
        let Attended { call, resume, .. } = attended;
        let call: CallStream = match resume {
            None => Box::pin(stream::unfold(Progress::Begin(target, call), advance)),
            Some(resumption) => {
                let begun = resume_at(&target, &headers(&call), resumption, call.timeout).await;
                let first = open(&target, begun, call.timeout);
                Box::pin(stream::iter([first.0]).chain(stream::unfold(first.1, advance)))
            }
        };
        Both { call, pushes }
    };
    Box::pin(stream::once(begin).flatten())
}

impl Stream for Both {
    type Item = CallEvent;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<CallEvent>> {
        // What was pushed was said before what is said now.
        if let Some(pushes) = &mut self.pushes {
            match pushes.as_mut().poll_next(context) {
                Poll::Ready(Some(message)) => return Poll::Ready(Some(CallEvent::Pushed(message))),
                Poll::Ready(None) => self.pushes = None,
                Poll::Pending => {}
            }
        }
        self.call.as_mut().poll_next(context)
    }
}

/// The messages of the session's own stream; `None` where the upstream offers none.
async fn pushes(target: &Arc<Target>, headers: &HeaderMap) -> Option<Pushes> {
    for _ in 0..ATTEMPTS {
        let response = target.get(reading(headers), HEAD).await.ok()?;
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
    headers: &HeaderMap,
    resumption: Resumption,
    limit: Duration,
) -> Result<Response, HttpError> {
    tokio::time::sleep(resumption.after.min(LONGEST)).await;
    let mut headers = reading(headers);
    if let Ok(last) = HeaderValue::from_str(&resumption.last) {
        headers.insert("last-event-id", last);
    }
    target.get(headers, limit).await
}

/// The headers of a GET in the session of a call.
fn reading(call: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for name in [names::SESSION_ID, names::PROTOCOL_VERSION] {
        headers.extend(
            call.get(name)
                .map(|value| (http::HeaderName::from_static(name), value.clone())),
        );
    }
    headers.insert("accept", HeaderValue::from_static("text/event-stream"));
    headers
}
