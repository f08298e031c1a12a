//! A stream whose task ids are rewritten is the same however it is cut, and without task ids it is as any inspected one; a
//! task id that was exposed is revealed; a cursor that is read is written the same.

use bytes::Bytes;
use mcp_manifold::engine::call::{Inspector, Message, task};

pub(crate) fn check(input: (u8, &[u8])) {
    let (size, wire) = (usize::from(input.0) + 1, input.1);
    let whole = pass(Inspector::with_tasks("up".into()), wire, wire.len() + 1);
    assert_eq!(pass(Inspector::with_tasks("up".into()), wire, size), whole);
    let has = |needle: &[u8]| wire.windows(needle.len()).any(|window| window == needle);
    if !has(b"\"taskId\"") && !has(b"\\u") {
        assert_eq!(pass(Inspector::new("up".into()), wire, wire.len() + 1), whole);
    }
    if let Some(message) = Message::read(wire) {
        let _ = task::to_upstream("up", &message);
        if let Some(seen) = task::to_client("up", &message) {
            assert!(Message::read(&seen).is_some());
        }
    }
    if let Ok(text) = std::str::from_utf8(wire) {
        if let Some((upstream, id)) = task::reveal(text) {
            let exposed: String = serde_json::from_slice(&task::expose(upstream, id)).expect("a JSON string");
            assert_eq!(exposed, text);
        }
        if let Some(cursors) = task::Cursors::read(text) {
            assert_eq!(task::Cursors::read(&cursors.write()), Some(cursors));
        }
    }
}

fn pass(mut inspector: Inspector, wire: &[u8], size: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for chunk in wire.chunks(size) {
        out.extend_from_slice(&inspector.pass(&Bytes::copy_from_slice(chunk)));
    }
    out.extend_from_slice(&inspector.rest());
    out
}
