//! What every refusal must look like, and that it is counted.

use super::gateway::Gateway;
use super::http::Response;
use serde_json::Value;

/// A JSON-RPC error of ours: status, code, and the caller's id byte for byte.
pub(crate) fn refused(what: &str, response: &Response, status: u16, code: i64, id: &str) -> Value {
    assert_eq!(response.status, status, "{what}: {response:?}\n{}", response.text());
    assert_eq!(response.media(), "application/json", "{what}: {response:?}");
    let text = response.text();
    let message = response.message();
    assert_eq!(message["jsonrpc"], "2.0", "{what}: {text}");
    assert_eq!(message["error"]["code"], code, "{what}: {text}");
    let own = message["error"]["message"].as_str().unwrap_or_default();
    assert!(!own.is_empty(), "{what}: the message says something: {text}");
    assert!(
        text.contains(&format!(r#""id":{id},"#)),
        "{what}: the id is {id}: {text}"
    );
    message
}

/// A JSON-RPC result under the caller's id.
pub(crate) fn answered(what: &str, response: &Response, id: &str) -> Value {
    assert_eq!(response.status, 200, "{what}: {response:?}\n{}", response.text());
    let text = response.text();
    let message = response.message();
    assert!(message.get("result").is_some(), "{what}: {text}");
    assert!(
        text.contains(&format!(r#""id":{id}"#)),
        "{what}: the id is {id}: {text}"
    );
    message
}

/// The gateway counts refusals for this reason.
pub(crate) async fn counted(gateway: &Gateway, reason: &str) {
    let metrics = gateway.ask("/metrics").await.text();
    let line = format!("mcp_manifold_rejects_total{{reason=\"{reason}\"}}");
    assert!(metrics.contains(&line), "{line} in {metrics}");
}
