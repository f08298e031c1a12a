//! Events that upstreams send while a call runs, each as a chunk of its stream.

use bytes::Bytes;
use mcp_manifold::engine::call::Inspector;

/// Name and wire form.
const SHORT: [(&str, &str); 4] = [
    ("comment", ": keep-alive\n\n"),
    (
        "progress",
        "event: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":17,\"progress\":1,\"total\":3}}\n\n",
    ),
    (
        "result",
        "event: message\nid: 7\ndata: {\"jsonrpc\":\"2.0\",\"id\":17,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"a \\\"b\\\" \\u00e9\"}]}}\n\n",
    ),
    (
        "request",
        "event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"elicitation/create\",\"params\":{\"mode\":\"form\",\"message\":\"who?\",\"requestedSchema\":{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\"}}}}}\n\n",
    ),
];

/// The event of that name; the large one is a result of 1 MiB.
pub(crate) fn chunk(name: &str) -> Option<Bytes> {
    if name == "large" {
        let text = "x".repeat(1 << 20);
        return Some(
            format!("data: {{\"jsonrpc\":\"2.0\",\"id\":17,\"result\":{{\"content\":\"{text}\"}}}}\n\n").into(),
        );
    }
    let (_, wire) = SHORT.iter().find(|(known, _)| *known == name)?;
    Some(Bytes::from_static(wire.as_bytes()))
}

/// What looks at a stream.
pub(crate) fn inspector() -> Inspector {
    Inspector::new("github".into())
}
