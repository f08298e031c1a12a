//! A modern request, taken apart: what it says of its client, and what a legacy upstream gets of it.
//!
//! What a modern request says of itself in `_meta` is said to a legacy upstream by the handshake of its session; there it
//! is taken out. Servers of both eras tell them apart by just these members, and would read the rest as modern. All other
//! members of `_meta` stay, and so does every other byte; the id becomes one that no request of that upstream session has
//! had, since several clients use the session one after the other.

use crate::engine::jsonrpc::{Object, Splice};
use bytes::Bytes;
use serde_json::value::RawValue;
use std::ops::Range;

const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
const INFO: &str = "io.modelcontextprotocol/clientInfo";
const LEVEL: &str = "io.modelcontextprotocol/logLevel";

/// What a modern request holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Taken {
    /// For the upstream.
    pub body: Bytes,
    /// Raw `clientCapabilities`.
    pub capabilities: Box<str>,
    /// Raw `clientInfo`.
    pub info: Option<Box<str>>,
    /// `logLevel`: raw, if it is there.
    pub level: Option<Box<str>>,
    /// Raw `arguments`.
    pub arguments: Option<Box<str>>,
    /// `requestState`: decoded; empty if it is there and no string.
    pub state: Option<Box<str>>,
    /// Raw `inputResponses`.
    pub responses: Option<Box<str>>,
}

/// As much of the message as is looked at.
#[derive(serde::Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

/// Takes a modern request apart, of which the envelope was checked before; `id` is the raw id that the upstream sees.
/// `None`: it is no request.
#[must_use]
pub fn take(body: &Bytes, id: &str) -> Option<Taken> {
    let text = std::str::from_utf8(body).ok()?;
    let head: Head<'_> = serde_json::from_str(text).ok()?;
    let raw_params = head.params.map_or("{}", RawValue::get);
    let params = Object::read(raw_params).ok()?;
    let raw_meta = params.raw("_meta").unwrap_or("{}");
    let meta = Object::read(raw_meta).ok()?;

    let mut edits = vec![(span(text, head.id.get())?, Bytes::copy_from_slice(id.as_bytes()))];
    let only_retry = |key: &str| matches!(key, "inputResponses" | "requestState");
    let of_client = |key: &str| matches!(key, VERSION | CAPABILITIES | INFO | LEVEL);
    let cuts = without(text, raw_params, &params, only_retry);
    let cuts = cuts.into_iter().chain(without(text, raw_meta, &meta, of_client));
    edits.extend(cuts.map(|range| (range, Bytes::new())));

    let said = |key: &str| meta.raw(key).map(Into::into);
    Some(Taken {
        body: Splice { edits }.apply(body),
        capabilities: said(CAPABILITIES).unwrap_or_else(|| "{}".into()),
        info: said(INFO),
        level: said(LEVEL),
        arguments: params.raw("arguments").map(Into::into),
        state: params
            .raw("requestState")
            .map(|_| params.string("requestState").unwrap_or_default().into()),
        responses: params.raw("inputResponses").map(Into::into),
    })
}

/// What must be cut out of `text` so that `object`, whose raw text is `raw`, has no member that `gone` names.
fn without(text: &str, raw: &str, object: &Object<'_>, gone: impl Fn(&str) -> bool) -> Vec<Range<usize>> {
    let Some(whole) = span(text, raw) else {
        return Vec::new();
    };
    let mut cuts = Vec::new();
    let mut start = whole.start + 1;
    let mut kept = false;
    for (at, (key, value)) in object.members.iter().enumerate() {
        let Some(value) = span(text, value) else {
            return Vec::new();
        };
        if gone(key) {
            cuts.push(start..value.end);
        } else if !std::mem::replace(&mut kept, true)
            && at > 0
            && let Some(comma) = text.get(start..value.start).and_then(|gap| gap.find(','))
        {
            // Between two members there is nothing but white space and a comma: the first one is it.
            cuts.push(start..start + comma + 1);
        }
        start = value.end;
    }
    cuts
}

/// Where `raw` stands in `text`, of which it is a slice.
fn span(text: &str, raw: &str) -> Option<Range<usize>> {
    let start = (raw.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
    (start + raw.len() <= text.len()).then(|| start..start + raw.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn taken(text: &str) -> Taken {
        take(&Bytes::from(text.to_owned()), "\"own\"").expect("a request")
    }

    #[test]
    fn what_the_handshake_says_is_taken_out_and_the_rest_stays_as_it_was() {
        let text = r#"{ "id": 7,"jsonrpc":"2.0", "method":"tools/call","params":{"name":"a","arguments":{"n":1.50},"_meta":{
            "io.modelcontextprotocol/protocolVersion":"2026-07-28", "progressToken" : 3,
            "io.modelcontextprotocol/clientCapabilities":{"sampling":{}} ,"io.modelcontextprotocol/clientInfo":{"name":"c"},
            "traceparent":"00-1","io.modelcontextprotocol/logLevel":"info"}},"x":1}"#;
        let expected = r#"{ "id": "own","jsonrpc":"2.0", "method":"tools/call","params":{"name":"a","arguments":{"n":1.50},"_meta":{ "progressToken" : 3,
            "traceparent":"00-1"}},"x":1}"#;
        let taken = taken(text);
        assert_eq!(taken.body, expected);
        assert_eq!(taken.capabilities.as_ref(), r#"{"sampling":{}}"#);
        assert_eq!(taken.info.as_deref(), Some(r#"{"name":"c"}"#));
        assert_eq!(taken.level.as_deref(), Some("\"info\""));
        assert_eq!(taken.arguments.as_deref(), Some(r#"{"n":1.50}"#));
        assert_eq!((taken.state, taken.responses), (None, None));
    }

    #[test]
    fn what_only_a_retry_carries_is_none_of_the_upstreams_business() {
        let text =
            r#"{"method":"tools/call","id":"1","params":{"inputResponses":{"a":{}},"requestState":"s\n","name":"a"}}"#;
        let taken = taken(text);
        assert_eq!(
            taken.body,
            r#"{"method":"tools/call","id":"own","params":{"name":"a"}}"#
        );
        assert_eq!(taken.state.as_deref(), Some("s\n"));
        assert_eq!(taken.responses.as_deref(), Some(r#"{"a":{}}"#));
        let odd = r#"{"method":"tools/call","id":1,"params":{"requestState":7}}"#;
        assert_eq!(
            super::take(&odd.into(), "1").expect("a request").state.as_deref(),
            Some("")
        );
    }

    #[test]
    fn braces_in_keys_are_no_braces() {
        let text = r#"{"id":1,"method":"m","params":{"_meta":{"io.modelcontextprotocol/logLevel":"info","{a:{,":1}}}"#;
        assert_eq!(
            taken(text).body,
            r#"{"id":"own","method":"m","params":{"_meta":{"{a:{,":1}}}"#
        );
        let first = r#"{"id":1,"method":"m","params":{"_meta":{"{a:{,":1,"io.modelcontextprotocol/logLevel":"info"}}}"#;
        assert_eq!(
            taken(first).body,
            r#"{"id":"own","method":"m","params":{"_meta":{"{a:{,":1}}}"#
        );
    }

    #[test]
    fn escaped_keys_are_taken_out_too() {
        let text = r#"{"id":1,"method":"m","params":{"_meta":{"io.modelcontextprotocol\/logLevel":"info","a":1}}}"#;
        let taken = taken(text);
        assert_eq!(taken.body, r#"{"id":"own","method":"m","params":{"_meta":{"a":1}}}"#);
    }

    proptest! {
        #[test]
        fn cutting_equals_an_edit_of_the_tree(
            order in Just(vec![0_usize, 1, 2, 3, 4, 5]).prop_shuffle(),
            present in proptest::collection::vec(any::<bool>(), 6),
            retry: bool,
            pretty: bool,
            word in ".{0,6}",
        ) {
            let keys = [VERSION, CAPABILITIES, INFO, LEVEL, "progressToken", "{\"x,:"];
            let mut meta = serde_json::Map::new();
            for at in order.into_iter().filter(|at| present[*at]) {
                meta.insert(keys[at].to_owned(), json!({"w": word, "n": at}));
            }
            let mut tree = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
                "params": {"_meta": meta, "arguments": {"requestState": word}, "name": word}});
            if retry {
                tree["params"]["requestState"] = json!(word);
                tree["params"]["inputResponses"] = json!({"a": word});
            }
            let text = if pretty { serde_json::to_string_pretty(&tree) } else { serde_json::to_string(&tree) }.unwrap();
            let body: Value = serde_json::from_slice(&taken(&text).body).unwrap();
            tree["id"] = json!("own");
            let params = tree["params"].as_object_mut().unwrap();
            params.remove("requestState");
            params.remove("inputResponses");
            let meta = params["_meta"].as_object_mut().unwrap();
            meta.retain(|key, _| !key.starts_with("io.modelcontextprotocol/"));
            prop_assert_eq!(body, tree);
        }

        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>) {
            let _ = take(&bytes.into(), "1");
        }
    }
}
