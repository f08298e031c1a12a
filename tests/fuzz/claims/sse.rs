//! Events are the same however the stream is cut, and what is encoded is decoded.

use mcp_manifold::engine::sse::{Decoder, EventTooLarge, SseEvent, encode};

const LIMIT: usize = 512;

pub(crate) fn check(input: (u8, &[u8])) {
    let (size, wire) = (usize::from(input.0) + 1, input.1);
    let Ok(events) = decode(wire, wire.len() + 1, LIMIT) else {
        assert!(decode(wire, size, LIMIT).is_err());
        return;
    };
    assert_eq!(decode(wire, size, LIMIT).as_deref(), Ok(&events[..]));
    for event in events {
        let normal = encode(&event);
        let again = decode(&normal, size, usize::MAX).expect("no limit");
        assert_eq!(again, [event]);
    }
}

fn decode(wire: &[u8], size: usize, limit: usize) -> Result<Vec<SseEvent>, EventTooLarge> {
    let mut decoder = Decoder::default();
    let fed: Result<Vec<_>, _> = wire.chunks(size).map(|chunk| decoder.feed(chunk, limit)).collect();
    fed.map(|events| events.concat())
}
