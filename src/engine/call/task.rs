//! Task ids where an endpoint has more than one upstream: the upstream's name before the upstream's own id.
//!
//! Nothing is remembered: a task id names its upstream for as long as the client keeps it. Both forms of tasks: those of
//! 2025-11-25 and those of the extension `io.modelcontextprotocol/tasks` (2026-07-28). A client can name any task of an
//! upstream; whether it may see it is that upstream's decision, as it would be without a gateway.

use super::message::{Kind, Message, object};
use crate::engine::jsonrpc::splice::quote;
use crate::engine::jsonrpc::{Object, Splice};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use memchr::memmem;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Distinguishes our ids from those that an upstream made up.
const MARK: &str = "mt:";
/// What a message about a task says under `_meta` (2025-11-25).
const RELATED: &str = "io.modelcontextprotocol/related-task";

/// The task `id` of `upstream` as a JSON string token: `"mt:<upstream>:<id>"`.
#[must_use]
pub fn expose(upstream: &str, id: &str) -> Bytes {
    quote(&[MARK, upstream, ":", id].concat())
}

/// Takes a decoded task id apart: upstream and its own id. `None` if [`expose`] cannot have made it.
#[must_use]
pub fn reveal(exposed: &str) -> Option<(&str, &str)> {
    let (upstream, id) = exposed.strip_prefix(MARK)?.split_once(':')?;
    (!upstream.is_empty()).then_some((upstream, id))
}

/// Where a list of the tasks of several upstreams goes on: their own cursors, by name. To clients one opaque text.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Cursors(BTreeMap<Box<str>, Box<str>>);

impl Cursors {
    /// `upstream` has more behind `cursor`.
    pub fn insert(&mut self, upstream: &str, cursor: &str) {
        self.0.insert(upstream.into(), cursor.into());
    }

    /// Nobody has more.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where `upstream` goes on; `None`: it has no more.
    #[must_use]
    pub fn of(&self, upstream: &str) -> Option<&str> {
        self.0.get(upstream).map(|cursor| &**cursor)
    }

    /// As the client gets it; plain characters only.
    #[must_use]
    pub fn write(&self) -> String {
        let json = serde_json::to_vec(self).expect("a map of strings is always JSON");
        URL_SAFE_NO_PAD.encode(json)
    }

    /// Reads what a client gave back; `None`: it is not ours. Nothing is trusted: an upstream judges its own cursor.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
    }
}

/// True if `data` may hold a message that [`to_client`] or [`to_upstream`] changes. What is false need not be read.
#[must_use]
pub fn concerns(data: &[u8]) -> bool {
    // The key can be spelled in another way only with escapes.
    memmem::find(data, b"\"taskId\"").is_some() || memmem::find(data, b"\\u").is_some()
}

/// What a client sees in place of a message of `upstream`; `None`: the message as it is.
#[must_use]
pub fn to_client(upstream: &str, message: &Message<'_>) -> Option<Bytes> {
    let mut ids = Vec::new();
    match &message.kind {
        Kind::Response { result, .. } => {
            let result = result.and_then(object)?;
            of_result(&result, &mut ids);
        }
        Kind::Notification { method } => {
            if matches!(&**method, "notifications/tasks/status" | "notifications/tasks") {
                ids.extend(message.params.raw("taskId"));
            }
            ids.extend(message.meta().as_ref().and_then(related));
        }
        Kind::Request { .. } => ids.extend(message.meta().as_ref().and_then(related)),
    }
    edited(message, &ids, |id| Some(expose(upstream, id)))
}

/// What `upstream` gets in place of a client's message that speaks of one of its tasks; `None`: the message as it is.
#[must_use]
pub fn to_upstream(upstream: &str, message: &Message<'_>) -> Option<Bytes> {
    let meta = match &message.kind {
        Kind::Response { result, .. } => result.and_then(object).and_then(|result| object(result.raw("_meta")?)),
        Kind::Notification { .. } | Kind::Request { .. } => message.meta(),
    };
    let own = |id: &str| {
        let (of, id) = reveal(id)?;
        (of == upstream).then(|| quote(id))
    };
    edited(message, related(&meta?).as_slice(), own)
}

/// The raw ids in the result of a call that may create a task, or of a request about tasks.
fn of_result<'a>(result: &Object<'a>, ids: &mut Vec<&'a str>) {
    // A task always has a status: another result may have a member of that name that means something else.
    let of_task = |task: &Object<'a>| task.raw("status").and_then(|_| task.raw("taskId"));
    ids.extend(of_task(result));
    ids.extend(result.raw("task").and_then(object).as_ref().and_then(of_task));
    if let Some(tasks) = result.raw("tasks") {
        let tasks: Vec<&'a RawValue> = serde_json::from_str(tasks).unwrap_or_default();
        ids.extend(tasks.iter().filter_map(|task| of_task(&object(task.get())?)));
    }
    let meta = result.raw("_meta").and_then(object);
    ids.extend(meta.as_ref().and_then(related));
}

fn related<'a>(meta: &Object<'a>) -> Option<&'a str> {
    object(meta.raw(RELATED)?)?.raw("taskId")
}

/// The message with each of these raw string tokens replaced.
fn edited(message: &Message<'_>, ids: &[&str], replace: impl Fn(&str) -> Option<Bytes>) -> Option<Bytes> {
    let edit = |raw: &&str| {
        let id: String = serde_json::from_str(raw).ok()?;
        Some((message.span(raw), replace(&id)?))
    };
    let edits: Vec<_> = ids.iter().filter_map(edit).collect();
    (!edits.is_empty()).then(|| Splice { edits }.copied(message.text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seen(text: &str) -> Option<String> {
        let message = Message::read(text.as_bytes()).expect("a message");
        assert!(concerns(text.as_bytes()));
        let new = to_client("up", &message)?;
        Some(String::from_utf8(new.to_vec()).expect("text"))
    }

    #[test]
    fn every_place_of_a_task_id_names_the_upstream() {
        for text in [
            r#"{"id":1,"result":{"task":{"taskId":"T","status":"working"},"_meta":{"x":"T"}}}"#,
            r#"{"id":1,"result":{ "resultType" : "task", "taskId" : "T" , "status":"working"}}"#,
            r#"{"id":1,"result":{"taskId":"T","status":"completed","result":{"taskId":"other"}}}"#,
            r#"{"id":1,"result":{"content":[],"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"T"}}}}"#,
            r#"{"method":"notifications/tasks/status","params":{"taskId":"T","status":"working"}}"#,
            r#"{"method":"notifications/tasks","params":{"taskId":"T","status":"working"}}"#,
            r#"{"id":0,"method":"elicitation/create","params":{"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"T"}}}}"#,
            r#"{"method":"notifications/progress","params":{"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"T"}}}}"#,
        ] {
            let expected = text.replacen(r#""taskId":"T""#, r#""taskId":"mt:up:T""#, 1);
            let expected = expected.replacen(r#""taskId" : "T""#, r#""taskId" : "mt:up:T""#, 1);
            assert_eq!(seen(text), Some(expected));
        }
        let list = r#"{"id":1,"result":{"tasks":[{"taskId":"a","status":"x"},{"taskId":"b:c","status":"y"}]}}"#;
        let expected =
            r#"{"id":1,"result":{"tasks":[{"taskId":"mt:up:a","status":"x"},{"taskId":"mt:up:b:c","status":"y"}]}}"#;
        assert_eq!(seen(list).as_deref(), Some(expected));
    }

    #[test]
    fn what_is_no_task_of_the_upstream_stays() {
        for text in [
            r#"{"id":1,"result":{"taskId":"a ticket","content":[]}}"#,
            r#"{"id":1,"result":{"content":[{"taskId":"T","status":"x"}],"structuredContent":{"taskId":"T","status":"x"}}}"#,
            r#"{"id":1,"result":{"taskId":7,"status":"x"}}"#,
            r#"{"id":0,"method":"tasks/get","params":{"taskId":"the client's own"}}"#,
            r#"{"id":1,"error":{"code":-32602,"message":"m","data":{"taskId":"T","status":"x"}}}"#,
        ] {
            assert_eq!(seen(text), None, "{text}");
        }
        assert!(!concerns(br#"{"id":1,"result":{"content":[]}}"#));
    }

    #[test]
    fn what_a_client_says_of_a_task_is_understood_by_its_upstream_only() {
        let said = r#"{"id":0,"result":{"action":"accept","_meta":{"io.modelcontextprotocol/related-task":{"taskId":"mt:up:T"}}}}"#;
        let message = Message::read(said.as_bytes()).expect("a message");
        let expected = said.replace("mt:up:", "");
        assert_eq!(to_upstream("up", &message).as_deref(), Some(expected.as_bytes()));
        assert_eq!(to_upstream("other", &message), None);
        let plain = Message::read(br#"{"id":0,"result":{}}"#).expect("a message");
        assert_eq!(to_upstream("up", &plain), None);
    }

    #[test]
    fn an_id_that_we_did_not_give_is_not_revealed() {
        for foreign in ["", "T", "mt:", "mt:up", "mt::T", "mm:up:T", "MT:up:T"] {
            assert_eq!(reveal(foreign), None, "{foreign}");
        }
        assert_eq!(reveal("mt:up:"), Some(("up", "")), "an empty id is an id");
    }

    #[test]
    fn cursors_of_several_upstreams_are_one_text() {
        let mut cursors = Cursors::default();
        assert!(cursors.is_empty());
        cursors.insert("a", "p\"2");
        cursors.insert("b", "");
        let text = cursors.write();
        assert!(
            text.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)),
            "{text}"
        );
        assert_eq!(Cursors::read(&text), Some(cursors.clone()));
        assert_eq!(
            (cursors.of("a"), cursors.of("b"), cursors.of("c")),
            (Some("p\"2"), Some(""), None)
        );
        assert_eq!(
            [Cursors::read("?"), Cursors::read("bm8"), Cursors::read("")],
            [None, None, None]
        );
    }

    proptest! {
        #[test]
        fn what_is_exposed_is_revealed(upstream in "[a-z0-9]([a-z0-9.-]{0,8}[a-z0-9])?", id in ".{0,12}") {
            let token = expose(&upstream, &id);
            let exposed: String = serde_json::from_slice(&token).unwrap();
            prop_assert_eq!(reveal(&exposed), Some((&*upstream, &*id)));
        }

        #[test]
        fn only_the_id_differs(id in ".{0,8}", other in ".{0,12}") {
            let tree = serde_json::json!({
                "jsonrpc": "2.0", "id": 1,
                "result": {"status": "working", "taskId": id, "other": other, "_meta": {"x": other}},
            });
            let mut seen: serde_json::Value = serde_json::from_str(&seen(&tree.to_string()).unwrap()).unwrap();
            let exposed = seen["result"]["taskId"].take();
            seen["result"]["taskId"] = reveal(exposed.as_str().unwrap()).unwrap().1.into();
            prop_assert_eq!(seen, tree);
        }
    }
}
