//! The one answer to a request of ours, as JSON or out of an event stream.
//!
//! Results stay raw. Notifications and requests that an upstream sends along are passed over: in its own sessions the
//! gateway declares no capabilities, and in those of clients it asks nothing that would cause any.

use super::Failure;
use super::line::SMALL;
use crate::edge::http::{HttpError, Media, Response};
use crate::engine::jsonrpc::Code;
use crate::engine::mcp::{Version, headers};
use crate::engine::sse::Decoder;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::Arc;
use std::time::Duration;

/// Characters of an upstream's own words that we repeat.
const QUOTED: usize = 200;

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
    #[serde(default, deserialize_with = "supported")]
    data: Vec<String>,
}

/// `data.supported` of -32022; of other errors `data` may be anything.
fn supported<'de, D: serde::Deserializer<'de>>(data: D) -> Result<Vec<String>, D::Error> {
    #[derive(Default, Deserialize)]
    struct Supported {
        supported: Vec<String>,
    }
    let data = Box::<RawValue>::deserialize(data)?;
    Ok(serde_json::from_str::<Supported>(data.get())
        .unwrap_or_default()
        .supported)
}

/// The answer out of a response: at most `limit` bytes, each step within `time`.
///
/// # Errors
/// See [`Failure`]; a JSON-RPC error is [`Failure::Refused`].
pub(super) async fn read(
    method: &'static str,
    response: Response,
    limit: usize,
    time: Duration,
) -> Result<Reply, Failure> {
    if !response.is_success() {
        return Err(refusal(method, response, time).await);
    }
    let session = session_id(&response);
    let result = result(method, response, limit, time).await?;
    Ok(Reply { result, session })
}

/// A session id that the specification allows: visible ASCII.
fn session_id(response: &Response) -> Option<Arc<str>> {
    let id = response.header(headers::SESSION_ID)?;
    let visible = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_graphic());
    visible.then(|| id.into())
}

async fn result(method: &'static str, response: Response, limit: usize, time: Duration) -> Result<Box<str>, Failure> {
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
        let spoken = error.data.iter().filter_map(|version| Version::parse(version)).max();
        if let (true, Some(speaks)) = (error.code == i64::from(Code::UNSUPPORTED_VERSION.0), spoken) {
            return Err(Failure::OtherVersion { method, speaks });
        }
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
pub(super) async fn refusal(method: &'static str, response: Response, time: Duration) -> Failure {
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
                Err(refused @ (Failure::Refused { .. } | Failure::OtherVersion { .. })) => refused,
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
    fn results_stay_as_they_are() {
        let body = br#"{"jsonrpc":"2.0","id":1,"result":{ "a": 123456789012345678901234567890 }}"#;
        let result = outcome("tools/list", 200, body).unwrap();
        assert_eq!(result.as_deref(), Some(r#"{ "a": 123456789012345678901234567890 }"#));
    }

    #[test]
    fn a_refused_version_says_which_one_is_spoken() {
        let refusal = |supported: &str| {
            let error = format!(r#"{{"code":-32022,"message":"no","data":{supported}}}"#);
            let body = format!(r#"{{"jsonrpc":"2.0","id":1,"error":{error}}}"#);
            outcome("server/discover", 400, body.as_bytes()).unwrap_err()
        };
        let failure = refusal(r#"{"supported":["2025-06-18","2025-11-25","2099-01-01"],"requested":"2026-07-28"}"#);
        let speaks = Version::V2025_11_25;
        let method = "server/discover";
        assert_eq!(failure, Failure::OtherVersion { method, speaks });
        for unknown in [r#"{"supported":["2099-01-01"]}"#, "null", "[]", "1"] {
            assert!(
                matches!(refusal(unknown), Failure::Refused { code: Some(-32022), .. }),
                "{unknown}"
            );
        }
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
