//! What a legacy upstream says on the way to its answer, as a modern client gets it.
//!
//! The answer gets the client's id and what every modern result has; an error gets the code that the newer revision has
//! for it. Notifications that belong to the call pass as they are. Requests are what `input` is for; ping is answered here.

use super::input::{Asked, Wanted, token};
use crate::engine::call::{Kind, Message};
use crate::engine::era::legacy;
use crate::engine::jsonrpc::{Code, Object, Splice};
use crate::engine::mcp::Method;
use bytes::Bytes;
use serde_json::value::RawValue;

const RESOURCE_NOT_FOUND: i64 = -32002;
const URL_ELICITATION_REQUIRED: i64 = -32042;
/// Reserved for what MCP defines (2026-07-28, Error Codes). Of these a legacy upstream knows -32042; one that has learned
/// -32021 too speaks of what the client has declared, for its session was opened with just that.
const RESERVED: std::ops::RangeInclusive<i64> = -32099..=-32020;

/// What the call is, for its answer.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// The client's raw id.
    pub id: &'a str,
    /// The raw id that the upstream knows.
    pub own: &'a str,
    /// What was asked.
    pub method: Method,
    /// The resource that was asked for.
    pub uri: Option<&'a str>,
    /// Log messages were asked for.
    pub logs: bool,
    /// Raw capabilities of the client.
    pub capabilities: &'a str,
}

/// What one message comes to.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// The answer.
    Result(Bytes),
    /// The answer, an error.
    Error {
        /// For the client.
        body: Bytes,
        /// As the client gets it.
        code: i64,
        /// There is no such resource.
        not_found: bool,
    },
    /// The answer: the upstream wants to be asked again once the user has been at these addresses. `message` is what it
    /// says to that, raw.
    Elsewhere {
        /// What the client is asked for.
        asked: Vec<Asked>,
        /// Raw.
        message: Box<str>,
    },
    /// An error that speaks about the connection between gateway and upstream: nothing for the client.
    Misunderstanding,
    /// Goes on as it is.
    Pass,
    /// Goes nowhere.
    Nothing,
    /// Goes nowhere, but is news: the upstream tells this session with this notification that a list has changed.
    Changed(Box<str>),
    /// The client is asked for it.
    Asks(Asked),
    /// The request with this raw id is no longer waited for.
    Withdraws(Box<str>),
    /// Goes back to the upstream at once.
    Reply(Bytes),
}

/// Reads one message of the upstream. What is no message is [`Said::Nothing`].
#[must_use]
pub fn read(terms: &Terms<'_>, bytes: &Bytes) -> Said {
    let Some(message) = Message::read(bytes) else {
        return Said::Nothing;
    };
    match &message.kind {
        Kind::Request { id, method } => request(terms, &message, id, method),
        Kind::Notification { method } => notification(terms, &message, method),
        Kind::Response { id, result, error } => {
            // An error may come without an id: the upstream could not read it. It can only be the answer.
            let mine = match id {
                Some(id) => *id == terms.own || (error.is_some() && *id == "null"),
                None => error.is_some(),
            };
            match (mine, result, error) {
                (false, _, _) | (true, None, None) => Said::Nothing,
                (true, _, Some(error)) => self::error(terms, error),
                (true, Some(result), None) => Said::Result(complete(terms, &message, *id, result, bytes)),
            }
        }
    }
}

fn request(terms: &Terms<'_>, message: &Message<'_>, id: &str, method: &str) -> Said {
    if method == "ping" {
        return Said::Reply(legacy::result(id, "{}"));
    }
    let unknown = |words| Said::Reply(legacy::refusal(id, Code::METHOD_NOT_FOUND, words));
    let Some(wanted) = Wanted::parse(method) else {
        return unknown("method not found");
    };
    let declared = Object::read(terms.capabilities).unwrap_or_default();
    let key = match wanted {
        Wanted::Elicitation => "elicitation",
        Wanted::Sampling => "sampling",
        Wanted::Roots => "roots",
    };
    let Some(declared) = declared.raw(key).filter(|raw| *raw != "null") else {
        return unknown("the client did not declare this capability");
    };
    if !matches!(
        terms.method,
        Method::ToolsCall | Method::PromptsGet | Method::ResourcesRead
    ) {
        // 2026-07-28, Supported Requests: no other may be answered with input_required.
        return unknown("the client takes no requests while this one runs");
    }
    if wanted == Wanted::Elicitation && !has_mode(declared, &message.params) {
        let words = "the client did not declare this mode of elicitation";
        return Said::Reply(legacy::refusal(id, Code::INVALID_PARAMS, words));
    }
    Said::Asks(Asked {
        id: Some(id.into()),
        wanted,
        params: raw_params(message).map(Into::into),
    })
}

/// Whether the mode that is asked for was declared; nothing declared means form alone.
fn has_mode(declared: &str, params: &Object<'_>) -> bool {
    let modes = Object::read(declared).unwrap_or_default();
    let declares = |mode: &str| modes.raw(mode).is_some_and(|raw| raw != "null");
    match params.string("mode").as_deref() {
        Some("url") => declares("url"),
        Some(_) | None => declares("form") || !declares("url"),
    }
}

fn raw_params<'a>(message: &Message<'a>) -> Option<&'a str> {
    #[derive(serde::Deserialize)]
    struct Head<'a> {
        #[serde(borrow)]
        params: Option<&'a RawValue>,
    }
    let head: Head<'a> = serde_json::from_str(message.text).ok()?;
    head.params.map(RawValue::get)
}

/// What belongs to the call passes; what is pushed to whole sessions goes by `subscriptions/listen` there.
fn notification(terms: &Terms<'_>, message: &Message<'_>, method: &str) -> Said {
    match method {
        "notifications/message" if !terms.logs => Said::Nothing,
        "notifications/cancelled" => match message.params.raw("requestId") {
            Some(id) => Said::Withdraws(id.into()),
            None => Said::Nothing,
        },
        "notifications/tools/list_changed"
        | "notifications/prompts/list_changed"
        | "notifications/resources/list_changed" => Said::Changed(method.into()),
        "notifications/resources/updated" | "notifications/tasks/status" | "notifications/elicitation/complete" => {
            Said::Nothing
        }
        _ => Said::Pass,
    }
}

/// The result with the client's id and the members that every modern result has.
fn complete(terms: &Terms<'_>, message: &Message<'_>, id: Option<&str>, result: &str, bytes: &Bytes) -> Bytes {
    let members = Object::read(result).ok();
    let has = |key: &str| members.as_ref().is_some_and(|members| members.raw(key).is_some());
    let mut missing = String::new();
    let mut supply = |key: &str, member: &str| {
        if !has(key) {
            missing.push_str(member);
            missing.push(',');
        }
    };
    supply("resultType", r#""resultType":"complete""#);
    if terms.method == Method::ResourcesRead {
        supply("ttlMs", r#""ttlMs":0"#);
        supply("cacheScope", r#""cacheScope":"private""#);
    }
    if members.as_ref().is_none_or(|members| members.members.is_empty()) {
        missing.pop();
    }
    let mut edits = vec![(
        message.span(id.unwrap_or_default()),
        Bytes::copy_from_slice(terms.id.as_bytes()),
    )];
    let inside = message.span(result).start + 1;
    if result.starts_with('{') {
        edits.push((inside..inside, missing.into()));
    }
    Splice { edits }.apply(bytes)
}

#[derive(serde::Deserialize)]
struct ErrorObject<'a> {
    code: i64,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

fn error(terms: &Terms<'_>, raw: &str) -> Said {
    let Ok(error) = serde_json::from_str::<ErrorObject<'_>>(raw) else {
        return Said::Misunderstanding;
    };
    let words = error.message.map_or("\"\"", RawValue::get);
    let data = error.data.map(RawValue::get);
    match error.code {
        RESOURCE_NOT_FOUND => {
            let data = with_uri(data, terms.uri);
            let error = format!(
                r#"{{"code":{},"message":{words},"data":{data}}}"#,
                Code::INVALID_PARAMS.0
            );
            Said::Error {
                body: legacy::error(terms.id, &error),
                code: Code::INVALID_PARAMS.0.into(),
                not_found: true,
            }
        }
        URL_ELICITATION_REQUIRED => elsewhere(terms, words, data),
        code if RESERVED.contains(&code) && code != i64::from(Code::MISSING_CAPABILITY.0) => Said::Misunderstanding,
        code => Said::Error {
            body: legacy::error(terms.id, raw),
            code,
            not_found: false,
        },
    }
}

/// `data` of a resource that was not found: names it.
fn with_uri(data: Option<&str>, uri: Option<&str>) -> String {
    let uri = token(uri.unwrap_or_default());
    let members = data.and_then(|data| Object::read(data).ok());
    match (data, members) {
        (Some(data), Some(members)) if members.raw("uri").is_some() => data.to_owned(),
        (Some(data), Some(members)) if !members.members.is_empty() => {
            let rest = data.trim_start().strip_prefix('{').unwrap_or_default();
            format!(r#"{{"uri":{uri},{rest}"#)
        }
        _ => format!(r#"{{"uri":{uri}}}"#),
    }
}

/// URL elicitation required: the client is asked for it, if it can.
fn elsewhere(terms: &Terms<'_>, words: &str, data: Option<&str>) -> Said {
    #[derive(serde::Deserialize)]
    struct Data<'a> {
        #[serde(borrow)]
        elicitations: Vec<&'a RawValue>,
    }
    let data = data.and_then(|data| serde_json::from_str::<Data<'_>>(data).ok());
    let asked: Vec<Asked> = data
        .iter()
        .flat_map(|data| &data.elicitations)
        .filter(|raw| Object::read(raw.get()).is_ok_and(|params| params.string("mode").as_deref() == Some("url")))
        .map(|raw| Asked {
            id: None,
            wanted: Wanted::Elicitation,
            params: Some(raw.get().into()),
        })
        .collect();
    let declared = Object::read(terms.capabilities).unwrap_or_default();
    let modes = declared.object("elicitation").ok().flatten().unwrap_or_default();
    if asked.is_empty() {
        return Said::Misunderstanding;
    }
    if modes.raw("url").is_none_or(|raw| raw == "null") {
        let required = r#"{"requiredCapabilities":{"elicitation":{"url":{}}}}"#;
        let code = Code::MISSING_CAPABILITY;
        let error = format!(r#"{{"code":{},"message":{words},"data":{required}}}"#, code.0);
        return Said::Error {
            body: legacy::error(terms.id, &error),
            code: code.0.into(),
            not_found: false,
        };
    }
    Said::Elsewhere {
        asked,
        message: words.into(),
    }
}

#[cfg(test)]
mod tests;
