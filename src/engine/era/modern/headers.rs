//! The headers that mirror a modern request (SEP-2243): `Mcp-Method`, `Mcp-Name`, `Mcp-Param-*`.
//!
//! Computed from the very bytes that go out, so that header and body agree.

use crate::engine::jsonrpc::Object;
use crate::engine::mcp::headers::{self, encode_value};
use crate::engine::mcp::params::ParamHeaders;
use crate::engine::mcp::{Method, Version};
use bytes::Bytes;
use std::borrow::Cow;

/// Name and value; names in lower case.
pub type Header = (Cow<'static, str>, Bytes);

/// What goes with `body`, a request of `method` in `version`; `mirrored`: the arguments that its tool wants in headers.
#[must_use]
pub fn of(body: &[u8], method: Method, version: Version, mirrored: &ParamHeaders) -> Vec<Header> {
    let mut all: Vec<Header> = vec![
        (
            headers::PROTOCOL_VERSION.into(),
            Bytes::from_static(version.as_str().as_bytes()),
        ),
        (headers::METHOD.into(), Bytes::from_static(method.as_str().as_bytes())),
    ];
    let params = std::str::from_utf8(body)
        .ok()
        .and_then(|text| Object::read(text).ok()?.object("params").ok()?);
    let Some(params) = params else { return all };
    if let Some(name) = named_by(method).and_then(|key| params.string(key)) {
        all.push((headers::NAME.into(), encode_value(&name).into()));
    }
    if let (Some(mirrored), Some(arguments)) = (mirrored, params.raw("arguments")) {
        for param in mirrored.iter() {
            let value = param.value(arguments);
            all.extend(value.map(|value| (param.header.to_string().into(), value.into())));
        }
    }
    all
}

/// The parameter that `Mcp-Name` mirrors.
fn named_by(method: Method) -> Option<&'static str> {
    match method {
        Method::ToolsCall | Method::PromptsGet => Some("name"),
        Method::ResourcesRead => Some("uri"),
        Method::TasksGet | Method::TasksUpdate | Method::TasksCancel => Some("taskId"),
        Method::Initialize
        | Method::Discover
        | Method::Ping
        | Method::ToolsList
        | Method::PromptsList
        | Method::ResourcesList
        | Method::ResourceTemplatesList
        | Method::ResourcesSubscribe
        | Method::ResourcesUnsubscribe
        | Method::Complete
        | Method::SetLevel
        | Method::Listen
        | Method::TasksResult
        | Method::TasksList => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::mcp::params;

    fn mk_headers(body: &str, method: Method, mirrored: &ParamHeaders) -> Vec<String> {
        let all = of(body.as_bytes(), method, Version::V2026_07_28, mirrored);
        let line = |(name, value): &Header| format!("{name}: {}", String::from_utf8_lossy(value));
        all.iter().skip(1).map(line).collect()
    }

    #[test]
    fn the_name_is_mirrored_where_there_is_one() {
        let call = r#"{"params":{"name":"w\u00e4hle"}}"#;
        assert_eq!(
            mk_headers(call, Method::ToolsCall, &None),
            ["mcp-method: tools/call", "mcp-name: =?base64?d8OkaGxl?="]
        );
        let read = r#"{"params":{"uri":"file:///a b"}}"#;
        assert_eq!(
            mk_headers(read, Method::ResourcesRead, &None),
            ["mcp-method: resources/read", "mcp-name: file:///a b"]
        );
        let complete = r#"{"params":{"ref":{"name":"a"},"name":"b"}}"#;
        assert_eq!(
            mk_headers(complete, Method::Complete, &None),
            ["mcp-method: completion/complete"],
            "it mirrors no name"
        );
    }

    #[test]
    fn arguments_are_mirrored_where_the_tool_says_so() {
        let schema = r#"{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"},
            "n":{"type":"object","properties":{"count":{"type":"integer","x-mcp-header":"Count"}}},
            "none":{"type":"string","x-mcp-header":"None"}}}"#;
        let mirrored = params::read(schema).expect("a good schema");
        let body = r#"{"params":{"name":"a","arguments":{"region":" us ","n":{"count":4.20e1},"none":null}}}"#;
        let mut found = mk_headers(body, Method::ToolsCall, &mirrored).split_off(2);
        found.sort();
        assert_eq!(found, ["mcp-param-count: 42", "mcp-param-region: =?base64?IHVzIA==?="]);
    }
}
