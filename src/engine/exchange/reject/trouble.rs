//! What may be wrong with an upstream, and how that is told.

use crate::engine::exchange::event::UpstreamFailure;
use crate::engine::jsonrpc::Code;
use crate::engine::policy::delegate::Lack;
use crate::engine::snapshot::Upstream;

/// The reason in records where an upstream has answered 401 or 403.
pub const UPSTREAM_UNAUTHORIZED: &str = "upstream_unauthorized";

/// What is wrong with an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine::exchange) enum Trouble {
    /// While calling it.
    Failed(UpstreamFailure),
    /// Never listed in the client's era.
    NotListed,
    /// Switched off.
    Disabled,
    /// Its credential is missing.
    SecretMissing,
    /// It answered an HTTP error that says nothing to an MCP client.
    Status(u16),
    /// It refused the version or the headers that the gateway chose.
    Refused,
    /// Nothing speaks for the caller there.
    Caller(Lack),
    /// It refused what spoke for the caller.
    CallerRefused,
}

impl Trouble {
    /// The same, where callers have credentials of their own at `upstream`: the gateway's was not seen there.
    pub(in crate::engine::exchange) fn at(self, upstream: &Upstream) -> Self {
        let of_caller = upstream
            .delegate
            .as_ref()
            .is_some_and(|delegate| delegate.has_credential());
        if of_caller && self == Self::Failed(UpstreamFailure::Unauthorized) {
            Self::CallerRefused
        } else {
            self
        }
    }

    pub(super) const fn code(self) -> Code {
        match self {
            Self::Failed(UpstreamFailure::TimedOut) => Code::UPSTREAM_TIMEOUT,
            Self::Failed(UpstreamFailure::Unreachable | UpstreamFailure::Unauthorized | UpstreamFailure::Garbage)
            | Self::NotListed
            | Self::Disabled
            | Self::SecretMissing
            | Self::Status(_)
            | Self::Refused
            | Self::CallerRefused => Code::UPSTREAM_UNAVAILABLE,
            Self::Caller(lack) if lack.is_of_caller() => Code::DENIED,
            Self::Caller(_) => Code::UPSTREAM_UNAVAILABLE,
        }
    }

    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Failed(UpstreamFailure::Unreachable) => "is unreachable",
            Self::Failed(UpstreamFailure::TimedOut) => "did not answer in time",
            Self::Failed(UpstreamFailure::Unauthorized) => "refused the gateway's credential",
            Self::Failed(UpstreamFailure::Garbage) => "answered something that is not MCP",
            Self::NotListed => "is not available yet",
            Self::Disabled => "is disabled",
            Self::SecretMissing => "is not available: its credential is missing at the gateway",
            Self::Status(_) => "answered with an error",
            Self::Refused => "refused what the gateway made of the request",
            Self::Caller(lack) => said(lack),
            Self::CallerRefused => "refused the credential of its caller",
        }
    }

    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::Failed(UpstreamFailure::Unreachable) => "upstream_unreachable",
            Self::Failed(UpstreamFailure::TimedOut) => "upstream_timeout",
            Self::Failed(UpstreamFailure::Unauthorized) => UPSTREAM_UNAUTHORIZED,
            Self::Failed(UpstreamFailure::Garbage) => "upstream_garbage",
            Self::NotListed => "upstream_not_listed",
            Self::Disabled => "upstream_disabled",
            Self::SecretMissing => "upstream_secret_missing",
            Self::Status(_) => "upstream_status",
            Self::Refused => "upstream_refused",
            Self::Caller(lack) => lack.reason(),
            Self::CallerRefused => "upstream_unauthorized_caller",
        }
    }
}

const fn said(lack: Lack) -> &'static str {
    match lack {
        Lack::Anonymous => "is called on behalf of known callers only",
        Lack::Claim => "is called with a claim of its caller, which is missing or cannot be sent",
        Lack::Token => "is called with the token of its caller, and none was shown",
        Lack::NotKept => "is called with a credential of its caller, and none is kept for this one",
        Lack::Unreadable => "is called with a credential of its caller, and the one that is kept cannot be sent",
        Lack::Refused => "is called with a token that is made for its caller, and none was made for this one",
        Lack::Unavailable => "is called with a token that is made for its caller, and who makes it does not answer",
    }
}
