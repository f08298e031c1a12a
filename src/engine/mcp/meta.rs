//! Reserved keys of `_meta` (2026-07-28, basic: `_meta`).

/// The revision a request is made in. Required.
pub const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// What the client can, for this request. Required.
pub const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
/// What the client is.
pub const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
/// The lowest level of `notifications/message` that the client wants of this request; absent: none at all.
pub const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
/// What the server is, in a result.
pub const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
