//! What a modern upstream answers, as its legacy client may see it.

use crate::engine::era::modern::InputRequired;
use crate::engine::jsonrpc::members::{Edit, Members, span};
use crate::engine::jsonrpc::splice::quote;
use crate::engine::jsonrpc::{Code, Object, Splice};
use crate::engine::mcp::{Method, meta};
use bytes::Bytes;

/// MCP 2026-07-28: the client lacks a capability.
const MISSING_CAPABILITY: Code = Code(-32021);

/// The request that is answered.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Which method.
    pub method: Method,
    /// The client's id, raw.
    pub id: &'a [u8],
}

/// What came.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The client's answer.
    Final {
        /// The whole message.
        message: Bytes,
        /// It says that there is no such resource.
        not_found: bool,
    },
    /// The upstream wants to know more first.
    Input(InputRequired),
    /// It demands capabilities that the client did not declare: their names, as far as told.
    Lacking(String),
    /// It refused the gateway's version or headers.
    Refused,
    /// A message that is no answer: a notification goes on as it is.
    Notification,
    /// Not what a modern server says.
    Garbage,
}

/// Reads one message of the upstream.
#[must_use]
pub fn read(message: &Bytes, asked: Asked<'_>) -> Answer {
    let Some((whole, envelope)) = envelope(message) else {
        return Answer::Garbage;
    };
    if let Some(raw) = envelope.raw("error") {
        return error(message, whole, &envelope, raw, asked);
    }
    match (envelope.raw("result"), envelope.raw("method"), envelope.raw("id")) {
        (Some(raw), _, _) => result(message, whole, &envelope, raw, asked),
        (None, Some(_), None) => Answer::Notification,
        // Modern servers have no requests (2026-07-28, Receiving Messages).
        (None, _, _) => Answer::Garbage,
    }
}

fn envelope(message: &Bytes) -> Option<(&str, Object<'_>)> {
    let whole = std::str::from_utf8(message).ok()?;
    Some((whole, Object::read(whole).ok()?))
}

fn result(message: &Bytes, whole: &str, envelope: &Object<'_>, raw: &str, asked: Asked<'_>) -> Answer {
    let Ok(result) = Object::read(raw) else {
        return Answer::Garbage;
    };
    match result.string("resultType").as_deref() {
        None | Some("complete") => {}
        Some("input_required") if may_ask(asked.method) => {
            return InputRequired::read(&result).map_or(Answer::Garbage, Answer::Input);
        }
        // An extension that no legacy client has.
        Some(_) => return Answer::Garbage,
    }
    let mut remove = vec!["resultType"];
    if asked.method == Method::ResourcesRead {
        remove.extend(["ttlMs", "cacheScope"]);
    }
    let mut edits = own_id(whole, envelope, asked.id);
    let said = meta_said(&result);
    if said
        .as_ref()
        .is_some_and(|(_, meta)| meta.members.iter().all(|(key, _)| key == meta::SERVER_INFO))
    {
        remove.push("_meta");
    } else if let Some((raw, object)) = &said {
        edits.extend(Members { whole, raw, object }.edits(&[], &[meta::SERVER_INFO]));
    }
    let mut set = Vec::new();
    if let Some(structured) = result.raw("structuredContent").filter(|raw| !raw.starts_with('{'))
        && asked.method == Method::ToolsCall
    {
        remove.push("structuredContent");
        if structured != "null" {
            text_edit(whole, &result, structured, &mut set, &mut edits);
        }
    }
    let object = &result;
    edits.extend(Members { whole, raw, object }.edits(&set, &remove));
    Answer::Final {
        message: Splice { edits }.apply(message),
        not_found: false,
    }
}

/// The methods that may be answered with a question (2026-07-28, MRTR, Supported Requests).
fn may_ask(method: Method) -> bool {
    matches!(method, Method::ToolsCall | Method::PromptsGet | Method::ResourcesRead)
}

/// `_meta` with its members, if it names the server.
fn meta_said<'a>(result: &Object<'a>) -> Option<(&'a str, Object<'a>)> {
    let raw = result.raw("_meta")?;
    let object = result.object("_meta").ok()??;
    object.raw(meta::SERVER_INFO).is_some().then_some((raw, object))
}

/// Puts structured content into `content`, unless there is a text already: servers are to say there what it holds
/// (tools, Structured Content).
fn text_edit<'a>(
    whole: &str,
    result: &Object<'a>,
    structured: &str,
    set: &mut Vec<(&'static str, Bytes)>,
    edits: &mut Vec<Edit>,
) {
    let block = [br#"{"type":"text","text":"#.as_slice(), &quote(structured), b"}"].concat();
    let Some(content) = result.raw("content").filter(|raw| raw.starts_with('[')) else {
        set.push(("content", [b"[".as_slice(), &block, b"]"].concat().into()));
        return;
    };
    let blocks: Vec<Object<'a>> = serde_json::from_str(content).unwrap_or_default();
    if blocks
        .iter()
        .any(|block| block.string("type").as_deref() == Some("text"))
    {
        return;
    }
    let at = span(whole, content).start + 1;
    let comma: &[u8] = if blocks.is_empty() { b"" } else { b"," };
    edits.push((at..at, [&block, comma].concat().into()));
}

fn error(message: &Bytes, whole: &str, envelope: &Object<'_>, raw: &str, asked: Asked<'_>) -> Answer {
    let Ok(error) = Object::read(raw) else {
        return Answer::Garbage;
    };
    let Some((token, code)) = error.raw("code").and_then(|raw| Some((raw, Code(raw.parse().ok()?)))) else {
        return Answer::Garbage;
    };
    let data = error.object("data").ok().flatten();
    let not_found = asked.method == Method::ResourcesRead
        && (code == Code::RESOURCE_NOT_FOUND
            || code == Code::INVALID_PARAMS && data.as_ref().is_some_and(|data| data.raw("uri").is_some()));
    if code == MISSING_CAPABILITY {
        let required = data.and_then(|data| data.object("requiredCapabilities").ok().flatten());
        let names = required.iter().flat_map(|required| &required.members);
        return Answer::Lacking(names.map(|(name, _)| name.as_ref()).collect::<Vec<_>>().join(", "));
    }
    if code == Code::HEADER_MISMATCH || code == Code::UNSUPPORTED_VERSION {
        return Answer::Refused;
    }
    let mut edits = own_id(whole, envelope, asked.id);
    if not_found && code != Code::RESOURCE_NOT_FOUND {
        let legacy = Code::RESOURCE_NOT_FOUND.0.to_string();
        edits.push((span(whole, token), legacy.into()));
    }
    Answer::Final {
        message: Splice { edits }.apply(message),
        not_found,
    }
}

/// The client's id in place of the one that came: another round's, or none where the request was not understood.
fn own_id(whole: &str, envelope: &Object<'_>, id: &[u8]) -> Vec<Edit> {
    match envelope.raw("id") {
        Some(raw) if raw.as_bytes() == id => Vec::new(),
        Some(raw) => vec![(span(whole, raw), Bytes::copy_from_slice(id))],
        None => Members {
            whole,
            raw: whole,
            object: envelope,
        }
        .edits(&[("id", Bytes::copy_from_slice(id))], &[]),
    }
}

#[cfg(test)]
mod tests;
