//! Answers out of memory: prepared bytes with the caller's id spliced in.

pub(super) mod page;
pub(super) mod say;

use super::Request;
use super::step::{Answer, Metadata, Reply, SessionRef};
use crate::engine::mcp::capabilities::ClientFlags;
use crate::engine::mcp::{Era, Version};
use crate::engine::session::{Claims, SessionKey, Timestamp};
use crate::engine::snapshot::{Endpoint, Prepared};
use bytes::Bytes;

/// Lists beyond this many bytes are streamed where the wiring can.
pub(super) const LARGE: usize = 4 << 20;
/// Segments are joined, or cut, to chunks of about this many bytes.
const CHUNK: usize = 256 << 10;

const JSON: Bytes = Bytes::from_static(b"application/json");
const BEFORE_ID: Bytes = Bytes::from_static(br#"{"jsonrpc":"2.0","id":"#);
const BEFORE_RESULT: Bytes = Bytes::from_static(br#","result":"#);
const AFTER_RESULT: Bytes = Bytes::from_static(b"}");

/// A new session and its signed id.
pub(super) fn new_session(
    request: &Request,
    version: Version,
    flags: ClientFlags,
    entropy: u128,
    now: Timestamp,
) -> (SessionRef, String) {
    let endpoint = &request.endpoint;
    let claims = Claims {
        flags,
        version,
        endpoint: endpoint.hash,
        key: SessionKey(entropy),
        expires: now.after(endpoint.lifetime),
        principal: request.identity.hash(),
    };
    let session = SessionRef {
        key: claims.key,
        endpoint: claims.endpoint,
        expires: claims.expires,
        version,
        flags,
    };
    (session, endpoint.keys.sign(&claims))
}

/// The prepared `result` of initialize for a negotiated version.
pub(super) fn initialize(endpoint: &Endpoint, version: Version) -> Bytes {
    let at = Version::ALL.iter().position(|known| *known == version).unwrap_or(0);
    endpoint.initialize.get(at).cloned().unwrap_or_default()
}

/// A result without content.
pub(super) const fn empty_result(era: Era) -> Bytes {
    match era {
        Era::Legacy => Bytes::from_static(b"{}"),
        Era::Modern => Bytes::from_static(br#"{"resultType":"complete"}"#),
    }
}

/// A response without a body.
pub(super) const fn empty(status: u16) -> Answer {
    Answer {
        status,
        headers: Vec::new(),
        body: Vec::new(),
        details: "answered",
        metadata: None,
    }
}

/// A JSON-RPC result; `result` are the pieces of its value.
pub(super) fn result(id: Option<&[u8]>, result: &[Bytes]) -> Answer {
    let mut body = Vec::with_capacity(result.len() + 4);
    body.extend([BEFORE_ID, own(id), BEFORE_RESULT]);
    body.extend_from_slice(result);
    body.push(AFTER_RESULT);
    Answer {
        status: 200,
        headers: vec![("content-type".into(), JSON)],
        body,
        details: "answered",
        metadata: None,
    }
}

/// The same for a large list, as a streamed response: nothing is copied before Envoy takes it.
pub(super) fn stream(id: Option<&[u8]>, list: &Prepared, metadata: Option<Box<Metadata>>) -> (Reply, Vec<Reply>) {
    let head = Reply::StreamHead {
        status: 200,
        headers: vec![("content-type".into(), JSON)],
        metadata,
    };
    let mut chunks = Vec::with_capacity(list.len / CHUNK + 2);
    let (mut body, mut len) = (vec![BEFORE_ID, own(id), BEFORE_RESULT], 0);
    for mut segment in list.segments.iter().cloned() {
        while !segment.is_empty() {
            let piece = segment.split_to(segment.len().min(CHUNK));
            len += piece.len();
            body.push(piece);
            if len >= CHUNK {
                let body = std::mem::take(&mut body);
                chunks.push(Reply::StreamChunk { body, end: false });
                len = 0;
            }
        }
    }
    body.push(AFTER_RESULT);
    chunks.push(Reply::StreamChunk { body, end: true });
    (head, chunks)
}

fn own(id: Option<&[u8]>) -> Bytes {
    id.map_or(Bytes::from_static(b"null"), Bytes::copy_from_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_streamed_list_is_the_whole_list_in_pieces_that_fit() {
        let item = |len: usize| Bytes::from(vec![b'x'; len]);
        let segments = vec![
            Bytes::from_static(b"{"),
            item(CHUNK * 3 + 1),
            item(5),
            item(CHUNK),
            Bytes::from_static(b"}"),
        ];
        let list = Prepared {
            len: segments.iter().map(Bytes::len).sum(),
            segments,
        };
        let (_, chunks) = stream(Some(b"7"), &list, None);
        let mut whole = Vec::new();
        for (at, chunk) in chunks.iter().enumerate() {
            let Reply::StreamChunk { body, end } = chunk else {
                panic!("{chunk:?}")
            };
            assert_eq!(*end, at + 1 == chunks.len());
            let body = body.concat();
            assert!(body.len() < CHUNK * 2 + 64, "{}", body.len());
            whole.extend_from_slice(&body);
        }
        let expected = [
            &b"{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":"[..],
            &list.segments.concat(),
            b"}",
        ]
        .concat();
        assert_eq!(whole.len(), expected.len());
        assert!(whole == expected);
    }
}
