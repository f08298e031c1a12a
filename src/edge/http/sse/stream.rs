//! The event stream of one connection: opened by GET, its first event says where messages are POSTed.

use super::super::wire::Wire;
use super::super::{HttpError, Media, Response};
use super::{EVENT, endpoint};
use crate::engine::sse::{Decoder, SseEvent};
use http::{HeaderMap, HeaderValue, Method, Uri};
use std::collections::VecDeque;
use std::time::Duration;
use url::Url;

/// The stream after its first event.
#[derive(Debug)]
pub(super) struct EventStream {
    response: Response,
    decoder: Decoder,
    waiting: VecDeque<SseEvent>,
    endpoint: Uri,
}

/// What came of GET.
pub(super) enum Opened {
    Stream(Box<EventStream>),
    /// An answer without success.
    Refused(Box<Response>),
}

/// GETs `url` and waits for the endpoint, each within `limit`.
///
/// # Errors
/// See [`HttpError`]: [`HttpError::NotSse`] for anything but a stream that names an endpoint on its own origin.
pub(super) async fn open(wire: &Wire, url: &Url, limit: Duration) -> Result<Opened, HttpError> {
    let uri: Uri = url
        .as_str()
        .parse()
        .map_err(|error| HttpError::NotSse(format!("url: {error}")))?;
    let accept = (http::header::ACCEPT, HeaderValue::from_static("text/event-stream"));
    let headers = HeaderMap::from_iter([accept]);
    let response = wire
        .send(Method::GET, uri.clone(), headers, bytes::Bytes::new(), limit)
        .await?;
    if !response.is_success() {
        return Ok(Opened::Refused(Box::new(response)));
    }
    if response.media() != Media::EventStream {
        let words = "answered GET without an event stream".to_owned();
        return Err(HttpError::NotSse(words));
    }
    let mut stream = EventStream {
        response,
        decoder: Decoder::default(),
        waiting: VecDeque::new(),
        endpoint: uri,
    };
    let first = tokio::time::timeout(limit, stream.next()).await.map_err(|_| {
        let limit = humantime::format_duration(limit);
        HttpError::NotSse(format!("sent no endpoint event within {limit}"))
    })??;
    if first.event != "endpoint" {
        let words = "its event stream does not begin with an endpoint event".to_owned();
        return Err(HttpError::NotSse(words));
    }
    stream.endpoint = endpoint::resolve(url, &first.data).map_err(|error| HttpError::NotSse(error.to_string()))?;
    Ok(Opened::Stream(Box::new(stream)))
}

impl EventStream {
    /// Where messages are POSTed.
    pub(super) const fn endpoint(&self) -> &Uri {
        &self.endpoint
    }

    /// The next event that has a type or data. Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// [`HttpError::BrokenOff`] at its end, [`HttpError::TooLarge`].
    pub(super) async fn next(&mut self) -> Result<SseEvent, HttpError> {
        loop {
            match self.waiting.pop_front() {
                Some(event) if event.data.is_empty() && event.event.is_empty() => {}
                Some(event) => return Ok(event),
                None => {
                    let ended = || Err(HttpError::BrokenOff("its event stream ended".to_owned()));
                    let chunk = self.response.chunk().await.unwrap_or_else(ended)?;
                    let events = self.decoder.feed(&chunk, EVENT);
                    self.waiting.extend(events.map_err(|_| HttpError::TooLarge(EVENT))?);
                }
            }
        }
    }
}
