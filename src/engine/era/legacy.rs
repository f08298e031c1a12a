//! What a legacy upstream is told in answer to its own requests, and what of a client's capabilities it may know.

use crate::engine::jsonrpc::splice::quote;
use crate::engine::jsonrpc::{Code, Object};
use bytes::Bytes;

/// A result for the request that the upstream called `id`. Both are raw JSON.
#[must_use]
pub fn result(id: &str, result: &str) -> Bytes {
    Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#))
}

/// An error for the request that the upstream called `id`. Both are raw JSON.
#[must_use]
pub fn error(id: &str, error: &str) -> Bytes {
    Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#))
}

/// The same with an error of ours.
#[must_use]
pub fn refusal(id: &str, code: Code, message: &str) -> Bytes {
    let message = quote(message);
    let message = String::from_utf8_lossy(&message);
    error(id, &format!(r#"{{"code":{},"message":{message}}}"#, code.0))
}

/// The capabilities of a modern client for `initialize`: all but tasks, whose two forms have nothing in common, so that
/// an upstream must not begin one.
#[must_use]
pub fn capabilities(modern: &str) -> Box<str> {
    let Ok(declared) = Object::read(modern) else {
        return "{}".into();
    };
    let members = declared.members.iter().filter(|(key, _)| key != "tasks");
    let members = members.map(|(key, raw)| match key.as_ref() {
        "extensions" => (key, without_tasks(raw)),
        _ => (key, (*raw).into()),
    });
    object(members.map(|(key, raw)| (key.as_ref(), raw)))
}

fn without_tasks(extensions: &str) -> Box<str> {
    let Ok(declared) = Object::read(extensions) else {
        return "{}".into();
    };
    let kept = declared
        .members
        .iter()
        .filter(|(key, _)| key != "io.modelcontextprotocol/tasks");
    object(kept.map(|(key, raw)| (key.as_ref(), (*raw).into())))
}

fn object<'a>(members: impl Iterator<Item = (&'a str, Box<str>)>) -> Box<str> {
    let mut text = String::from("{");
    for (at, (key, raw)) in members.enumerate() {
        if at > 0 {
            text.push(',');
        }
        text.push_str(&String::from_utf8_lossy(&quote(key)));
        text.push(':');
        text.push_str(&raw);
    }
    text.push('}');
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_one_message_whatever_it_says() {
        let said = refusal("\"a\"", Code::METHOD_NOT_FOUND, "no \"such\" method");
        let said: serde_json::Value = serde_json::from_slice(&said).expect("JSON");
        assert_eq!(said["id"], "a");
        assert_eq!(said["error"]["code"], -32601);
        assert_eq!(said["error"]["message"], "no \"such\" method");
    }

    #[test]
    fn a_legacy_upstream_hears_of_everything_but_tasks() {
        let modern =
            r#"{"sampling":{"tools":{}},"tasks":{},"extensions":{"io.modelcontextprotocol/tasks":{},"x":{"y":1.0}}}"#;
        let expected = r#"{"sampling":{"tools":{}},"extensions":{"x":{"y":1.0}}}"#;
        assert_eq!(capabilities(modern).as_ref(), expected);
        assert_eq!(capabilities("{ }").as_ref(), "{}");
        assert_eq!(capabilities("[]").as_ref(), "{}");
    }
}
