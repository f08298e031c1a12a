//! HTTP headers of MCP: names, and the base64 form of SEP-2243 values.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Cow;

/// `mcp-session-id`
pub const SESSION_ID: &str = "mcp-session-id";
/// `mcp-protocol-version`
pub const PROTOCOL_VERSION: &str = "mcp-protocol-version";
/// `mcp-method` (SEP-2243)
pub const METHOD: &str = "mcp-method";
/// `mcp-name` (SEP-2243)
pub const NAME: &str = "mcp-name";
/// Ours: the address, `ip:port`, that a call has to go to because it holds the session.
pub const ENDPOINT: &str = "x-mcp-endpoint";

const OPEN: &str = "=?base64?";
const CLOSE: &str = "?=";

/// The text a header value stands for: plain, or `=?base64?...?=`. White space around it is no part of it (RFC 9110,
/// 5.5). `None` if the base64 form is broken or not UTF-8, or if plain text holds what must come encoded.
#[must_use]
pub fn decode_value(value: &[u8]) -> Option<Cow<'_, str>> {
    let text = std::str::from_utf8(value.trim_ascii()).ok()?;
    let Some(inner) = text.strip_prefix(OPEN).and_then(|rest| rest.strip_suffix(CLOSE)) else {
        // A header value with invalid characters is a mismatch (2026-07-28, Server Validation).
        let is_plain = text.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
        return is_plain.then_some(Cow::Borrowed(text));
    };
    String::from_utf8(STANDARD.decode(inner).ok()?).ok().map(Cow::Owned)
}

/// `text` as a header value: plain where a header may carry it as it is, else `=?base64?...?=`.
#[must_use]
pub fn encode_value(text: &str) -> String {
    let visible = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let looks_encoded = text.starts_with(OPEN) && text.ends_with(CLOSE);
    if visible && !looks_encoded && text.trim() == text && !text.is_empty() {
        text.to_owned()
    } else {
        format!("{OPEN}{}{CLOSE}", STANDARD.encode(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn plain_names_stay_readable() {
        assert_eq!(encode_value("get weather"), "get weather");
        assert_eq!(encode_value("wetter_\u{fc}"), "=?base64?d2V0dGVyX8O8?=");
    }

    #[test]
    fn a_broken_base64_form_is_no_value() {
        assert_eq!(decode_value(b"=?base64?%%%?="), None);
        assert_eq!(decode_value(b"=?base64?/w==?="), None, "not UTF-8");
        assert_eq!(decode_value(b" search "), Some("search".into()));
    }

    #[test]
    fn values_are_encoded_as_the_specification_shows() {
        let examples = [
            ("us-west1", "us-west1"),
            ("Hello, \u{4e16}\u{754c}", "=?base64?SGVsbG8sIOS4lueVjA==?="),
            (" padded ", "=?base64?IHBhZGRlZCA=?="),
            ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
            ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
        ];
        for (text, header) in examples {
            assert_eq!(encode_value(text), header);
            assert_eq!(decode_value(header.as_bytes()).as_deref(), Some(text));
        }
    }

    #[test]
    fn plain_values_hold_nothing_that_must_come_encoded() {
        for value in ["caf\u{e9}".as_bytes(), b"caf\xe9", b"a\x01b", b"a\x7fb"] {
            assert_eq!(decode_value(value), None, "{value:?}");
        }
        assert_eq!(
            decode_value(b"=?BASE64?YQ==?=").as_deref(),
            Some("=?BASE64?YQ==?="),
            "the marks have a case"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(value: Vec<u8>) {
            let _ = decode_value(&value);
        }

        #[test]
        fn every_text_survives_the_header(text in ".*") {
            let encoded = encode_value(&text);
            prop_assert!(encoded.bytes().all(|byte| matches!(byte, b' '..=b'~')));
            prop_assert_eq!(decode_value(encoded.as_bytes()).expect("decodes"), text);
        }
    }
}
