//! What a modern upstream asks by its result, as requests of a legacy server; and what the client says to them.

use crate::engine::era::modern::InputRequest;
use crate::engine::era::modern::input::ServerMethod;
use crate::engine::jsonrpc::members::Members;
use crate::engine::jsonrpc::splice::quote;
use crate::engine::jsonrpc::{Object, Splice};
use bytes::Bytes;

/// A capability that a question needs and the client did not declare; the words of `capabilities`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lacking(pub &'static str);

/// The client answered a question with an error.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// Its own words; may be empty.
    pub message: String,
}

/// Whether a client that declared `capabilities` (raw) can be asked this.
///
/// # Errors
/// What it lacks.
pub fn may_be_asked(request: &InputRequest, capabilities: &str) -> Result<(), Lacking> {
    let declared = Object::read(capabilities).unwrap_or_default();
    let inside = |key: &str| declared.object(key).ok().flatten();
    let params = request.params.as_deref().and_then(|raw| std::str::from_utf8(raw).ok());
    let params = params.and_then(|raw| Object::read(raw).ok()).unwrap_or_default();
    match request.method {
        ServerMethod::Roots => inside("roots").map(|_| ()).ok_or(Lacking("roots")),
        ServerMethod::Sample => {
            let sampling = inside("sampling").ok_or(Lacking("sampling"))?;
            let with_tools = ["tools", "toolChoice"].iter().any(|key| params.raw(key).is_some());
            if with_tools && sampling.raw("tools").is_none() {
                return Err(Lacking("sampling.tools"));
            }
            Ok(())
        }
        ServerMethod::Elicit => {
            let modes = inside("elicitation").ok_or(Lacking("elicitation"))?;
            let declares = |mode: &str| modes.raw(mode).is_some();
            match params.string("mode").as_deref() {
                Some("url") => declares("url").then_some(()).ok_or(Lacking("elicitation.url")),
                // An empty object means forms (2025-11-25, elicitation, Capabilities).
                Some(_) | None if declares("form") || !declares("url") => Ok(()),
                Some(_) | None => Err(Lacking("elicitation.form")),
            }
        }
    }
}

/// The request that the client gets. `name`: our name for it, a plain word, unique within the client's session.
#[must_use]
pub fn request(asked: &InputRequest, name: &str) -> Bytes {
    let mut message = Vec::with_capacity(128 + asked.params.as_ref().map_or(0, Bytes::len));
    message.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
    message.extend_from_slice(&quote(name));
    message.extend_from_slice(br#","method":"#);
    message.extend_from_slice(&quote(asked.method.as_str()));
    if let Some(params) = &asked.params {
        message.extend_from_slice(br#","params":"#);
        message.extend_from_slice(&identified(asked.method, params, name));
    }
    message.push(b'}');
    message.into()
}

/// The parameters; an elicitation by URL needs an id (2025-11-25), which 2026-07-28 has not.
fn identified(method: ServerMethod, params: &Bytes, name: &str) -> Bytes {
    let read = std::str::from_utf8(params)
        .ok()
        .map(|whole| (whole, Object::read(whole)));
    let Some((whole, Ok(object))) = read else {
        return params.clone();
    };
    let by_url = method == ServerMethod::Elicit && object.string("mode").as_deref() == Some("url");
    if !by_url || object.raw("elicitationId").is_some() {
        return params.clone();
    }
    let members = Members {
        whole,
        raw: whole,
        object: &object,
    };
    let edits = members.edits(&[("elicitationId", quote(name))], &[]);
    Splice { edits }.apply(params)
}

/// The notification that a question is asked no longer.
#[must_use]
pub fn withdrawn(name: &str) -> Bytes {
    let message = [
        br#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"#.as_slice(),
        &quote(name),
        b"}}",
    ];
    message.concat().into()
}

/// What the client said: the raw result of its response.
///
/// # Errors
/// It refused.
pub fn told(message: &Bytes) -> Result<Bytes, Refusal> {
    let refused = |message: &str| Refusal {
        message: message.to_owned(),
    };
    let whole = std::str::from_utf8(message).map_err(|_| refused(""))?;
    let envelope = Object::read(whole).map_err(|_| refused(""))?;
    match envelope.raw("result").filter(|raw| raw.starts_with('{')) {
        Some(raw) => Ok(message.slice_ref(raw.as_bytes())),
        None => {
            let error = envelope.object("error").ok().flatten();
            let words = error.and_then(|error| error.string("message"));
            Err(refused(&words.unwrap_or_default()))
        }
    }
}

/// `inputResponses`: what was told under each of the upstream's keys, in order.
pub fn responses<'a>(told: impl Iterator<Item = (&'a Bytes, &'a Bytes)>) -> Bytes {
    let mut object = vec![b'{'];
    for (key, result) in told {
        if object.len() > 1 {
            object.push(b',');
        }
        object.extend_from_slice(key);
        object.push(b':');
        object.extend_from_slice(result);
    }
    object.push(b'}');
    object.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk(method: ServerMethod, params: Option<&'static str>) -> InputRequest {
        InputRequest {
            key: Bytes::from_static(b"\"key\""),
            method,
            params: params.map(Into::into),
        }
    }

    #[test]
    fn only_what_was_declared_is_asked() {
        use ServerMethod::{Elicit, Roots, Sample};
        let url = Some(r#"{"mode":"url"}"#);
        let tools = Some(r#"{"tools":[]}"#);
        let cases = [
            (Roots, None, r#"{"roots":{}}"#, Ok(())),
            (Roots, None, r#"{"roots":null}"#, Err("roots")),
            (Sample, Some("{}"), "{}", Err("sampling")),
            (Sample, Some("{}"), r#"{"sampling":{}}"#, Ok(())),
            (Sample, tools, r#"{"sampling":{}}"#, Err("sampling.tools")),
            (Sample, tools, r#"{"sampling":{"tools":{}}}"#, Ok(())),
            (Elicit, Some("{}"), r#"{"sampling":{}}"#, Err("elicitation")),
            (Elicit, Some("{}"), r#"{"elicitation":{}}"#, Ok(())),
            (Elicit, url, r#"{"elicitation":{"form":{}}}"#, Err("elicitation.url")),
            (Elicit, url, r#"{"elicitation":{"url":{}}}"#, Ok(())),
            (
                Elicit,
                Some("{}"),
                r#"{"elicitation":{"url":{}}}"#,
                Err("elicitation.form"),
            ),
        ];
        for (method, params, capabilities, expected) in cases {
            let found = may_be_asked(&mk(method, params), capabilities);
            assert_eq!(found, expected.map_err(Lacking), "{method:?} {params:?} {capabilities}");
        }
    }

    #[test]
    fn a_question_is_a_request_with_a_name_of_ours() {
        let asked = mk(ServerMethod::Elicit, Some(r#"{ "mode":"url","url":"https://a"}"#));
        assert_eq!(
            request(&asked, "mg:1"),
            r#"{"jsonrpc":"2.0","id":"mg:1","method":"elicitation/create","params":{"elicitationId":"mg:1", "mode":"url","url":"https://a"}}"#
        );
        let asked = mk(ServerMethod::Elicit, Some(r#"{ "mode":"form"}"#));
        assert!(request(&asked, "mg:1").ends_with(br#""params":{ "mode":"form"}}"#));
        assert_eq!(
            request(&mk(ServerMethod::Roots, None), "mg:1"),
            r#"{"jsonrpc":"2.0","id":"mg:1","method":"roots/list"}"#
        );
    }

    #[test]
    fn answers_come_back_as_they_were_given() {
        let told = |message: &'static str| told(&Bytes::from_static(message.as_bytes()));
        let accepted = told(r#"{"id":"mg:1","result":{ "action":"accept" }}"#).expect("a result");
        assert_eq!(accepted, r#"{ "action":"accept" }"#);
        let refused = told(r#"{"id":"mg:1","error":{"code":-1,"message":"User rejected"}}"#);
        assert_eq!(refused.unwrap_err().message, "User rejected");
        assert_eq!(told(r#"{"id":"mg:1","result":7}"#).unwrap_err().message, "");
        let (one, two) = (Bytes::from("\"a\""), Bytes::from("\"b\\n\""));
        let all = [(&one, &accepted), (&two, &accepted)];
        assert_eq!(
            responses(all.into_iter()),
            r#"{"a":{ "action":"accept" },"b\n":{ "action":"accept" }}"#
        );
        assert_eq!(responses([].into_iter()), "{}");
    }
}
