//! A request as 2026-07-28 wants it: its sender introduced in `params._meta`, by splicing.
//!
//! Everything the request said before stays as it was, other members of `_meta` included.

use crate::engine::jsonrpc::members::Members;
use crate::engine::jsonrpc::splice::quote;
use crate::engine::jsonrpc::{Object, Splice};
use crate::engine::mcp::{Version, meta};
use bytes::Bytes;

/// What is said of the client in every request. All but the version is raw JSON.
#[derive(Clone, Copy, Debug)]
pub struct Introduction<'a> {
    /// Spoken with this upstream.
    pub version: Version,
    /// What the client can, as it declared it, or less.
    pub capabilities: &'a str,
    /// What the client is.
    pub info: &'a str,
    /// The lowest level of logs it wants: a word, not JSON. `None`: no logs.
    pub level: Option<&'a str>,
}

/// What a request carries that is made again after `input_required` (MRTR).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Retry {
    /// A new id, raw: the two requests are independent.
    pub id: Bytes,
    /// `inputResponses`, a raw object; `None` where nothing was asked.
    pub responses: Option<Bytes>,
    /// `requestState`, the raw token as it came; `None` where none came.
    pub state: Option<Bytes>,
}

/// `body` with its sender introduced; `None` if it is not a request with params.
#[must_use]
pub fn introduce(body: &Bytes, sender: &Introduction<'_>, retry: Option<&Retry>) -> Option<Bytes> {
    let whole = std::str::from_utf8(body).ok()?;
    let envelope = Object::read(whole).ok()?;
    let raw = envelope.raw("params")?;
    let params = Object::read(raw).ok()?;
    let mut more: Vec<(&str, Bytes)> = Vec::new();
    let mut edits = Vec::new();
    if let Some(retry) = retry {
        let id = crate::engine::jsonrpc::members::span(whole, envelope.raw("id")?);
        edits.push((id, retry.id.clone()));
        more.extend(retry.responses.clone().map(|responses| ("inputResponses", responses)));
        more.extend(retry.state.clone().map(|state| ("requestState", state)));
    }
    let said = said(sender);
    match params.raw("_meta") {
        Some(raw) => {
            let meta = Object::read(raw).ok()?;
            let object = &meta;
            edits.extend(Members { whole, raw, object }.edits(&said, &[]));
        }
        None => more.push(("_meta", object_of(&said))),
    }
    let object = &params;
    edits.extend(Members { whole, raw, object }.edits(&more, &[]));
    Some(Splice { edits }.apply(body))
}

/// `capabilities` (raw) without those that let a server ask the client.
#[must_use]
pub fn unasked(capabilities: &str) -> String {
    let Ok(object) = Object::read(capabilities) else {
        return "{}".to_owned();
    };
    let (whole, object) = (capabilities, &object);
    let raw = whole;
    let edits = Members { whole, raw, object }.edits(&[], &["elicitation", "sampling", "roots"]);
    let kept = Splice { edits }.apply(&Bytes::copy_from_slice(whole.as_bytes()));
    String::from_utf8_lossy(&kept).into_owned()
}

fn said(sender: &Introduction<'_>) -> Vec<(&'static str, Bytes)> {
    let raw = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    let mut said = vec![
        (meta::PROTOCOL_VERSION, quote(sender.version.as_str())),
        (meta::CLIENT_CAPABILITIES, raw(sender.capabilities)),
        (meta::CLIENT_INFO, raw(sender.info)),
    ];
    said.extend(sender.level.map(|level| (meta::LOG_LEVEL, quote(level))));
    said
}

fn object_of(members: &[(&str, Bytes)]) -> Bytes {
    let none = Object::default();
    let object = Members {
        whole: "{}",
        raw: "{}",
        object: &none,
    };
    let edits = object.edits(members, &[]);
    Splice { edits }.apply(&Bytes::from_static(b"{}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SENDER: Introduction<'_> = Introduction {
        version: Version::V2026_07_28,
        capabilities: r#"{"roots": {"listChanged":true}}"#,
        info: r#"{"name":"c","version":"1"}"#,
        level: None,
    };
    const SAID: &str = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"roots": {"listChanged":true}},"io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"}"#;

    fn introduced(body: &str, sender: &Introduction<'_>, retry: Option<&Retry>) -> String {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let request = introduce(&body, sender, retry).expect("a request");
        String::from_utf8(request.into()).expect("text")
    }

    #[test]
    fn a_request_introduces_its_sender_and_stays_the_same() {
        let body = r#"{"jsonrpc":"2.0", "id":1,"method":"tools/call","params": {"name":"a","arguments":{"n":1.0e2}}}"#;
        let expected = body.replacen(r#" {"name""#, &format!(r#" {{"_meta":{{{SAID}}},"name""#), 1);
        assert_eq!(introduced(body, &SENDER, None), expected);
    }

    #[test]
    fn other_members_of_meta_stay_and_the_clients_word_on_ours_does_not_count() {
        let body = r#"{"id":1,"params":{"_meta":{ "progressToken":7,"io.modelcontextprotocol/logLevel":"debug"}}}"#;
        let expected = format!(
            r#"{{"id":1,"params":{{"_meta":{{{SAID}, "progressToken":7,"io.modelcontextprotocol/logLevel":"error"}}}}}}"#
        );
        let level = Some("error");
        assert_eq!(introduced(body, &Introduction { level, ..SENDER }, None), expected);
    }

    #[test]
    fn a_retry_has_a_new_id_and_brings_the_state_along_byte_by_byte() {
        let retry = Retry {
            id: Bytes::from_static(br#""mg:2""#),
            responses: Some(Bytes::from_static(br#"{"a":{"action":"accept"}}"#)),
            state: Some(Bytes::from_static(br#""\u0041/\/""#)),
        };
        let expected = format!(
            r#"{{"id":"mg:2","params":{{"inputResponses":{{"a":{{"action":"accept"}}}},"requestState":"\u0041/\/","_meta":{{{SAID}}},"name":"a"}}}}"#
        );
        let body = r#"{"id":1,"params":{"name":"a"}}"#;
        assert_eq!(introduced(body, &SENDER, Some(&retry)), expected);
    }

    #[test]
    fn who_cannot_be_asked_declares_nothing_to_be_asked_for() {
        let declared = r#"{"elicitation":{},"extensions":{"a/b":{}},"roots":{"listChanged":true}}"#;
        assert_eq!(unasked(declared), r#"{"extensions":{"a/b":{}}}"#);
        assert_eq!(unasked("[]"), "{}");
    }

    proptest! {
        #[test]
        fn what_is_introduced_is_only_added_to(name in ".{0,8}", text in ".{0,8}", token in proptest::option::of(0..9)) {
            let mut tree = serde_json::json!({"id": 1, "params": {"name": name, "arguments": {"_meta": text}}});
            if let Some(token) = token {
                tree["params"]["_meta"] = serde_json::json!({"progressToken": token, "x": text});
            }
            let found = introduced(&tree.to_string(), &SENDER, None);
            let added = if token.is_some() { format!("{SAID},") } else { format!(r#""_meta":{{{SAID}}},"#) };
            prop_assert_eq!(found.replacen(&added, "", 1), tree.to_string(), "every other byte is as it was");
            let mut found: serde_json::Value = serde_json::from_str(&found).unwrap();
            let meta = found["params"]["_meta"].as_object_mut().unwrap();
            for key in [meta::PROTOCOL_VERSION, meta::CLIENT_CAPABILITIES, meta::CLIENT_INFO] {
                prop_assert!(meta.remove(key).is_some());
            }
            if token.is_none() {
                prop_assert!(meta.is_empty());
                found["params"].as_object_mut().unwrap().remove("_meta");
            }
            prop_assert_eq!(found, tree);
        }
    }
}
