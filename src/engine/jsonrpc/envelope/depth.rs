//! Counts nesting before anything descends into it: serde_json skips values without a limit.

/// True if objects and arrays nest deeper than `limit`. Says nothing about whether `body` is JSON.
pub(super) fn exceeds(body: &[u8], limit: u32) -> bool {
    // Most bodies have fewer brackets than allowed levels; to count them costs a tenth of walking through the text.
    opening_brackets(body) > limit as usize && nests_deeper(body, limit)
}

/// How many `[` and `{` there are, also within strings. Counted in bytes, block by block, so that it is vectorised.
fn opening_brackets(body: &[u8]) -> usize {
    // The two differ by one bit.
    let in_block = |block: &[u8]| block.iter().map(|byte| u8::from(byte | 0x20 == b'{')).sum::<u8>();
    body.chunks(u8::MAX.into())
        .map(|block| usize::from(in_block(block)))
        .sum()
}

fn nests_deeper(body: &[u8], limit: u32) -> bool {
    let mut level = 0_u32;
    let mut rest = body.iter();
    while let Some(byte) = rest.next() {
        match byte {
            b'{' | b'[' if level == limit => return true,
            b'{' | b'[' => level += 1,
            b'}' | b']' => level = level.saturating_sub(1),
            b'"' => skip_string(&mut rest),
            _ => {}
        }
    }
    false
}

/// Goes on behind the closing quote. Byte by byte: where there are many brackets, strings are short.
fn skip_string(rest: &mut std::slice::Iter<'_, u8>) {
    while let Some(byte) = rest.next() {
        match byte {
            b'"' => return,
            b'\\' => {
                rest.next();
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    #[test]
    fn brackets_within_strings_do_not_nest() {
        let body = br#"{"a":"[[[[[[\"[[[","b":[1]}"#;
        assert!(exceeds(body, 1));
        assert!(!exceeds(body, 2));
    }

    #[test]
    fn as_deep_as_the_limit_is_allowed() {
        let body = format!("{}{}", "[".repeat(128), "]".repeat(128));
        assert!(!exceeds(body.as_bytes(), 128));
        assert!(exceeds(body.as_bytes(), 127));
    }

    fn levels(value: &Value) -> u32 {
        match value {
            Value::Array(items) => 1 + items.iter().map(levels).max().unwrap_or(0),
            Value::Object(members) => 1 + members.values().map(levels).max().unwrap_or(0),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
        }
    }

    proptest! {
        #[test]
        fn depth_is_that_of_the_parsed_tree(value in super::super::tests::json(), limit in 0_u32..6) {
            prop_assert_eq!(exceeds(value.to_string().as_bytes(), limit), levels(&value) > limit);
        }
    }
}
