//! Why an upstream could not be opened, listed or asked, in words for people and in the words of status and calls.

use crate::edge::http::HttpError;
use crate::engine::exchange::event::UpstreamFailure;
use crate::engine::mcp::Version;
use crate::engine::status::Reason;

/// An upstream did not do what was asked of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// No answer at all.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// 401 or 403.
    #[error("{}", status_words(*.0))]
    Unauthorized(u16),
    /// Any other 4xx, or a JSON-RPC error in any status below 500.
    #[error("{method} was refused: {}", refusal_words(*.status, *.code, .message))]
    Refused {
        /// What was asked.
        method: &'static str,
        /// HTTP status.
        status: u16,
        /// JSON-RPC error code, if there was one.
        code: Option<i64>,
        /// What the upstream said, cut and made printable; may be empty.
        message: String,
    },
    /// 5xx.
    #[error("answered {} to {method}", status_words(*.status))]
    Broken {
        /// What was asked.
        method: &'static str,
        /// HTTP status.
        status: u16,
    },
    /// 3xx: the credential goes nowhere else.
    #[error("redirects to {0}, which is not followed")]
    Redirects(String),
    /// The answer is not MCP.
    #[error("{0}")]
    NotMcp(String),
    /// A protocol version that this gateway does not speak.
    #[error("answered protocol version {0:?}, which this gateway does not speak")]
    Version(String),
    /// `server/discover` was answered without any version from 2026-07-28 on.
    #[error("server/discover names no modern version")]
    NoModernVersion,
    /// -32022: not the version of the request, but this one.
    #[error("{method} was refused: it speaks {}", .speaks.as_str())]
    OtherVersion {
        /// What was asked.
        method: &'static str,
        /// The newest of those it named that this gateway speaks.
        speaks: Version,
    },
    /// `eras` leaves this era out.
    #[error("not asked, see eras")]
    NotAsked,
}

impl Failure {
    /// For status.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Http(error) => error.reason(),
            Self::Unauthorized(_) => Reason::Unauthorized,
            Self::Broken { .. } => Reason::Unreachable,
            Self::Refused { .. }
            | Self::Redirects(_)
            | Self::NotMcp(_)
            | Self::Version(_)
            | Self::NoModernVersion
            | Self::OtherVersion { .. }
            | Self::NotAsked => Reason::ProtocolError,
        }
    }

    /// For the client of a call.
    #[must_use]
    pub const fn failure(&self) -> UpstreamFailure {
        match self {
            Self::Http(error) => error.failure(),
            Self::Unauthorized(_) => UpstreamFailure::Unauthorized,
            Self::Broken { .. } => UpstreamFailure::Unreachable,
            Self::Refused { .. }
            | Self::Redirects(_)
            | Self::NotMcp(_)
            | Self::Version(_)
            | Self::NoModernVersion
            | Self::OtherVersion { .. }
            | Self::NotAsked => UpstreamFailure::Garbage,
        }
    }

    /// What an operator may do about it.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::Http(HttpError::Unreachable(_)) => "is it running, and are host and port of url right?",
            Self::Http(HttpError::ConnectTimedOut(_)) => {
                "is the host reachable from here, or timeout.connect too short?"
            }
            Self::Http(HttpError::TimedOut(_)) => "is it overloaded, or timeout.list too short?",
            Self::Http(HttpError::BrokenOff(_)) => "is it an HTTP server that stays up?",
            Self::Http(HttpError::TooLarge(_)) => "does it list more than a gateway can hold?",
            Self::Http(HttpError::NotSse(_)) => {
                "is url its event stream? A Streamable HTTP server needs no protocol: sse"
            }
            Self::Http(HttpError::Unspoken(_)) => "its caller has nothing to show there",
            Self::Http(HttpError::SecretMissing(_)) => "it is read again by itself once it is there",
            Self::Unauthorized(_) => "check its credential",
            Self::Refused { status: 405, .. } => "is url the MCP endpoint? An HTTP+SSE server needs protocol: sse",
            Self::Refused { .. } | Self::NotMcp(_) => "is url the MCP endpoint, path included?",
            Self::Broken { .. } => "see its own log",
            Self::Redirects(_) => "put the final address into url",
            Self::OtherVersion { .. } | Self::NotAsked => "does eras leave out what it speaks?",
            Self::Version(_) | Self::NoModernVersion => "a newer build of server or gateway is needed",
        }
    }

    /// The failure and what to do about it, one line.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{self}; {}", self.advice())
    }

    /// The upstream understood HTTP and said no: it does not speak the era that was tried. Everything else says nothing
    /// about eras (reference: fallback rules).
    #[must_use]
    pub const fn not_spoken(&self) -> bool {
        match self {
            Self::Refused { .. }
            | Self::Version(_)
            | Self::NoModernVersion
            | Self::OtherVersion { .. }
            | Self::NotAsked => true,
            Self::Http(_) | Self::Unauthorized(_) | Self::Broken { .. } | Self::Redirects(_) | Self::NotMcp(_) => false,
        }
    }

    /// What a request in a session meets when the upstream does not know that session (any more). Some servers say 400.
    #[must_use]
    pub const fn session_may_be_lost(&self) -> bool {
        matches!(self, Self::Refused { status: 400 | 404, .. })
    }

    /// JSON-RPC "method not found".
    #[must_use]
    pub const fn is_unknown_method(&self) -> bool {
        matches!(self, Self::Refused { code: Some(-32601), .. })
    }
}

fn status_words(status: u16) -> String {
    let code = http::StatusCode::from_u16(status).ok();
    match code.and_then(|code| code.canonical_reason()) {
        Some(words) => format!("{status} {words}"),
        None => status.to_string(),
    }
}

fn refusal_words(status: u16, code: Option<i64>, message: &str) -> String {
    let mut words = if status < 300 {
        String::new()
    } else {
        status_words(status)
    };
    if let Some(code) = code {
        let gap = if words.is_empty() { "" } else { ", " };
        words = format!("{words}{gap}error {code}");
    }
    if !message.is_empty() {
        words = format!("{words} ({message})");
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_refused(status: u16, code: Option<i64>, message: &str) -> Failure {
        Failure::Refused {
            method: "initialize",
            status,
            code,
            message: message.to_owned(),
        }
    }

    #[test]
    fn a_line_says_what_and_what_to_do() {
        assert_eq!(
            Failure::Unauthorized(401).line(),
            "401 Unauthorized; check its credential"
        );
        assert_eq!(
            mk_refused(404, None, "").line(),
            "initialize was refused: 404 Not Found; is url the MCP endpoint, path included?"
        );
        assert_eq!(
            mk_refused(200, Some(-32600), "no").to_string(),
            "initialize was refused: error -32600 (no)"
        );
        assert_eq!(
            mk_refused(400, Some(-32000), "no").to_string(),
            "initialize was refused: 400 Bad Request, error -32000 (no)"
        );
    }

    #[test]
    fn only_a_clear_no_speaks_about_eras() {
        assert!(mk_refused(400, None, "").not_spoken());
        assert!(!Failure::Unauthorized(401).not_spoken());
        assert!(
            !Failure::Broken {
                method: "server/discover",
                status: 503
            }
            .not_spoken()
        );
    }
}
