//! What the gateway itself says on a stream, as events on the wire.

use super::filter::array;
use super::{Kinds, Part};
use crate::engine::sse::{SseEvent, encode};
use bytes::Bytes;

/// The key that tags every frame of a listen stream.
pub(super) const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";

/// The method of a listen's first frame.
pub const ACKNOWLEDGED: &str = "notifications/subscriptions/acknowledged";

/// `notifications/*/list_changed` for each of `kinds`; `tag`: raw JSON id of the listen that it belongs to.
#[must_use]
pub fn changed(kinds: Kinds, tag: Option<&[u8]>) -> Vec<Bytes> {
    let params = tag.map_or_else(String::new, |tag| format!(r#","params":{{{}}}"#, meta(tag)));
    let message = |method| format!(r#"{{"jsonrpc":"2.0","method":"{method}"{params}}}"#);
    kinds.methods().map(|method| event(message(method))).collect()
}

/// The first frame of a listen: what of its filter is honoured.
#[must_use]
pub fn acknowledged(tag: &[u8], kinds: Kinds, parts: &[Part]) -> Bytes {
    let lists = [
        (kinds.tools, "toolsListChanged"),
        (kinds.prompts, "promptsListChanged"),
        (kinds.resources, "resourcesListChanged"),
    ];
    let lists = lists.into_iter().filter(|(wanted, _)| *wanted);
    let mut members: Vec<String> = lists.map(|(_, name)| format!(r#""{name}":true"#)).collect();
    let of = |part: &'_ Part| -> Vec<_> { part.uris.iter().map(|uri| part.exposed(uri).into_owned()).collect() };
    let uris: Vec<String> = parts.iter().flat_map(of).collect();
    if !uris.is_empty() {
        let uris = array(uris.iter().map(String::as_str));
        members.push(format!(r#""resourceSubscriptions":{uris}"#));
    }
    let tasks = || parts.iter().flat_map(|part| &part.tasks).map(|task| &*task.exposed);
    if tasks().next().is_some() {
        members.push(format!(r#""taskIds":{}"#, array(tasks())));
    }
    // Each part that takes them has the same ones.
    if let Some(part) = parts.iter().find(|part| !part.more.is_empty()) {
        members.push(part.more.to_string());
    }
    event(format!(
        r#"{{"jsonrpc":"2.0","method":"{ACKNOWLEDGED}","params":{{{},"notifications":{{{}}}}}}}"#,
        meta(tag),
        members.join(",")
    ))
}

/// The last of a GET stream that the gateway ends by itself: its client is to come back, in a second. It says nothing else.
pub const COME_BACK: Bytes = Bytes::from_static(b"retry: 1000\n\n");

/// The last frame of a listen that the gateway ends by itself.
#[must_use]
pub fn over(tag: &[u8]) -> Bytes {
    let id = text(tag);
    event(format!(
        r#"{{"jsonrpc":"2.0","id":{id},"result":{{"resultType":"complete",{}}}}}"#,
        meta(tag)
    ))
}

fn meta(tag: &[u8]) -> String {
    format!(r#""_meta":{{"{SUBSCRIPTION_ID}":{}}}"#, text(tag))
}

fn text(raw: &[u8]) -> String {
    String::from_utf8_lossy(raw).into_owned()
}

fn event(message: String) -> Bytes {
    encode(&SseEvent {
        data: message.into(),
        ..SseEvent::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(event: &Bytes) -> &str {
        std::str::from_utf8(event).expect("text")
    }

    #[test]
    fn a_changed_list_is_told_in_the_words_of_each_era() {
        let kinds = Kinds {
            tools: true,
            resources: true,
            ..Kinds::default()
        };
        let told = changed(kinds, None);
        let told: Vec<&str> = told.iter().map(shown).collect();
        assert_eq!(
            told,
            [
                "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n\n",
                "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/resources/list_changed\"}\n\n",
            ]
        );
        let tagged = changed(
            Kinds {
                prompts: true,
                ..Kinds::default()
            },
            Some(b"\"a\""),
        );
        assert_eq!(
            shown(&tagged[0]),
            "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/prompts/list_changed\",\"params\":{\"_meta\":{\"io.modelcontextprotocol/subscriptionId\":\"a\"}}}\n\n"
        );
    }

    #[test]
    fn a_listen_ends_with_a_result_under_its_id() {
        assert_eq!(
            shown(&over(b"7")),
            "data: {\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"resultType\":\"complete\",\"_meta\":{\"io.modelcontextprotocol/subscriptionId\":7}}}\n\n"
        );
    }
}
