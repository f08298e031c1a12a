//! Counts nesting before anything descends into it: serde_json skips values without a limit.

/// True if objects and arrays nest deeper than `limit`. Says nothing about whether `body` is JSON.
pub(super) fn exceeds(body: &[u8], limit: u32) -> bool {
    let mut depth = 0u32;
    let mut rest = body;
    loop {
        let Some(at) = rest
            .iter()
            .position(|byte| matches!(byte, b'"' | b'{' | b'[' | b'}' | b']'))
        else {
            return false;
        };
        let (byte, after) = (rest.get(at).copied(), rest.get(at + 1..).unwrap_or_default());
        rest = after;
        match byte {
            Some(b'{' | b'[') => {
                depth += 1;
                if depth > limit {
                    return true;
                }
            }
            Some(b'}' | b']') => depth = depth.saturating_sub(1),
            Some(_) => rest = after_string(rest),
            None => return false,
        }
    }
}

/// What follows the closing quote; `rest` begins within a string.
fn after_string(mut rest: &[u8]) -> &[u8] {
    while let Some(at) = memchr::memchr2(b'"', b'\\', rest) {
        let skip = if rest.get(at) == Some(&b'"') { 1 } else { 2 };
        let after = rest.get(at + skip..).unwrap_or_default();
        if skip == 1 {
            return after;
        }
        rest = after;
    }
    &[]
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
