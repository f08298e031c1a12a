//! Whatever is accepted as an envelope is JSON, and its parts are those of the parsed tree.

use mcp_manifold::engine::jsonrpc::{Envelope, Id, Shape};
use serde_json::Value;

pub(crate) fn check(body: &[u8]) {
    let readable = Envelope::readable_id(body);
    let Ok(envelope) = Envelope::scan(body, 64) else { return };
    // The tree of serde_json knows no numbers beyond f64 and no half surrogates; arguments may hold them.
    let Ok(tree) = serde_json::from_slice::<Value>(body) else {
        return;
    };

    let (id, method) = match &envelope.shape {
        Shape::Request { id, method } => (Some(id), Some(method)),
        Shape::Notification { method } => (None, Some(method)),
        Shape::Response { id } => (Some(id), None),
    };
    assert_eq!(tree["method"].as_str(), method.map(AsRef::as_ref));
    assert_eq!(tree.get("id"), id.map(|Id(raw)| value(raw)).as_ref());
    assert_eq!(readable, id.copied(), "the error answer would echo the same id");
    assert_eq!(
        envelope.params.members.len(),
        tree["params"].as_object().map_or(0, serde_json::Map::len)
    );
    for (key, raw) in &envelope.params.members {
        assert_eq!(value(raw), tree["params"][key.as_ref()]);
        assert_eq!(&envelope.text[envelope.span(raw)], *raw);
    }
}

fn value(raw: &str) -> Value {
    serde_json::from_str(raw).expect("members are JSON")
}
