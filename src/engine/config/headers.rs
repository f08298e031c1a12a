//! Header names and values that an operator may set towards an upstream, and those that are not his to set.

use http::header::{HeaderName, HeaderValue};

/// Of the connection, of the body, or set by the gateway on every call.
const RESERVED: [&str; 16] = [
    "accept",
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "last-event-id",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "origin",
];

/// The lower-case name, or why it cannot be set.
pub(super) fn name(text: &str) -> Result<String, String> {
    let name = HeaderName::from_bytes(text.as_bytes()).map_err(|_| "not a header name".to_owned())?;
    let name = name.as_str();
    if RESERVED.contains(&name) {
        return Err(format!("{name} is set by the gateway or belongs to the connection"));
    }
    for prefix in ["x-mcp-", "mcp-", "x-envoy-"] {
        if name.starts_with(prefix) {
            return Err(format!("names that begin with {prefix} are not for configuration"));
        }
    }
    Ok(name.to_owned())
}

/// Whether the value can stand in a header.
pub(super) fn value(text: &str) -> Result<(), &'static str> {
    let visible = text.bytes().all(|byte| byte == b'\t' || (0x20..0x7f).contains(&byte));
    if visible && HeaderValue::from_str(text).is_ok() && text.trim() == text {
        Ok(())
    } else {
        Err("not a header value: one line of visible ASCII without blanks around it")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_connection_and_of_the_gateway_are_refused() {
        for refused in [
            "Host",
            "Transfer-Encoding",
            "x-mcp-upstream",
            "Mcp-Session-Id",
            "x-envoy-retry-on",
            "a b",
            "",
        ] {
            assert!(name(refused).is_err(), "{refused}");
        }
        assert_eq!(name("Authorization").as_deref(), Ok("authorization"));
    }

    #[test]
    fn a_value_is_one_visible_line() {
        assert_eq!(value("tools, all of them"), Ok(()));
        for refused in ["a\nb", "a\r", " a", "ä"] {
            assert!(value(refused).is_err(), "{refused:?}");
        }
    }
}
