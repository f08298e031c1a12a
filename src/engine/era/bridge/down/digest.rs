//! Which request a state belongs to: method, name and arguments.
//!
//! A client writes its request anew for the retry. Order of members, white space and the spelling of strings may differ
//! then, so they do not count; numbers count as they are written.

use crate::engine::jsonrpc::Object;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

/// Arguments beyond this many bytes must come as they were: reading them level by level would take too long.
const LARGE: usize = 64 << 10;

/// What a request is, in 128 bits. `arguments` are raw JSON.
#[must_use]
pub fn of_request(method: &str, name: &str, arguments: Option<&str>) -> [u8; 16] {
    let mut hash = Sha256::new();
    for text in [method, name] {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    }
    match arguments {
        None => hash.update(b"-"),
        Some(raw) if raw.len() > LARGE => hash.update(raw),
        Some(raw) => hash.update(of_value(raw)),
    }
    let digest: [u8; 32] = hash.finalize().into();
    digest.first_chunk().copied().unwrap_or_default()
}

fn of_value(raw: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    match raw.as_bytes().first() {
        Some(b'{') => {
            let object = Object::read(raw).unwrap_or_default();
            let members = object.members.iter();
            let mut members: Vec<_> = members
                .map(|(key, raw)| (Sha256::digest(key.as_bytes()), of_value(raw)))
                .collect();
            members.sort_unstable();
            // What cannot be read as an object (a key stands twice) counts as it is.
            hash.update(if members.is_empty() { raw.as_bytes() } else { b"{" });
            for (key, value) in members {
                hash.update(key);
                hash.update(value);
            }
        }
        Some(b'[') => {
            hash.update(b"[");
            let items: Vec<&RawValue> = serde_json::from_str(raw).unwrap_or_default();
            items.iter().for_each(|item| hash.update(of_value(item.get())));
        }
        Some(b'"') => {
            hash.update(b"\"");
            hash.update(serde_json::from_str::<String>(raw).unwrap_or_else(|_| raw.to_owned()));
        }
        Some(_) | None => hash.update(raw),
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn of(arguments: &str) -> [u8; 16] {
        of_request("tools/call", "a", Some(arguments))
    }

    #[test]
    fn a_request_written_anew_is_the_same() {
        let first = of(r#"{"a":[1.50,{"b":"\u0041","c":null}],"d":{}}"#);
        assert_eq!(
            first,
            of(r#"{ "d" : {}, "a" : [ 1.50, { "c":null, "b":"A" } ] }"#).to_owned()
        );
    }

    #[test]
    fn another_request_is_another_one() {
        let all = [
            of_request("tools/call", "a", None),
            of_request("prompts/get", "a", None),
            of_request("tools/call", "b", None),
            of_request("tools/calla", "", None),
            of("{}"),
            of(r#"{"a":1}"#),
            of(r#"{"a":1.0}"#),
            of(r#"{"a":"1"}"#),
            of(r#"{"a":[1]}"#),
            of(r#"{"a":[[1]]}"#),
            of(r#"{"a":[],"b":1}"#),
            of(r#"{"b":[],"a":1}"#),
            of(r#"{"a":1,"a":2}"#),
            of(r#"{"a":2,"a":1}"#),
            of("[]"),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(all.iter().skip(at + 1).all(|other| other != one), "number {at}");
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,4}".prop_map(Value::from)
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map(".{0,3}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn only_the_meaning_counts(one in any_value(), other in any_value()) {
            let pretty = serde_json::to_string_pretty(&one).unwrap();
            prop_assert_eq!(of(&one.to_string()), of(&pretty));
            prop_assert_eq!(of(&one.to_string()) == of(&other.to_string()), one == other);
        }
    }
}
