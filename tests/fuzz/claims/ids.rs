//! Whatever an upstream says, what its client sees is the same message with ids that lead back; and whatever a client
//! sends for an id, only a single JSON token reaches an upstream.

use mcp_manifold::engine::call::id::{expose, reveal};
use mcp_manifold::engine::call::inspect::{Outcome, to_client};
use mcp_manifold::engine::call::message::{Kind, Message};
use serde_json::value::RawValue;

pub(crate) fn check(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Some((_, raw)) = reveal(text)
    {
        serde_json::from_str::<&RawValue>(&raw).expect("it can be spliced into a message");
    }
    let Some(message) = Message::read(bytes) else { return };
    let Outcome::Replace(changed) = to_client("up", &message) else {
        assert!(
            !matches!(message.kind, Kind::Request { .. }),
            "a request has an id of its own"
        );
        return;
    };
    let again = Message::read(&changed).expect("still a message");
    match (message.kind, again.kind) {
        (Kind::Request { id, method }, Kind::Request { id: seen, method: same }) => {
            assert_eq!(method, same);
            assert_eq!(seen.as_bytes(), &expose("up", id)[..]);
            let is_token = id.starts_with(['"', '-']) || id.starts_with(|first: char| first.is_ascii_digit());
            assert!(!is_token || reveal(seen) == Some(("up".into(), id.into())));
        }
        (Kind::Notification { method }, Kind::Notification { method: same }) => assert_eq!(method, same),
        (before, after) => panic!("{before:?} became {after:?}"),
    }
}
