//! What a client sees instead of an upstream's request id or progress token: the same with the upstream's name before it.
//!
//! Nothing is remembered: a response names its upstream. A client can put any token there, but only to upstreams of its
//! own session; that it is one JSON token is checked, for it is spliced into a message.

use crate::engine::jsonrpc::splice::quote;
use bytes::Bytes;
use serde_json::value::RawValue;

/// Distinguishes our ids from those that a client or an upstream made up.
const MARK: &str = "mm:";

/// The raw JSON token `raw` of `upstream`, as a JSON string token: `"mm:<upstream>:<raw>"`.
#[must_use]
pub fn expose(upstream: &str, raw: &str) -> Bytes {
    quote(&[MARK, upstream, ":", raw].concat())
}

/// Takes a raw JSON token apart: upstream and raw token. `None` if [`expose`] cannot have made it.
#[must_use]
pub fn reveal(token: &str) -> Option<(Box<str>, Box<str>)> {
    let text: String = serde_json::from_str(token).ok()?;
    let (upstream, raw) = text.strip_prefix(MARK)?.split_once(':')?;
    (!upstream.is_empty() && is_id(raw)).then(|| (upstream.into(), raw.into()))
}

/// True if `raw` is one JSON string or number and nothing else.
fn is_id(raw: &str) -> bool {
    let begins = |byte: &u8| *byte == b'"' || *byte == b'-' || byte.is_ascii_digit();
    raw.as_bytes().first().is_some_and(begins)
        && serde_json::from_str::<&RawValue>(raw).is_ok_and(|token| token.get().len() == raw.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_upstream_stands_before_the_token() {
        assert_eq!(expose("github", "7"), r#""mm:github:7""#);
        assert_eq!(expose("a.b-c", r#""x:y""#), r#""mm:a.b-c:\"x:y\"""#);
    }

    #[test]
    fn ids_of_a_gateway_behind_this_one_are_only_tokens() {
        let inner = expose("b", "7");
        let outer = expose("a", std::str::from_utf8(&inner).expect("text"));
        let (upstream, raw) = reveal(std::str::from_utf8(&outer).expect("text")).expect("ours");
        assert_eq!((upstream.as_ref(), raw.as_bytes()), ("a", inner.as_ref()));
    }

    #[test]
    fn what_would_change_the_message_around_it_is_not_revealed() {
        for forged in [
            r#""mm:a:1,\"id\":2""#,
            r#""mm:a: 1""#,
            r#""mm:a:1 ""#,
            r#""mm:a:{}""#,
            r#""mm:a:null""#,
            r#""mm:a:\"""#,
            r#""mm:a:""#,
            r#""mm:a""#,
            r#""mm::1""#,
            r#""mg:1""#,
            "7",
            "null",
            "",
        ] {
            assert_eq!(reveal(forged), None, "{forged}");
        }
    }

    proptest! {
        #[test]
        fn what_is_exposed_is_revealed(upstream in "[a-z0-9]([a-z0-9.-]{0,8}[a-z0-9])?", text in ".{0,12}", number: i64) {
            for raw in [serde_json::Value::from(text).to_string(), number.to_string()] {
                let token = expose(&upstream, &raw);
                let revealed = reveal(std::str::from_utf8(&token).unwrap());
                prop_assert_eq!(revealed, Some((upstream.as_str().into(), raw.into())));
            }
        }

        #[test]
        fn any_token_is_taken(token in ".{0,20}") {
            let _ = reveal(&token);
        }
    }
}
