//! Why an HTTP exchange with an upstream failed, in words for people.

use crate::engine::exchange::event::UpstreamFailure;
use crate::engine::policy::delegate::Lack;
use crate::engine::status::Reason;
use std::error::Error;
use std::io::ErrorKind;
use std::time::Duration;

/// Why there is no complete response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// Refused, no such name, no route, TLS failed.
    #[error("{0}")]
    Unreachable(String),
    /// TCP and TLS took longer than `timeout.connect`.
    #[error("no connection within {}", humantime::format_duration(*.0))]
    ConnectTimedOut(Duration),
    /// Response headers, or the next piece of a body, took longer than this.
    #[error("no answer within {}", humantime::format_duration(*.0))]
    TimedOut(Duration),
    /// The connection ended before the response did.
    #[error("connection broke off: {0}")]
    BrokenOff(String),
    /// The response body exceeds this many bytes.
    #[error("answer is larger than {0} bytes")]
    TooLarge(usize),
    /// What was to be an HTTP+SSE server does not behave like one.
    #[error("{0}")]
    NotSse(String),
    /// Nothing was sent: the credential's value is not at this place.
    #[error("its credential is missing: {0}")]
    SecretMissing(String),
    /// Nothing was sent: nothing speaks for the caller.
    #[error("nothing speaks for its caller: {}", .0.reason())]
    Unspoken(Lack),
}

impl HttpError {
    /// What a call that met this tells its client.
    #[must_use]
    pub const fn failure(&self) -> UpstreamFailure {
        match self {
            Self::Unreachable(_) | Self::BrokenOff(_) => UpstreamFailure::Unreachable,
            Self::ConnectTimedOut(_) | Self::TimedOut(_) => UpstreamFailure::TimedOut,
            Self::TooLarge(_) | Self::NotSse(_) => UpstreamFailure::Garbage,
            Self::SecretMissing(_) | Self::Unspoken(_) => UpstreamFailure::Unauthorized,
        }
    }

    /// What status says of an upstream that failed so.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Unreachable(_) | Self::BrokenOff(_) => Reason::Unreachable,
            Self::ConnectTimedOut(_) | Self::TimedOut(_) => Reason::Timeout,
            Self::TooLarge(_) | Self::NotSse(_) => Reason::ProtocolError,
            Self::SecretMissing(_) | Self::Unspoken(_) => Reason::SecretMissing,
        }
    }

    /// From an error of the HTTP client, before response headers.
    pub(super) fn of_request(error: &hyper_util::client::legacy::Error) -> Self {
        if error.is_connect() {
            Self::of_connector(error)
        } else {
            Self::BrokenOff(words(error))
        }
    }

    /// From an error of the connector.
    pub(super) fn of_connector(error: &(dyn Error + 'static)) -> Self {
        match cause::<super::connect::TooSlow>(error) {
            Some(limit) => Self::ConnectTimedOut(limit.0),
            None => Self::Unreachable(words(error)),
        }
    }

    /// From an error of an exchange that lasts.
    pub(super) fn of_lasting(error: &super::lasting::LastingError) -> Self {
        Self::BrokenOff(words(error))
    }

    /// From an error inside a response body.
    pub(super) fn of_body(error: &hyper::Error) -> Self {
        Self::BrokenOff(words(error))
    }
}

type Cause = dyn Error + 'static;

/// The error and its causes, the innermost last.
fn chain(error: &Cause) -> impl Iterator<Item = &Cause> {
    std::iter::successors(Some(error), |error| (**error).source())
}

/// The first error of type `E` in the chain.
fn cause<E: Error + 'static>(error: &Cause) -> Option<&E> {
    chain(error).find_map(<Cause>::downcast_ref)
}

/// The words that tell most: of the system or of TLS where they are in the chain, else of the innermost error.
fn words(error: &Cause) -> String {
    if let Some(io) = cause::<std::io::Error>(error) {
        return io_words(io);
    }
    chain(error).last().unwrap_or(error).to_string()
}

fn io_words(error: &std::io::Error) -> String {
    // `source` of an I/O error passes over the error that it wraps.
    if let Some(inner) = error.get_ref() {
        if let Some(tls) = inner.downcast_ref::<rustls::Error>() {
            return format!("TLS failed: {tls}");
        }
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            return io_words(io);
        }
    }
    let text = error.to_string();
    if text.contains("lookup address") {
        return "host name is not known".to_owned();
    }
    // std's enum is open.
    #[expect(clippy::wildcard_enum_match_arm, reason = "a foreign, open enum")]
    match error.kind() {
        ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => "connection reset".to_owned(),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => "no route to host".to_owned(),
        _ => text,
    }
}
