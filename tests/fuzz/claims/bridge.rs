//! Whatever a modern upstream answers, a legacy client gets one JSON message with its own id, or none; whatever a client
//! asks stays what it was but for what introduces it.

use bytes::Bytes;
use mcp_manifold::engine::era::bridge::up::{Answer, Asked, read};
use mcp_manifold::engine::era::modern::{Introduction, request::introduce};
use mcp_manifold::engine::mcp::{Method, Version, meta};
use serde_json::Value;

const METHODS: [Method; 4] = [
    Method::ToolsCall,
    Method::PromptsGet,
    Method::ResourcesRead,
    Method::Complete,
];
const OURS: [&str; 4] = [
    meta::PROTOCOL_VERSION,
    meta::CLIENT_CAPABILITIES,
    meta::CLIENT_INFO,
    meta::LOG_LEVEL,
];

pub(crate) fn check(input: (u8, &[u8])) {
    let method = METHODS[usize::from(input.0) % METHODS.len()];
    let message = Bytes::copy_from_slice(input.1);
    // Half of a surrogate pair passes as it is, but is no text that this test could compare.
    let Ok(mut before) = serde_json::from_slice::<Value>(&message) else {
        return;
    };
    if let Answer::Final { message, .. } = read(&message, Asked { method, id: b"\"own\"" }) {
        let seen: Value = serde_json::from_slice(&message).expect("what was JSON stays JSON");
        assert_eq!(seen["id"], "own");
        assert!(seen["result"].get("resultType").is_none());
    }
    let sender = Introduction {
        version: Version::NEWEST,
        capabilities: "{}",
        info: "{}",
        level: Some("info"),
    };
    if let Some(request) = introduce(&message, &sender, None) {
        let mut after: Value = serde_json::from_slice(&request).expect("what was JSON stays JSON");
        for tree in [&mut before, &mut after] {
            if let Some(meta) = tree.pointer_mut("/params/_meta").and_then(Value::as_object_mut) {
                meta.retain(|key, _| !OURS.contains(&key.as_str()));
            }
        }
        if before["params"].get("_meta").is_none() {
            after["params"].as_object_mut().expect("it has some").remove("_meta");
        }
        assert_eq!(before, after);
    }
}
