//! Replaces a few spans of a body and leaves every other byte as it is.

use bytes::Bytes;
use std::ops::Range;

/// Edits to one body, in any order, not overlapping.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Splice {
    /// (what is replaced, by what); an empty range inserts.
    pub edits: Vec<(Range<usize>, Bytes)>,
}

impl Splice {
    /// The body with all edits made: one allocation, one copy. Without edits the same `Bytes`.
    ///
    /// An edit that overlaps an earlier one or lies outside the body is a mistake of the caller: it is left out.
    #[must_use]
    pub fn apply(&self, body: &Bytes) -> Bytes {
        if self.edits.is_empty() {
            return body.clone();
        }
        self.copied(body)
    }

    /// The same for a body that is only borrowed: always a copy.
    #[must_use]
    pub fn copied(&self, body: &[u8]) -> Bytes {
        let place = |(range, _): &&(Range<usize>, Bytes)| (range.start, range.end);
        if self.edits.iter().is_sorted_by_key(|edit| place(&edit)) {
            return copy(body, self.edits.iter());
        }
        let mut sorted: Vec<_> = self.edits.iter().collect();
        sorted.sort_by_key(place);
        copy(body, sorted.into_iter())
    }
}

/// Copies `body` with `edits`, which come in the order of their places.
fn copy<'a>(body: &[u8], edits: impl Iterator<Item = &'a (Range<usize>, Bytes)> + Clone) -> Bytes {
    let longer: usize = edits.clone().map(|(_, new)| new.len()).sum();
    let mut out = Vec::with_capacity(body.len() + longer);
    let mut done = 0;
    for (range, new) in edits {
        let kept = body
            .get(done..range.start)
            .filter(|_| range.start <= range.end && range.end <= body.len());
        debug_assert!(
            kept.is_some(),
            "edit {range:?} overlaps another or lies outside the body"
        );
        let Some(kept) = kept else { continue };
        out.extend_from_slice(kept);
        out.extend_from_slice(new);
        done = range.end;
    }
    out.extend_from_slice(body.get(done..).unwrap_or_default());
    Bytes::from(out)
}

/// `text` as a JSON string token, quotes included.
#[must_use]
pub fn quote(text: &str) -> Bytes {
    let mut out = Vec::with_capacity(text.len() + 2);
    serde_json::to_writer(&mut out, text).expect("a string is always JSON, and a Vec takes any write");
    Bytes::from(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::jsonrpc::Envelope;
    use proptest::prelude::*;

    fn splice(edits: &[(Range<usize>, &'static str)]) -> Splice {
        let edits = edits
            .iter()
            .map(|(range, new)| (range.clone(), Bytes::from_static(new.as_bytes())))
            .collect();
        Splice { edits }
    }

    #[test]
    fn edits_are_made_in_any_order_and_length() {
        let edited = splice(&[(8..9, ""), (0..1, "longer"), (4..4, "+"), (4..5, "-")]).apply(&"0123456789".into());
        assert_eq!(edited, "longer123+-5679");
    }

    #[test]
    fn without_edits_the_body_is_not_copied() {
        let body = Bytes::from("body".to_owned());
        assert_eq!(Splice::default().apply(&body).as_ptr(), body.as_ptr());
    }

    #[test]
    #[cfg_attr(debug_assertions, should_panic(expected = "overlaps"))]
    fn an_overlapping_edit_is_left_out() {
        assert_eq!(
            splice(&[(0..2, "a"), (1..3, "b"), (9..10, "c")]).apply(&"0123".into()),
            "a23"
        );
    }

    proptest! {
        #[test]
        fn a_spliced_name_equals_an_edit_of_the_parsed_tree(old in ".{0,12}", new in ".{0,12}", argument in ".{0,12}") {
            let mut tree = serde_json::json!({
                "jsonrpc": "2.0", "id": 1, "method": "tools/call",
                "params": {"name": old, "arguments": {"name": argument}},
            });
            let body = Bytes::from(tree.to_string());
            let envelope = Envelope::scan(&body, 128).unwrap();
            let span = envelope.span(envelope.params.raw("name").unwrap());
            let edited = Splice { edits: vec![(span.clone(), quote(&new))] }.apply(&body);

            tree["params"]["name"] = new.into();
            prop_assert_eq!(serde_json::from_slice::<serde_json::Value>(&edited).unwrap(), tree);
            prop_assert_eq!(&edited[..span.start], &body[..span.start]);
            prop_assert!(edited.ends_with(&body[span.end..]));
        }
    }
}
