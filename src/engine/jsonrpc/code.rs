//! Error codes: JSON-RPC's own, those MCP defines, and ours.
//!
//! -32000 to -32019 must not be allocated, -32020 to -32099 belong to MCP, -31010 to -31014 are this gateway's.

/// A JSON-RPC error code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Code(pub i32);

impl Code {
    /// The body is not JSON.
    pub const PARSE: Self = Self(-32700);
    /// The body is not a request.
    pub const INVALID_REQUEST: Self = Self(-32600);
    /// No such method.
    pub const METHOD_NOT_FOUND: Self = Self(-32601);
    /// Missing or wrong parameters; also an unknown tool or prompt.
    pub const INVALID_PARAMS: Self = Self(-32602);
    /// Used only with HTTP 404 for a dead gateway session, as SDKs do.
    pub const SESSION_NOT_FOUND: Self = Self(-32001);
    /// MCP up to 2025-11-25: resource not found.
    pub const RESOURCE_NOT_FOUND: Self = Self(-32002);
    /// MCP 2026-07-28 (SEP-2243): header and body disagree.
    pub const HEADER_MISMATCH: Self = Self(-32020);
    /// MCP 2026-07-28: the request needs a capability that its client did not declare.
    pub const MISSING_CAPABILITY: Self = Self(-32021);
    /// MCP 2026-07-28: the protocol version is not supported.
    pub const UNSUPPORTED_VERSION: Self = Self(-32022);
    /// Ours: the upstream cannot be reached, or answered something that is not MCP.
    pub const UPSTREAM_UNAVAILABLE: Self = Self(-31010);
    /// Ours: denied by policy.
    pub const DENIED: Self = Self(-31011);
    /// Ours: rate limited.
    pub const RATE_LIMITED: Self = Self(-31012);
    /// Ours: the upstream did not answer in time.
    pub const UPSTREAM_TIMEOUT: Self = Self(-31013);
    /// Ours: the gateway is full, draining, or wired in a way that cannot serve this.
    pub const GATEWAY_UNAVAILABLE: Self = Self(-31014);
}
