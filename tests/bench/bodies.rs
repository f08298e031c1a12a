//! Calls with arguments of any size, and what forwarding does to them.

use bytes::Bytes;
use mcp_manifold::engine::jsonrpc::Envelope;
use mcp_manifold::engine::jsonrpc::splice::{Splice, quote};

/// As `limits.depth` is by default.
pub(crate) const DEPTH: u32 = 128;

/// What forwarding does to a body: finds the tool's name and replaces it. `None` if it is no call.
pub(crate) fn rename(body: &Bytes, name: &str) -> Option<Bytes> {
    let envelope = Envelope::scan(body, DEPTH).ok()?;
    let span = envelope.span(envelope.params.raw("name")?);
    let edits = vec![(span, quote(name))];
    Some(Splice { edits }.apply(body))
}

/// A call with `argument`, a JSON value.
pub(crate) fn call(argument: &str) -> Bytes {
    let call =
        r#"{"jsonrpc":"2.0","id":17,"method":"tools/call","params":{"name":"github_search","arguments":{"query":"#;
    Bytes::from(format!(r#"{call}{argument}}},"_meta":{{"progressToken":17}}}}}}"#))
}

/// A JSON string of `length` characters.
pub(crate) fn text(length: usize) -> String {
    format!("\"{}\"", "x".repeat(length))
}

/// A JSON array of about `length` bytes.
pub(crate) fn rows(length: usize) -> String {
    let row = r#"{"id":12345,"tags":["a","b"],"ok":true,"text":"some words"},"#;
    format!("[{}null]", row.repeat(length / row.len()))
}
