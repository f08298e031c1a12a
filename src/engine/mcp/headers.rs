//! HTTP headers of MCP: names, and the base64 form of SEP-2243 values. (Interface first; body to come.)

use std::borrow::Cow;

/// `mcp-session-id`
pub const SESSION_ID: &str = "mcp-session-id";
/// `mcp-protocol-version`
pub const PROTOCOL_VERSION: &str = "mcp-protocol-version";
/// `mcp-method` (SEP-2243)
pub const METHOD: &str = "mcp-method";
/// `mcp-name` (SEP-2243)
pub const NAME: &str = "mcp-name";

/// The text a header value stands for: plain, or `=?base64?...?=`. `None` if the base64 form is broken or not UTF-8.
#[must_use]
pub fn decode_value(_value: &[u8]) -> Option<Cow<'_, str>> {
    unimplemented!()
}

/// `text` as a header value: plain where a header may carry it as it is, else `=?base64?...?=`.
#[must_use]
pub fn encode_value(_text: &str) -> String {
    unimplemented!()
}
