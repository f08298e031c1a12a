//! The one error table: what is wrong, and what the client is told (contract 4). Nobody else chooses a status or a code.
//!
//! Messages name the exposed tool and the upstream's configured name, never a secret, an address or a stack.

mod answer;
mod echo;
mod input;
mod trouble;

pub(super) use echo::echo;
pub(super) use input::Input;
pub(super) use trouble::Trouble;
pub use trouble::UPSTREAM_UNAUTHORIZED;

use super::event::{Refusal, UpstreamFailure};
use crate::engine::jsonrpc::{Code, EnvelopeError};
use crate::engine::mcp::Era;
use crate::engine::policy::Challenge;
use crate::engine::policy::place::Kind;
use crate::engine::policy::rate::Exhausted;
use crate::engine::session::StateError;
use std::sync::Arc;
use std::time::Duration;

/// Why an exchange ends with an error of ours.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Reject {
    /// The body is no JSON-RPC message.
    Envelope(EnvelopeError),
    /// A parameter is missing or has the wrong type.
    Params(&'static str),
    /// Modern: the retry's `requestState` is of no use.
    RequestState(StateError),
    /// Modern: a required part of `_meta` is missing.
    Meta(&'static str),
    /// `limits.body`
    BodyTooLarge(usize),
    /// `limits.headers`
    HeadersTooLarge(usize),
    /// `limits.receive`
    TooSlow,
    /// `limits.bodies`
    NoRoom,
    /// Content-Type or Content-Encoding.
    MediaType(&'static str),
    /// Nobody we know.
    Unauthenticated(Shown, Challenge),
    /// Somebody whose token is good for too little.
    Scopes(Challenge),
    /// Too many wrong passwords: not before this long.
    Attempts(Duration),
    /// Foreign Host or Origin.
    Forbidden(&'static str),
    /// No endpoint at this path.
    NoEndpoint(Looking),
    /// HTTP method.
    MethodNotAllowed,
    /// DELETE without a session id.
    SessionIdMissing,
    /// Unknown, ended, expired, forged, foreign session id.
    SessionNotFound(&'static str),
    /// Legacy: MCP-Protocol-Version names no revision of ours.
    VersionHeader,
    /// Modern: the version in header and body is not ours.
    Version(Box<str>),
    /// Modern: header and body disagree, or a header is missing.
    HeaderMismatch(&'static str),
    /// Modern: news of tasks for a client that does not declare that it can take tasks.
    TasksUndeclared,
    /// No such method.
    UnknownMethod(Era),
    /// No such tool.
    UnknownTool(Box<str>),
    /// No such prompt.
    UnknownPrompt(Box<str>),
    /// No such task.
    UnknownTask(Box<str>),
    /// No such resource.
    UnknownResource(Era, Box<str>),
    /// A rule is against it: what its caller reads, and what was asked for.
    Denied(Arc<str>, Option<Arc<str>>),
    /// The upstream cannot be used.
    Upstream(Trouble, Arc<str>),
    /// The same for a message that has no id: the status must tell.
    Unreached(Trouble, Arc<str>),
    /// The upstream asks for the client's input, and that cannot be had.
    Input(Input),
    /// A bucket of `rateLimits` is empty.
    RateLimited(Box<Exhausted>),
    /// Too much goes on at once.
    Crowded(Kind),
    /// `rateLimitService` did not count, and `failureModeDeny` is set.
    NotCounted,
    /// `limits.sessions`
    SessionsFull,
    /// The state folder cannot be written.
    NotWritten,
    /// Draining, `limits.streams`.
    Refused(Refusal),
    /// Envoy is wired in a way that cannot serve this.
    Wiring(&'static str),
}

/// What a caller who is nobody has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// Nothing at all.
    Nothing,
    /// Something that does not count here.
    Useless,
    /// A token of an issuer whose keys could not be had for too long.
    Lapsed,
    /// A token signed with a key that its issuer has taken back.
    Retired,
}

/// What somebody looks for where no endpoint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Looking {
    /// MCP: the wiring is wrong, and a 404 would tell the client that its session is dead.
    ForMcp,
    /// A well-known document: clients go on without it after a 404.
    ForMetadata,
}

impl Looking {
    pub(super) fn of(path: &str) -> Self {
        if path.starts_with("/.well-known/") {
            Self::ForMetadata
        } else {
            Self::ForMcp
        }
    }
}

impl Reject {
    /// A cursor that this gateway did not give, or not for this list.
    pub(super) const FOREIGN_CURSOR: Self = Self::Params("params.cursor is not one that this gateway gave");

    /// One word for logs and metrics.
    pub(super) const fn reason(&self) -> &'static str {
        match self {
            Self::Envelope(EnvelopeError::NotJson) => "parse_error",
            Self::Envelope(EnvelopeError::TooDeep(_)) => "too_deep",
            Self::Envelope(
                EnvelopeError::Batch
                | EnvelopeError::NotAnObject
                | EnvelopeError::DuplicateKey(_)
                | EnvelopeError::WrongType(_),
            ) => "invalid_request",
            Self::Params(_) => "invalid_params",
            Self::RequestState(error) => error.reason(),
            Self::Meta(_) => "meta_missing",
            Self::BodyTooLarge(_) => "body_too_large",
            Self::HeadersTooLarge(_) => "headers_too_large",
            Self::TooSlow => "too_slow",
            Self::NoRoom => "bodies_full",
            Self::MediaType(_) => "media_type",
            Self::Unauthenticated(Shown::Nothing, _) => "unauthenticated",
            Self::Unauthenticated(Shown::Useless, _) => "invalid_credential",
            Self::Unauthenticated(Shown::Lapsed, _) => "keys_lapsed",
            Self::Unauthenticated(Shown::Retired, _) => "key_retired",
            Self::Scopes(_) => "insufficient_scope",
            Self::Attempts(_) => "too_many_attempts",
            Self::Forbidden(_) => "foreign_host_or_origin",
            Self::NoEndpoint(_) => "no_endpoint",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::SessionIdMissing => "session_id_missing",
            Self::SessionNotFound(word) => word,
            Self::VersionHeader | Self::Version(_) => "unsupported_version",
            Self::HeaderMismatch(_) => "header_mismatch",
            Self::TasksUndeclared => "capability_missing",
            Self::UnknownMethod(_) => "unknown_method",
            Self::UnknownTool(_) => "unknown_tool",
            Self::UnknownPrompt(_) => "unknown_prompt",
            Self::UnknownTask(_) => "unknown_task",
            Self::UnknownResource(..) => "unknown_resource",
            Self::Denied(..) => "denied",
            Self::Upstream(trouble, _) | Self::Unreached(trouble, _) => trouble.reason(),
            Self::Input(input) => input.reason(),
            Self::RateLimited(_) => "rate_limited",
            Self::NotCounted => "not_counted",
            Self::Crowded(Kind::CallsPerSession) => "calls_per_session",
            Self::Crowded(Kind::CallsPerPrincipal) => "calls_per_principal",
            Self::Crowded(Kind::StreamsPerPrincipal) => "streams_per_principal",
            Self::SessionsFull => "sessions_full",
            Self::NotWritten => "state_not_written",
            Self::Refused(Refusal::Draining) => "draining",
            Self::Refused(Refusal::TooManyStreams) => "streams_full",
            Self::Wiring(_) => "wiring",
        }
    }

    /// HTTP status.
    pub(super) const fn status(&self) -> u16 {
        match self {
            Self::Envelope(_)
            | Self::Meta(_)
            | Self::SessionIdMissing
            | Self::VersionHeader
            | Self::Version(_)
            | Self::HeaderMismatch(_)
            | Self::TasksUndeclared => 400,
            Self::Params(_)
            | Self::RequestState(_)
            | Self::UnknownMethod(Era::Legacy)
            | Self::UnknownTool(_)
            | Self::UnknownPrompt(_)
            | Self::UnknownTask(_)
            | Self::UnknownResource(..)
            | Self::Denied(..)
            | Self::Upstream(..)
            | Self::Input(_) => 200,
            Self::BodyTooLarge(_) => 413,
            Self::HeadersTooLarge(_) => 431,
            Self::RateLimited(_) | Self::Crowded(Kind::CallsPerSession | Kind::CallsPerPrincipal) => 429,
            Self::TooSlow => 408,
            Self::MediaType(_) => 415,
            Self::Unauthenticated(..) => 401,
            Self::Forbidden(_) | Self::Scopes(_) => 403,
            Self::Attempts(_) => 429,
            Self::MethodNotAllowed => 405,
            Self::SessionNotFound(_) | Self::NoEndpoint(Looking::ForMetadata) | Self::UnknownMethod(Era::Modern) => 404,
            Self::Unreached(Trouble::Failed(UpstreamFailure::TimedOut), _) => 504,
            Self::Unreached(Trouble::Caller(lack), _) if lack.is_of_caller() => 403,
            Self::NoEndpoint(Looking::ForMcp)
            | Self::NoRoom
            | Self::SessionsFull
            | Self::NotWritten
            | Self::Unreached(..)
            | Self::NotCounted
            | Self::Crowded(Kind::StreamsPerPrincipal)
            | Self::Refused(_)
            | Self::Wiring(_) => 503,
        }
    }

    /// JSON-RPC error code.
    pub(super) const fn code(&self) -> Code {
        match self {
            Self::Envelope(EnvelopeError::NotJson | EnvelopeError::TooDeep(_)) => Code::PARSE,
            Self::Envelope(
                EnvelopeError::Batch
                | EnvelopeError::NotAnObject
                | EnvelopeError::DuplicateKey(_)
                | EnvelopeError::WrongType(_),
            )
            | Self::BodyTooLarge(_)
            | Self::HeadersTooLarge(_)
            | Self::TooSlow
            | Self::MediaType(_)
            | Self::Unauthenticated(..)
            | Self::Forbidden(_)
            | Self::NoEndpoint(Looking::ForMetadata)
            | Self::MethodNotAllowed
            | Self::SessionIdMissing
            | Self::VersionHeader => Code::INVALID_REQUEST,
            Self::Params(_)
            | Self::RequestState(_)
            | Self::Meta(_)
            | Self::UnknownTool(_)
            | Self::UnknownPrompt(_)
            | Self::UnknownTask(_) => Code::INVALID_PARAMS,
            Self::UnknownResource(Era::Legacy, _) => Code::RESOURCE_NOT_FOUND,
            Self::UnknownResource(Era::Modern, _) => Code::INVALID_PARAMS,
            Self::SessionNotFound(_) => Code::SESSION_NOT_FOUND,
            Self::Version(_) => Code::UNSUPPORTED_VERSION,
            Self::HeaderMismatch(_) => Code::HEADER_MISMATCH,
            Self::TasksUndeclared => Code::MISSING_CAPABILITY,
            Self::UnknownMethod(_) => Code::METHOD_NOT_FOUND,
            Self::Denied(..) | Self::Scopes(_) => Code::DENIED,
            Self::Attempts(_) => Code::RATE_LIMITED,
            Self::RateLimited(_) | Self::Crowded(Kind::CallsPerSession | Kind::CallsPerPrincipal) => Code::RATE_LIMITED,
            Self::Upstream(trouble, _) | Self::Unreached(trouble, _) => trouble.code(),
            Self::Input(input) => input.code(),
            Self::NoEndpoint(Looking::ForMcp)
            | Self::NoRoom
            | Self::SessionsFull
            | Self::NotWritten
            | Self::NotCounted
            | Self::Crowded(Kind::StreamsPerPrincipal)
            | Self::Refused(_)
            | Self::Wiring(_) => Code::GATEWAY_UNAVAILABLE,
        }
    }
}
