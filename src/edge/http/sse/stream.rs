//! The event stream of one connection: opened by GET, its first event says where messages are POSTed.

use super::super::wire::Wire;
use super::super::{HttpError, Media, Response};
use super::{EVENT, endpoint};
use crate::engine::sse::{Decoder, SseEvent};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Uri};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;
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
    /// 401, 5xx and the like: worth its own words.
    Refused(Box<Response>),
}

/// GETs `url` with what speaks for a caller, and waits for the endpoint: three quarters of `limit`, so that whoever waits that long hears what is
/// missing.
///
/// # Errors
/// See [`HttpError`]: [`HttpError::NotSse`] for anything but a stream that names an endpoint on its own origin.
pub(super) async fn open(wire: &Wire, url: &Url, spoken: HeaderMap, limit: Duration) -> Result<Opened, HttpError> {
    let limit = limit * 3 / 4;
    let until = Instant::now() + limit;
    let uri: Uri = url
        .as_str()
        .parse()
        .map_err(|error| HttpError::NotSse(format!("url: {error}")))?;
    let mut headers = spoken;
    headers.insert(http::header::ACCEPT, HeaderValue::from_static("text/event-stream"));
    let response = wire
        .hold(Method::GET, uri.clone(), headers, Bytes::new(), limit)
        .await?;
    match (response.status(), response.media()) {
        (200..=299, Media::EventStream) => {}
        // A server that knows no GET, or none without a session.
        (status @ (200..=299 | 400 | 404..=406), _) => {
            let words = format!("answered {status} to GET, and no event stream");
            return Err(HttpError::NotSse(words));
        }
        _ => return Ok(Opened::Refused(Box::new(response))),
    }
    let mut stream = EventStream {
        response,
        decoder: Decoder::default(),
        waiting: VecDeque::new(),
        endpoint: uri,
    };
    let first = tokio::time::timeout_at(until, stream.next()).await.map_err(|_| {
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
