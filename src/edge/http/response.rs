//! A response whose body is read piece by piece, or whole within a limit.

use super::HttpError;
use super::lasting::Lasting;
use super::sse::Outlet;
use crate::engine::mcp::headers::SESSION_ID;
use bytes::{Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use std::time::Duration;

/// Status and headers are here, the body is still to come. Dropping it ends the exchange.
#[derive(Debug)]
pub struct Response {
    status: u16,
    headers: HeaderMap,
    body: Body,
}

/// Where the body comes from.
#[derive(Debug)]
enum Body {
    Wire(Incoming),
    /// Boxed: it is the rarest and the largest.
    Lasting(Box<Lasting>),
    /// Once.
    Whole(Option<Bytes>),
    /// The first event, and the others; `None`: that was the last.
    Events(Option<Bytes>, Option<Outlet>),
}

/// What a response body is, as its Content-Type says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// `application/json`
    Json,
    /// `text/event-stream`
    EventStream,
    /// Anything else, or nothing.
    Other,
}

impl Response {
    pub(super) fn new(response: http::Response<Incoming>) -> Self {
        let (head, body) = response.into_parts();
        Self {
            status: head.status.as_u16(),
            headers: head.headers,
            body: Body::Wire(body),
        }
    }

    pub(super) fn lasting(status: u16, headers: HeaderMap, body: Lasting) -> Self {
        Self {
            status,
            headers,
            body: Body::Lasting(Box::new(body)),
        }
    }

    /// One that no server sent as it is.
    pub(super) fn made(status: u16, media: Option<&'static str>, body: Bytes) -> Self {
        let media = media.map(|media| (CONTENT_TYPE, HeaderValue::from_static(media)));
        Self {
            status,
            headers: media.into_iter().collect(),
            body: Body::Whole(Some(body)),
        }
    }

    /// An event stream that begins with `first`.
    pub(super) fn relayed(first: Option<Bytes>, rest: Outlet) -> Self {
        let media = (CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        Self {
            status: 200,
            headers: HeaderMap::from_iter([media]),
            body: Body::Events(first, Some(rest)),
        }
    }

    /// The same, with the id of the session that it begins.
    pub(super) fn with_session(mut self, id: &str) -> Self {
        if let Ok(id) = HeaderValue::from_str(id) {
            self.headers.insert(SESSION_ID, id);
        }
        self
    }

    /// HTTP status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// True for 200 to 299.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        matches!(self.status, 200..=299)
    }

    /// All headers.
    #[must_use]
    pub const fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Frees the headers: the body may take long.
    pub fn forget_headers(&mut self) {
        self.headers = HeaderMap::new();
    }

    /// One header, if it is there and visible ASCII.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The Content-Type without its parameters; empty if there is none.
    #[must_use]
    pub fn content_type(&self) -> &str {
        let value = self.header("content-type").unwrap_or_default();
        value.split(';').next().unwrap_or_default().trim()
    }

    /// What the body is.
    #[must_use]
    pub fn media(&self) -> Media {
        let essence = self.content_type();
        if essence.eq_ignore_ascii_case("application/json") {
            Media::Json
        } else if essence.eq_ignore_ascii_case("text/event-stream") {
            Media::EventStream
        } else {
            Media::Other
        }
    }

    /// The head says that there is no body.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match &self.body {
            Body::Wire(body) => body.is_end_stream(),
            Body::Lasting(body) => body.is_empty(),
            Body::Whole(body) => body.as_ref().is_none_or(Bytes::is_empty),
            Body::Events(..) => false,
        }
    }

    /// The next piece of the body; `None` at its end. Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// [`HttpError::BrokenOff`].
    pub async fn chunk(&mut self) -> Option<Result<Bytes, HttpError>> {
        match &mut self.body {
            Body::Wire(body) => from_wire(body).await,
            Body::Lasting(body) => {
                let chunk = body.chunk().await?;
                Some(chunk.map_err(|error| HttpError::of_lasting(&error)))
            }
            Body::Whole(body) => body.take().filter(|body| !body.is_empty()).map(Ok),
            Body::Events(first, rest) => match first.take() {
                Some(first) => Some(Ok(first)),
                None => from_outlet(rest).await,
            },
        }
    }

    /// The whole body, at most `limit` bytes, within `time`.
    ///
    /// # Errors
    /// [`HttpError::TooLarge`], [`HttpError::TimedOut`], [`HttpError::BrokenOff`].
    pub async fn collect(mut self, limit: usize, time: Duration) -> Result<Bytes, HttpError> {
        let collecting = async {
            let mut whole = BytesMut::new();
            while let Some(chunk) = self.chunk().await {
                let chunk = chunk?;
                if whole.len() + chunk.len() > limit {
                    return Err(HttpError::TooLarge(limit));
                }
                whole.extend_from_slice(&chunk);
            }
            Ok(whole.freeze())
        };
        tokio::time::timeout(time, collecting)
            .await
            .unwrap_or(Err(HttpError::TimedOut(time)))
    }
}

async fn from_wire(body: &mut Incoming) -> Option<Result<Bytes, HttpError>> {
    loop {
        match body.frame().await? {
            Ok(frame) => match frame.into_data() {
                Ok(data) if data.is_empty() => {}
                Ok(data) => return Some(Ok(data)),
                // Trailers say nothing to us.
                Err(_) => {}
            },
            Err(error) => return Some(Err(HttpError::of_body(&error))),
        }
    }
}

async fn from_outlet(rest: &mut Option<Outlet>) -> Option<Result<Bytes, HttpError>> {
    let event = rest.as_mut()?.event().await;
    if !matches!(event, Ok((_, false))) {
        *rest = None;
    }
    Some(event.map(|(event, _)| event))
}
