//! The facts of one exchange, for one audit line and the metrics. Plain data.

pub(super) mod observe;
pub(super) mod trace;

use std::borrow::Cow;
use std::sync::Arc;

/// What one exchange was and how it ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// Method or notification name; `None` if the body was never understood.
    pub method: Option<Cow<'static, str>>,
    /// The method is one we know: safe as a metric label.
    pub known: Option<crate::engine::mcp::Method>,
    /// Exposed name of tool, prompt, or the resource URI.
    pub tool: Option<Arc<str>>,
    /// That name is one that an upstream lists for everybody: safe as a metric label.
    pub listed: bool,
    /// Configured name.
    pub upstream: Option<Arc<str>>,
    /// First 8 bytes of the SHA-256 of the session id, hex.
    pub session: Option<Arc<str>>,
    /// Era of the client.
    pub era: Option<crate::engine::mcp::Era>,
    /// Revision that the client speaks; `None`: it does not say.
    pub version: Option<crate::engine::mcp::Version>,
    /// Revision spoken with the upstream.
    pub spoken: Option<crate::engine::mcp::Version>,
    /// How it was handled.
    pub way: Way,
    /// HTTP status, as far as seen.
    pub status: u16,
    /// JSON-RPC error code of an answer that we made.
    pub code: Option<i32>,
    /// Why it was refused, one word.
    pub reason: Option<&'static str>,
    /// Bytes of the request body.
    pub bytes_in: usize,
    /// Bytes of the answer's body; 0 for forwards whose answer does not pass here.
    pub bytes_out: usize,
    /// The upstream session was lost and the call replayed.
    pub replayed: bool,
    /// The session whose upstream sessions it used, and how often it asked for one.
    pub tied: Option<(crate::engine::session::SessionKey, u32)>,
    /// Who calls; `None`: anonymous.
    pub principal: Option<Arc<str>>,
    /// The rule that decided, of `policies` or `rateLimits`.
    pub rule: Option<Arc<str>>,
    /// Client address, without port.
    pub client: Option<Box<str>>,
    /// What a tool or prompt was called with, where that is to be written down.
    pub arguments: Option<Box<Arguments>>,
    /// Whether the tool says that it failed; `None`: its answer does not pass here, or is no result of a tool.
    pub is_error: Option<bool>,
    /// Its place in a trace that is kept.
    pub trace: Option<Box<trace::Traced>>,
}

/// What is written down of arguments.
#[derive(Clone, PartialEq, Eq)]
pub enum Arguments {
    /// The SHA-256 of their bytes.
    Hash([u8; 32]),
    /// The bytes themselves.
    Full {
        /// JSON, or its beginning.
        text: Box<str>,
        /// It is all of it.
        whole: bool,
    },
}

impl std::fmt::Debug for Arguments {
    /// Arguments are for audit lines alone.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("(not shown)")
    }
}

/// The three ways to handle an exchange.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Way {
    /// Nothing was decided (the client left early).
    #[default]
    Undecided,
    /// Out of memory.
    Answer,
    /// Through Envoy.
    Forward,
    /// By the processor.
    Relay,
    /// An error of ours.
    Reject,
}

impl Way {
    /// For labels and audit lines.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Undecided => "undecided",
            Self::Answer => "answer",
            Self::Forward => "forward",
            Self::Relay => "relay",
            Self::Reject => "reject",
        }
    }
}
