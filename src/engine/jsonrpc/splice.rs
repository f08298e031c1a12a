//! Replaces a few spans of a body and leaves every other byte as it is.

use bytes::Bytes;
use std::ops::Range;

/// Edits to one body, in any order, not overlapping.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Splice {
    /// (what is replaced, by what)
    pub edits: Vec<(Range<usize>, Bytes)>,
}

impl Splice {
    /// The body with all edits made: one allocation, one copy. Without edits the same `Bytes`. An edit that overlaps an
    /// earlier one, or lies outside the body, is left out.
    #[must_use]
    pub fn apply(&self, body: &Bytes) -> Bytes {
        if self.edits.is_empty() {
            return body.clone();
        }
        let mut edits: Vec<&(Range<usize>, Bytes)> = self.edits.iter().collect();
        edits.sort_by_key(|(span, _)| span.start);
        let added: usize = edits.iter().map(|(_, new)| new.len()).sum();
        let mut spliced = Vec::with_capacity(body.len() + added);
        let mut done = 0;
        for (span, new) in edits {
            let Some(kept) = body.get(done..span.start).filter(|_| span.end <= body.len()) else {
                debug_assert!(false, "edits overlap or lie outside");
                continue;
            };
            spliced.extend_from_slice(kept);
            spliced.extend_from_slice(new);
            done = span.end;
        }
        spliced.extend_from_slice(body.get(done..).unwrap_or_default());
        Bytes::from(spliced)
    }
}

/// `text` as a JSON string token, quotes included.
#[must_use]
pub fn quote(text: &str) -> Bytes {
    Bytes::from(serde_json::to_vec(text).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::jsonrpc::Envelope;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn splicing_a_name_equals_editing_the_tree(old in ".*", new in ".*", more in "[a-z]{0,8}", number: i64) {
            let body = format!(
                r#" {{"id": {number},"jsonrpc":"2.0" ,"method":"tools/call","params":{{"x":[1.0,{{"y":null}}],"name" :{},"arguments":{{"{more}":12345678901234567890123}}}}}}"#,
                String::from_utf8_lossy(&quote(&old)),
            );
            let body = Bytes::from(body);
            let envelope = Envelope::scan(&body, 128).expect("a call");
            let span = envelope.span(envelope.params.raw("name").expect("name"));
            let spliced = Splice { edits: vec![(span.clone(), quote(&new))] }.apply(&body);

            prop_assert_eq!(&spliced[..span.start], &body[..span.start]);
            prop_assert!(spliced.ends_with(&body[span.end..]));
            let again = Envelope::scan(&spliced, 128).expect("still a call");
            prop_assert_eq!(again.params.string("name").expect("name"), new);
        }
    }

    #[test]
    fn without_edits_nothing_is_copied() {
        let body = Bytes::from_static(b"{}");
        assert_eq!(Splice::default().apply(&body).as_ptr(), body.as_ptr());
    }
}
