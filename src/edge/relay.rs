//! Carries out `Command::Call`: the processor calls an upstream itself and reports what comes back, piece by piece.
//!
//! Decides nothing: an answer of any status is an answer. Runs on the runtime of whoever polls the stream; dropping the
//! stream closes the connection, which is a modern upstream's cancel.

mod attended;
pub mod mailbox;
pub mod outliving;
mod park;

pub use mailbox::Mailbox;
pub use outliving::Outliving;
pub use park::ParkingLot;

use crate::edge::http::{HttpError, Media, Response, Target, Targets, Underway};
use crate::engine::exchange::event::{CallEvent, ResponseHead, UpstreamFailure};
use crate::engine::exchange::step::{Attended, Call};
use attended::Resting;
use futures_util::stream::{self, Stream, StreamExt};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// The events of a call, as they come. Ends after [`CallEvent::End`] or [`CallEvent::Failed`].
pub type CallStream = Pin<Box<dyn Stream<Item = CallEvent> + Send>>;

/// Calls upstreams by their configured names.
#[derive(Clone, Debug)]
pub struct Relay {
    targets: Arc<Targets>,
    resting: Resting,
}

/// How far a call is.
enum Progress {
    Begin(Arc<Target>, Call),
    Body(Response, Option<Duration>),
    Over,
}

impl Relay {
    /// A relay to the upstreams of the moment.
    #[must_use]
    pub fn new(targets: Arc<Targets>) -> Self {
        let resting = Resting::default();
        Self { targets, resting }
    }

    /// Makes `call`. Nothing happens until the stream is polled. An upstream that is not configured (any more) counts as
    /// unreachable.
    #[must_use]
    pub fn call(&self, call: Call) -> CallStream {
        let Some(target) = self.targets.load().get(&*call.upstream).map(Arc::clone) else {
            return Box::pin(stream::iter([CallEvent::Failed(UpstreamFailure::Unreachable)]));
        };
        match target.room() {
            Some(room) => holding(room, stream::unfold(Progress::Begin(target, call), advance)),
            None => full(&target),
        }
    }

    /// Makes a call with what belongs to it in its session; see [`Relay::call`].
    #[must_use]
    pub fn attend(&self, attended: Attended) -> CallStream {
        match self.targets.load().get(&*attended.call.upstream) {
            Some(target) => match target.room() {
                Some(room) => {
                    let call = attended::attend(Arc::clone(target), attended, self.resting.clone());
                    holding(room, call)
                }
                None => full(target),
            },
            None => Box::pin(stream::iter([CallEvent::Failed(UpstreamFailure::Unreachable)])),
        }
    }

    /// An upstream session is over: what was open for it is closed.
    pub fn forget(&self, upstream: &Arc<str>, session: &str) {
        self.resting.forget(upstream, session);
    }

    /// Closes what was open for sessions that were not used for `idle`.
    pub fn sweep(&self, idle: Duration) {
        self.resting.sweep(idle);
    }
}

/// The call takes its place until its stream is dropped.
fn holding(room: Underway, call: impl Stream<Item = CallEvent> + Send + 'static) -> CallStream {
    Box::pin(call.inspect(move |_| {
        let _place = &room;
    }))
}

/// As Envoy's circuit breaker has it: nobody waits.
fn full(target: &Target) -> CallStream {
    tracing::debug!(upstream = %target.name(), "Call refused: circuitBreaker.requests are under way.");
    Box::pin(stream::iter([CallEvent::Failed(UpstreamFailure::Unreachable)]))
}

async fn advance(progress: Progress) -> Option<(CallEvent, Progress)> {
    match progress {
        Progress::Begin(target, call) => {
            // In a box of its own: what only the beginning needs is freed before a stream of hours.
            let begun = Box::pin(begin(&target, &call)).await;
            Some(open(&target, begun, call.timeout))
        }
        Progress::Body(mut response, idle) => Some(match next(&mut response, idle).await {
            Some(Ok(chunk)) => (CallEvent::Chunk(chunk), Progress::Body(response, idle)),
            Some(Err(error)) => (CallEvent::Failed(error.failure()), Progress::Over),
            None => (CallEvent::End, Progress::Over),
        }),
        Progress::Over => None,
    }
}

/// What there is to say once the upstream has answered, or has not.
fn open(target: &Target, begun: Result<Response, HttpError>, timeout: Duration) -> (CallEvent, Progress) {
    match begun {
        Ok(mut response) => {
            let event = CallEvent::Head(head(&response));
            // A stream may be silent for as long as a tool works; the kernel notices a peer that is gone.
            let idle = (response.media() != Media::EventStream).then_some(timeout);
            response.forget_headers();
            (event, Progress::Body(response, idle))
        }
        Err(error) => failed(target, &error),
    }
}

async fn begin(target: &Target, call: &Call) -> Result<Response, HttpError> {
    target.post(headers(call), call.body.clone(), call.timeout).await
}

async fn next(response: &mut Response, idle: Option<Duration>) -> Option<Result<bytes::Bytes, HttpError>> {
    let Some(idle) = idle else {
        return response.chunk().await;
    };
    tokio::time::timeout(idle, response.chunk())
        .await
        .unwrap_or(Some(Err(HttpError::TimedOut(idle))))
}

fn failed(target: &Target, error: &HttpError) -> (CallEvent, Progress) {
    tracing::debug!(upstream = %target.name(), %error, "Call failed.");
    (CallEvent::Failed(error.failure()), Progress::Over)
}

/// The client's headers that go on, the call's own, and the two that every call has. One that HTTP does not allow is left
/// out.
fn headers(call: &Call) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(call.headers.len() + call.passed.len() + 4);
    let own = call
        .headers
        .iter()
        .map(|(name, value)| (name.as_bytes(), value.clone()));
    for (name, value) in call.passed.iter().chain(own) {
        let name = HeaderName::from_bytes(name);
        let value = HeaderValue::from_maybe_shared(value);
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    for (name, value) in [
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    headers
}

fn head(response: &Response) -> ResponseHead {
    let status = response.status().to_string();
    let status = (":status", status.as_bytes());
    let rest = response.headers().iter();
    let rest = rest.map(|(name, value)| (name.as_str(), value.as_bytes()));
    ResponseHead {
        headers: std::iter::once(status).chain(rest).collect(),
        end: response.is_empty(),
        code_details: None,
    }
}
