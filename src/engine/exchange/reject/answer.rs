//! How an error is told: the JSON-RPC message, its data, the headers around it.

use super::{Reject, Shown, Trouble, echo};
use crate::engine::exchange::event::Refusal;
use crate::engine::exchange::step::{Answer, Metadata, quota};
use crate::engine::jsonrpc::EnvelopeError;
use crate::engine::jsonrpc::splice::quote;
use crate::engine::mcp::Version;
use crate::engine::mcp::capabilities::TASKS_EXTENSION;
use crate::engine::policy::place::Kind;
use bytes::Bytes;
use std::sync::Arc;

/// Bytes of a URI that is repeated as data.
const LONGEST_URI: usize = 2048;
/// Bytes of a name that nobody knows: it is the client's, not ours.
const NAMED: usize = 128;

impl Reject {
    fn message(&self) -> String {
        match self {
            Self::Envelope(EnvelopeError::DuplicateKey(key)) => {
                EnvelopeError::DuplicateKey(echo(key).into_owned()).to_string()
            }
            Self::Envelope(error) => error.to_string(),
            Self::Params(what) | Self::Meta(what) | Self::HeaderMismatch(what) => (*what).to_owned(),
            Self::TasksUndeclared => "missing required client capability: tasks".to_owned(),
            Self::RequestState(_) => {
                "params.requestState is not valid, or not any more: make the request anew, without it".to_owned()
            }
            Self::BodyTooLarge(limit) => format!("body is larger than {limit} bytes"),
            Self::HeadersTooLarge(limit) => format!("headers are larger than {limit} bytes"),
            Self::TooSlow => "the request was not received in time".to_owned(),
            Self::NoRoom => "the gateway holds too many bodies, try again".to_owned(),
            Self::MediaType(what) | Self::Forbidden(what) => (*what).to_owned(),
            Self::Unauthenticated(Shown::Nothing, _) => "authentication is required".to_owned(),
            Self::Unauthenticated(Shown::Useless, _) => "the token, key or password is not valid here".to_owned(),
            Self::Unauthenticated(Shown::Lapsed, _) => {
                "tokens of this issuer do not count now: its public keys cannot be fetched".to_owned()
            }
            Self::Unauthenticated(Shown::Retired, _) => {
                "the token is signed with a key that its issuer has taken back".to_owned()
            }
            Self::Scopes(_) => "the token lacks a scope that is needed".to_owned(),
            Self::Attempts(_) => "too many wrong passwords, try again later".to_owned(),
            Self::NoEndpoint(_) => "no MCP endpoint at this path".to_owned(),
            Self::MethodNotAllowed => "method not allowed".to_owned(),
            Self::SessionIdMissing => "mcp-session-id is missing".to_owned(),
            Self::SessionNotFound(_) => "session not found".to_owned(),
            Self::VersionHeader | Self::Version(_) => "unsupported protocol version".to_owned(),
            Self::UnknownMethod(_) => "method not found".to_owned(),
            Self::UnknownTool(name) => format!("Unknown tool: {}", echo(name)),
            Self::UnknownPrompt(name) => format!("Unknown prompt: {}", echo(name)),
            Self::UnknownTask(id) => format!("Task not found: {}", echo(id)),
            Self::UnknownResource(_, uri) => format!("Resource not found: {}", echo(uri)),
            Self::Denied(message, _) => message.to_string(),
            Self::Upstream(Trouble::Status(status), upstream) => {
                format!("upstream {upstream} answered with HTTP status {status}")
            }
            Self::Upstream(trouble, upstream) | Self::Unreached(trouble, upstream) => {
                format!("upstream {upstream} {}", trouble.words())
            }
            Self::Input(input) => input.message(),
            Self::RateLimited(exhausted) => {
                let (limit, seconds) = (&exhausted.quota.limit, exhausted.retry_after);
                format!("rate limit {limit} is used up, try again in {seconds} s")
            }
            Self::Crowded(Kind::CallsPerSession | Kind::CallsPerPrincipal) => {
                "too many calls of yours are under way, try again when one has ended".to_owned()
            }
            Self::Crowded(Kind::StreamsPerPrincipal) => "you hold too many streams open".to_owned(),
            Self::NotCounted => "the gateway could not find out whether this is within its rate limits".to_owned(),
            Self::SessionsFull => "the gateway remembers too many sessions, try again later".to_owned(),
            Self::NotWritten => "the gateway could not write its state".to_owned(),
            Self::Refused(Refusal::Draining) => "the gateway is shutting down".to_owned(),
            Self::Refused(Refusal::TooManyStreams) => "the gateway serves too many requests at once".to_owned(),
            Self::Wiring(setting) => format!("Envoy is configured in a way that cannot serve this: {setting}"),
        }
    }

    /// The tool, prompt, resource or task that was asked for in vain, for log and metadata; cut where it is long.
    pub(in crate::engine::exchange) fn named(&self) -> Option<Arc<str>> {
        match self {
            Self::UnknownTool(name)
            | Self::UnknownPrompt(name)
            | Self::UnknownTask(name)
            | Self::UnknownResource(_, name) => Some(name[..name.floor_char_boundary(NAMED)].into()),
            Self::Denied(_, name) => name.as_ref().map(|name| name[..name.floor_char_boundary(NAMED)].into()),
            Self::Envelope(_)
            | Self::Params(_)
            | Self::RequestState(_)
            | Self::Meta(_)
            | Self::BodyTooLarge(_)
            | Self::HeadersTooLarge(_)
            | Self::TooSlow
            | Self::NoRoom
            | Self::MediaType(_)
            | Self::Unauthenticated(..)
            | Self::Scopes(_)
            | Self::Attempts(_)
            | Self::Forbidden(_)
            | Self::NoEndpoint(_)
            | Self::MethodNotAllowed
            | Self::SessionIdMissing
            | Self::SessionNotFound(_)
            | Self::VersionHeader
            | Self::Version(_)
            | Self::HeaderMismatch(_)
            | Self::TasksUndeclared
            | Self::UnknownMethod(_)
            | Self::Upstream(..)
            | Self::Unreached(..)
            | Self::Input(_)
            | Self::RateLimited(_)
            | Self::SessionsFull
            | Self::NotWritten
            | Self::NotCounted
            | Self::Crowded(_)
            | Self::Refused(_)
            | Self::Wiring(_) => None,
        }
    }

    fn data(&self) -> Option<String> {
        match self {
            // Part of a URI would be another one.
            Self::UnknownResource(_, uri) if uri.len() > LONGEST_URI => None,
            Self::UnknownResource(_, uri) => Some(format!(r#"{{"uri":{}}}"#, text(uri))),
            Self::TasksUndeclared => Some(format!(
                r#"{{"requiredCapabilities":{{"extensions":{{"{TASKS_EXTENSION}":{{}}}}}}}}"#
            )),
            Self::RateLimited(exhausted) => Some(format!(
                r#"{{"limit":{},"retryAfter":{}}}"#,
                text(&exhausted.quota.limit),
                exhausted.retry_after
            )),
            Self::Upstream(_, upstream) | Self::Unreached(_, upstream) => {
                Some(format!(r#"{{"upstream":{}}}"#, text(upstream)))
            }
            Self::Version(requested) => {
                let supported: Vec<String> = Version::ALL
                    .iter()
                    .rev()
                    .map(|version| format!("\"{}\"", version.as_str()))
                    .collect();
                Some(format!(
                    r#"{{"supported":[{}],"requested":{}}}"#,
                    supported.join(","),
                    text(&echo(requested))
                ))
            }
            Self::Envelope(_)
            | Self::Params(_)
            | Self::RequestState(_)
            | Self::Meta(_)
            | Self::BodyTooLarge(_)
            | Self::HeadersTooLarge(_)
            | Self::TooSlow
            | Self::NoRoom
            | Self::MediaType(_)
            | Self::Unauthenticated(..)
            | Self::Scopes(_)
            | Self::Attempts(_)
            | Self::Forbidden(_)
            | Self::NoEndpoint(_)
            | Self::MethodNotAllowed
            | Self::SessionIdMissing
            | Self::SessionNotFound(_)
            | Self::VersionHeader
            | Self::HeaderMismatch(_)
            | Self::UnknownMethod(_)
            | Self::UnknownTool(_)
            | Self::UnknownPrompt(_)
            | Self::UnknownTask(_)
            | Self::Denied(..)
            | Self::Input(_)
            | Self::SessionsFull
            | Self::NotWritten
            | Self::NotCounted
            | Self::Crowded(_)
            | Self::Refused(_)
            | Self::Wiring(_) => None,
        }
    }

    /// The JSON-RPC error message; `id` is the caller's raw id, `None` becomes null.
    pub(in crate::engine::exchange) fn body(&self, id: Option<&[u8]>) -> Bytes {
        let mut body = Vec::with_capacity(160);
        body.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
        body.extend_from_slice(id.unwrap_or(b"null"));
        body.extend_from_slice(br#","error":{"code":"#);
        body.extend_from_slice(self.code().0.to_string().as_bytes());
        body.extend_from_slice(br#","message":"#);
        body.extend_from_slice(&quote(&self.message()));
        if let Some(data) = self.data() {
            body.extend_from_slice(br#","data":"#);
            body.extend_from_slice(data.as_bytes());
        }
        body.extend_from_slice(b"}}");
        Bytes::from(body)
    }

    /// The whole answer.
    pub(in crate::engine::exchange) fn answer(&self, id: Option<&[u8]>, metadata: Option<Box<Metadata>>) -> Answer {
        let mut headers = vec![("content-type".into(), Bytes::from_static(b"application/json"))];
        if self.status() == 503 || matches!(self, Self::Crowded(_)) {
            headers.push(("retry-after".into(), Bytes::from_static(b"1")));
        }
        if let Self::MethodNotAllowed = self {
            headers.push(("allow".into(), Bytes::from_static(b"POST, DELETE")));
        }
        if let Self::Unauthenticated(_, challenge) | Self::Scopes(challenge) = self {
            let values = challenge.0.iter().cloned();
            headers.extend(values.map(|value| ("www-authenticate".into(), value)));
        }
        if let Self::Attempts(wait) = self {
            let seconds = wait.as_secs().saturating_add(1);
            headers.push(("retry-after".into(), seconds.to_string().into()));
        }
        let mut answer = Answer {
            status: self.status(),
            headers,
            body: vec![self.body(id)],
            details: self.reason(),
            metadata,
        };
        if let Self::RateLimited(exhausted) = self {
            let seconds = Bytes::from(exhausted.retry_after.to_string());
            answer.headers.push(("retry-after".into(), seconds));
            quota::tell(&mut answer, &exhausted.quota);
        }
        answer
    }
}

fn text(value: &str) -> String {
    String::from_utf8_lossy(&quote(value)).into_owned()
}
