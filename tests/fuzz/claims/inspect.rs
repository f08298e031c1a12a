//! An inspected stream is the same however it is cut; where nothing asks the client, it is the stream as it came; an id
//! that was exposed is revealed.

use bytes::Bytes;
use mcp_manifold::engine::call::{Inspector, id};

pub(crate) fn check(input: (u8, &[u8])) {
    let (size, wire) = (usize::from(input.0) + 1, input.1);
    let whole = inspect(wire, wire.len() + 1);
    assert_eq!(inspect(wire, size), whole);
    let asks = |needle: &[u8]| wire.windows(needle.len()).any(|window| window == needle);
    if !asks(b"\"method\"") && !asks(b"\\u") {
        assert_eq!(whole, wire);
    }
    if let Ok(token) = std::str::from_utf8(wire)
        && let Some((upstream, raw)) = id::reveal(token)
    {
        let exposed = id::expose(&upstream, &raw);
        let again = std::str::from_utf8(&exposed).expect("JSON is text");
        assert_eq!(id::reveal(again), Some((upstream, raw)));
    }
}

fn inspect(wire: &[u8], size: usize) -> Vec<u8> {
    let mut inspector = Inspector::new("up".into());
    let mut out = Vec::new();
    for chunk in wire.chunks(size) {
        out.extend_from_slice(&inspector.pass(&Bytes::copy_from_slice(chunk)));
    }
    out.extend_from_slice(&inspector.rest());
    out
}
