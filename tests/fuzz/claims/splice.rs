//! A spliced name is read back as it was given, and every other byte is the same.

use bytes::Bytes;
use mcp_manifold::engine::jsonrpc::Envelope;
use mcp_manifold::engine::jsonrpc::splice::{Splice, quote};

pub(crate) fn check(input: (&str, &[u8])) {
    let (name, body) = (input.0, Bytes::copy_from_slice(input.1));
    let Ok(envelope) = Envelope::scan(&body, 64) else {
        return;
    };
    let Some(raw) = envelope.params.raw("name") else { return };
    let span = envelope.span(raw);
    let edits = vec![(span.clone(), quote(name))];
    let edited = Splice { edits }.apply(&body);

    let again = Envelope::scan(&edited, 64).expect("still an envelope");
    assert_eq!(again.params.string("name").as_deref(), Some(name));
    assert_eq!(again.shape, envelope.shape);
    assert_eq!(edited[..span.start], body[..span.start]);
    assert!(edited.ends_with(&body[span.end..]));
}
