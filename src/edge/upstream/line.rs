//! One JSON-RPC request to an upstream and the one answer to it, as JSON or out of an event stream.
//!
//! Results stay raw. Notifications and requests that an upstream sends along are passed over: in its own sessions the
//! gateway declares no capabilities, and in those of clients it asks nothing that would cause any.

use super::Failure;
use crate::edge::http::{HttpError, Media, Response, Target};
use crate::engine::mcp::{Version, headers};
use crate::engine::session::Binding;
use crate::engine::sse::Decoder;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Bytes of an answer that is not a list.
pub(super) const SMALL: usize = 4 << 20;
/// Characters of an upstream's own words that we repeat.
const QUOTED: usize = 200;

/// What the gateway says of itself.
pub(super) const OWN_INFO: &str = concat!(
    r#"{"name":"mcp-manifold","version":""#,
    env!("CARGO_PKG_VERSION"),
    r#""}"#
);

/// How requests to one upstream are addressed.
#[derive(Debug)]
pub(super) struct Line {
    target: Arc<Target>,
    tie: Tie,
    next_id: AtomicU64,
}

/// What a request has to carry.
#[derive(Clone, Debug)]
pub(super) enum Tie {
    /// Legacy, before there is a session.
    Opening,
    /// Legacy, in this session.
    Session(Binding),
    /// Modern: every request speaks for itself.
    Modern(Version),
}

/// A successful answer.
#[derive(Debug)]
pub(super) struct Reply {
    /// Raw JSON of `result`.
    pub(super) result: Box<str>,
    /// `mcp-session-id` of the response.
    pub(super) session: Option<Arc<str>>,
}

/// As much of a JSON-RPC message as we need.
#[derive(Deserialize)]
pub(super) struct Message<'a> {
    #[serde(borrow)]
    pub(super) id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) method: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    error: Option<ErrorObject>,
}

#[derive(Deserialize)]
struct ErrorObject {
    code: i64,
    #[serde(default)]
    message: String,
}

impl Line {
    pub(super) const fn new(target: Arc<Target>, tie: Tie) -> Self {
        Self {
            target,
            tie,
            next_id: AtomicU64::new(1),
        }
    }

    /// For one request in a session that its client uses too: the id must not meet one of the client's.
    pub(super) fn beside_client(target: Arc<Target>, binding: Binding) -> Self {
        Self {
            target,
            tie: Tie::Session(binding),
            next_id: AtomicU64::new(rand::random_range(1 << 51..1 << 52)),
        }
    }

    pub(super) const fn target(&self) -> &Arc<Target> {
        &self.target
    }

    /// The session, if this line is in one that has an id.
    pub(super) fn has_session(&self) -> bool {
        matches!(&self.tie, Tie::Session(Binding { id: Some(_), .. }))
    }

    /// Asks `method` with `members` (raw JSON members of `params`, may be empty). The whole takes at most `time`, its
    /// answer at most `limit` bytes. Asked once more if the connection breaks off: an upstream may close an idle one in
    /// the moment it is used, and nothing that the gateway asks on its own behalf does harm twice.
    ///
    /// # Errors
    /// See [`Failure`]; a JSON-RPC error is [`Failure::Refused`].
    pub(super) async fn request(
        &self,
        method: &'static str,
        members: &str,
        limit: usize,
        time: Duration,
    ) -> Result<Reply, Failure> {
        let exchange = async {
            match self.ask(method, members, limit, time).await {
                Err(Failure::Http(HttpError::BrokenOff(_))) => self.ask(method, members, limit, time).await,
                answered => answered,
            }
        };
        tokio::time::timeout(time, exchange)
            .await
            .unwrap_or(Err(Failure::Http(HttpError::TimedOut(time))))
    }

    async fn ask(&self, method: &'static str, members: &str, limit: usize, time: Duration) -> Result<Reply, Failure> {
        let response = self.open(method, members, time).await?;
        let session = response.is_success().then(|| session_id(&response)).flatten();
        let result = read(method, response, limit, time).await?;
        Ok(Reply { result, session })
    }

    /// Sends a request and returns when response headers are here, whatever they say.
    ///
    /// # Errors
    /// [`Failure::Http`].
    pub(super) async fn open(&self, method: &'static str, members: &str, time: Duration) -> Result<Response, Failure> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let params = self.params(members);
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}"{params}}}"#);
        Ok(self.target.post(self.headers(method), body.into(), time).await?)
    }

    /// Sends a notification.
    ///
    /// # Errors
    /// See [`Failure`]; any 2xx is good.
    pub(super) async fn notify(&self, method: &'static str, members: &str, time: Duration) -> Result<(), Failure> {
        let params = self.params(members);
        let body = format!(r#"{{"jsonrpc":"2.0","method":"{method}"{params}}}"#);
        let response = self.target.post(self.headers(method), body.into(), time).await?;
        if response.is_success() {
            return Ok(());
        }
        Err(refusal(method, response, time).await)
    }

    /// Sends any JSON-RPC message and forgets the answer.
    pub(super) async fn say(&self, body: String, time: Duration) {
        let _ = self.target.post(self.headers(""), body.into(), time).await;
    }

    /// Opens the event stream of the session (GET).
    ///
    /// # Errors
    /// [`Failure::Http`].
    pub(super) async fn listen(&self, time: Duration) -> Result<Response, Failure> {
        let mut headers = self.headers("");
        headers.remove("content-type");
        headers.insert("accept", HeaderValue::from_static("text/event-stream"));
        Ok(self.target.get(headers, time).await?)
    }

    /// Ends the session (DELETE). Best effort: many servers answer 405.
    pub(super) async fn delete(&self, time: Duration) {
        if self.has_session() {
            let mut headers = self.headers("");
            headers.remove("content-type");
            let _ = self.target.delete(headers, time).await;
        }
    }

    fn headers(&self, method: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        headers.insert(
            "accept",
            HeaderValue::from_static("application/json, text/event-stream"),
        );
        let version = match &self.tie {
            Tie::Opening => return headers,
            Tie::Session(binding) => {
                let id = binding.id.as_deref().and_then(|id| HeaderValue::from_str(id).ok());
                if let Some(mut id) = id {
                    id.set_sensitive(true);
                    headers.insert(headers::SESSION_ID, id);
                }
                binding.version
            }
            Tie::Modern(version) => {
                headers.insert(headers::METHOD, HeaderValue::from_static(method));
                *version
            }
        };
        headers.insert(headers::PROTOCOL_VERSION, HeaderValue::from_static(version.as_str()));
        headers
    }

    /// `,"params":{...}`, or nothing where there is nothing to say.
    fn params(&self, members: &str) -> String {
        match &self.tie {
            Tie::Opening | Tie::Session(_) if members.is_empty() => String::new(),
            Tie::Opening | Tie::Session(_) => format!(r#","params":{{{members}}}"#),
            Tie::Modern(version) => {
                let gap = if members.is_empty() { "" } else { "," };
                format!(r#","params":{{{members}{gap}"_meta":{}}}"#, meta(*version))
            }
        }
    }
}

/// `_meta` of the gateway's own modern requests.
fn meta(version: Version) -> String {
    format!(
        r#"{{"io.modelcontextprotocol/protocolVersion":"{}","io.modelcontextprotocol/clientCapabilities":{{}},"io.modelcontextprotocol/clientInfo":{OWN_INFO}}}"#,
        version.as_str()
    )
}

/// A session id that the specification allows: visible ASCII.
fn session_id(response: &Response) -> Option<Arc<str>> {
    let id = response.header(headers::SESSION_ID)?;
    let visible = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_graphic());
    visible.then(|| id.into())
}

/// The raw result out of a response.
async fn read(method: &'static str, response: Response, limit: usize, time: Duration) -> Result<Box<str>, Failure> {
    if !response.is_success() {
        return Err(refusal(method, response, time).await);
    }
    match response.media() {
        Media::Json => {
            let body = response.collect(limit, time).await?;
            match outcome(method, 200, &body)? {
                Some(result) => Ok(result),
                None => Err(Failure::NotMcp(format!(
                    "answered {method} with JSON that is no response"
                ))),
            }
        }
        Media::EventStream => from_stream(method, response, limit).await,
        Media::Other => Err(not_json(&response)),
    }
}

async fn from_stream(method: &'static str, mut response: Response, limit: usize) -> Result<Box<str>, Failure> {
    let mut decoder = Decoder::default();
    while let Some(chunk) = response.chunk().await {
        let events = decoder.feed(&chunk?, limit).map_err(|_| HttpError::TooLarge(limit))?;
        for event in events {
            // Priming events have no data.
            if !event.data.is_empty()
                && let Some(result) = outcome(method, 200, &event.data)?
            {
                return Ok(result);
            }
        }
    }
    Err(Failure::NotMcp(format!(
        "ended the event stream without an answer to {method}"
    )))
}

/// What one message says: a result, an error, or (`None`) something else.
fn outcome(method: &'static str, status: u16, body: &[u8]) -> Result<Option<Box<str>>, Failure> {
    let Ok(message) = serde_json::from_slice::<Message<'_>>(body) else {
        return Err(Failure::NotMcp(format!("answered {method} with what is not JSON-RPC")));
    };
    if let Some(error) = message.error {
        return Err(Failure::Refused {
            method,
            status,
            code: Some(error.code),
            message: printable(&error.message),
        });
    }
    Ok(message.result.map(|raw| raw.get().into()))
}

/// The failure that a response without success stands for.
async fn refusal(method: &'static str, response: Response, time: Duration) -> Failure {
    let status = response.status();
    match status {
        401 | 403 => Failure::Unauthorized(status),
        300..=399 => Failure::Redirects(printable(response.header("location").unwrap_or("nowhere"))),
        400..=499 => {
            let body = match response.media() {
                Media::Json => response.collect(SMALL, time).await.unwrap_or_default(),
                Media::EventStream | Media::Other => Bytes::new(),
            };
            match outcome(method, status, &body) {
                Err(refused @ Failure::Refused { .. }) => refused,
                Ok(_) | Err(_) => Failure::Refused {
                    method,
                    status,
                    code: None,
                    message: String::new(),
                },
            }
        }
        _ => Failure::Broken { method, status },
    }
}

fn not_json(response: &Response) -> Failure {
    let words = match response.content_type() {
        "" => format!("answered {} without a body, not JSON", response.status()),
        other => format!("answered {}, not JSON", printable(other)),
    };
    Failure::NotMcp(words)
}

/// An upstream's own words, cut and on one line.
fn printable(text: &str) -> String {
    let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    clean.take(QUOTED).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_modern_request_speaks_for_itself() {
        let meta = meta(Version::V2026_07_28);
        assert!(serde_json::from_str::<&RawValue>(&meta).is_ok(), "{meta}");
        assert!(meta.starts_with(r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28","#));
    }

    #[test]
    fn results_stay_as_they_are() {
        let body = br#"{"jsonrpc":"2.0","id":1,"result":{ "a": 123456789012345678901234567890 }}"#;
        let result = outcome("tools/list", 200, body).unwrap();
        assert_eq!(result.as_deref(), Some(r#"{ "a": 123456789012345678901234567890 }"#));
    }

    #[test]
    fn what_is_no_response_is_passed_over() {
        let body = br#"{"jsonrpc":"2.0","method":"notifications/message","params":{}}"#;
        assert_eq!(outcome("tools/list", 200, body), Ok(None));
    }

    #[test]
    fn words_of_an_upstream_are_cut_and_cleaned() {
        let text = format!("a\nb\u{1b}{}", "x".repeat(500));
        let clean = printable(&text);
        assert!(clean.starts_with("a b x"));
        assert_eq!(clean.chars().count(), QUOTED);
    }

    proptest::proptest! {
        #[test]
        fn reading_an_answer_never_panics(body in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = outcome("initialize", 200, &body);
        }
    }
}
