//! Sets and removes members of one object within a larger text; every other byte stays.

use super::Object;
use super::splice::quote;
use bytes::Bytes;
use std::ops::Range;

/// One edit for [`super::Splice`]: what is replaced, by what.
pub type Edit = (Range<usize>, Bytes);

/// One object and where it stands.
#[derive(Clone, Copy, Debug)]
pub struct Members<'a> {
    /// What will be spliced.
    pub whole: &'a str,
    /// The object, a slice of `whole`.
    pub raw: &'a str,
    /// Its members, read from `raw`.
    pub object: &'a Object<'a>,
}

impl Members<'_> {
    /// The edits that give each key of `set` its raw JSON value, in place where it is there, else in front of the rest,
    /// and take away the keys of `remove` with their commas.
    #[must_use]
    pub fn edits(&self, set: &[(&str, Bytes)], remove: &[&str]) -> Vec<Edit> {
        let mut edits = self.removals(remove);
        let mut fresh = Vec::new();
        for (key, value) in set {
            let mut there = self.object.members.iter().filter(|(name, _)| name == key).peekable();
            if there.peek().is_none() {
                fresh.extend_from_slice(if fresh.is_empty() { b"" } else { b"," });
                fresh.extend_from_slice(&quote(key));
                fresh.push(b':');
                fresh.extend_from_slice(value);
            }
            edits.extend(there.map(|(_, old)| (span(self.whole, old), value.clone())));
        }
        if !fresh.is_empty() {
            let is_kept = |name: &str| !remove.contains(&name);
            if self.object.members.iter().any(|(name, _)| is_kept(name)) {
                fresh.push(b',');
            }
            let inside = self.inside();
            edits.push((inside..inside, fresh.into()));
        }
        edits
    }

    fn removals(&self, remove: &[&str]) -> Vec<Edit> {
        let mut edits = Vec::new();
        // Where the last member ended, and whether any before this one stays.
        let (mut end, mut stays) = (self.inside(), false);
        let mut leading = None;
        for (name, value) in &self.object.members {
            let next = span(self.whole, value).end;
            if !remove.contains(&name.as_ref()) {
                if let Some(to) = leading.take() {
                    edits.push((self.inside()..after_comma(self.whole, to), Bytes::new()));
                }
                stays = true;
            } else if stays {
                edits.push((end..next, Bytes::new()));
            } else {
                leading = Some(next);
            }
            end = next;
        }
        edits.extend(leading.map(|to| (self.inside()..to, Bytes::new())));
        edits
    }

    /// Just behind the opening brace.
    fn inside(&self) -> usize {
        let space = self.raw.len() - self.raw.trim_start().len();
        span(self.whole, self.raw).start + space + 1
    }
}

/// Where `raw`, a slice of `whole`, stands in it; `0..0` if it is none.
#[must_use]
pub fn span(whole: &str, raw: &str) -> Range<usize> {
    let start = (raw.as_ptr() as usize).checked_sub(whole.as_ptr() as usize);
    match start {
        Some(start) if start + raw.len() <= whole.len() => start..start + raw.len(),
        Some(_) | None => 0..0,
    }
}

/// Behind the comma that follows `at`, with nothing but white space between.
fn after_comma(whole: &str, at: usize) -> usize {
    let rest = whole.get(at..).unwrap_or_default();
    let space = rest.len() - rest.trim_start().len();
    at + space + usize::from(rest.trim_start().starts_with(','))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::jsonrpc::Splice;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn edit(text: &str, set: &[(&str, &'static str)], remove: &[&str]) -> String {
        let object = Object::read(text).expect("an object");
        let set: Vec<_> = set.iter().map(|(key, value)| (*key, Bytes::from(*value))).collect();
        let members = Members {
            whole: text,
            raw: text,
            object: &object,
        };
        let splice = Splice {
            edits: members.edits(&set, remove),
        };
        let edited = splice.apply(&Bytes::copy_from_slice(text.as_bytes()));
        String::from_utf8(edited.into()).expect("text")
    }

    #[test]
    fn members_are_replaced_where_they_stand_or_put_in_front() {
        assert_eq!(
            edit(r#" { "a": 1 , "b":2}"#, &[("b", "3"), ("c", "4")], &[]),
            r#" {"c":4, "a": 1 , "b":3}"#
        );
        assert_eq!(edit("{ }", &[("a", "1"), ("b", "2")], &[]), r#"{"a":1,"b":2 }"#);
    }

    #[test]
    fn a_member_goes_with_its_comma() {
        let text = r#"{ "a":1 , "b":[1,2], "c":{} }"#;
        assert_eq!(edit(text, &[], &["a"]), r#"{ "b":[1,2], "c":{} }"#);
        assert_eq!(edit(text, &[], &["b"]), r#"{ "a":1, "c":{} }"#);
        assert_eq!(edit(text, &[], &["c"]), r#"{ "a":1 , "b":[1,2] }"#);
        assert_eq!(edit(text, &[], &["a", "b"]), r#"{ "c":{} }"#);
        assert_eq!(edit(text, &[], &["b", "c"]), r#"{ "a":1 }"#);
        assert_eq!(edit(text, &[("d", "0")], &["a", "b", "c"]), r#"{"d":0 }"#);
        assert_eq!(edit(text, &[], &["x"]), text);
    }

    proptest! {
        #[test]
        fn an_edit_equals_one_of_the_parsed_tree(
            tree in proptest::collection::btree_map("[a-f\"\\\\]{1,2}", "[ ,}\"a-z]{0,4}", 0..8),
            set in proptest::collection::btree_map("[a-f]", 0_u8..9, 0..4),
            remove in proptest::collection::vec("[g-h\"]", 0..3),
            pretty: bool,
        ) {
            let text = if pretty { serde_json::to_string_pretty(&tree) } else { serde_json::to_string(&tree) };
            let text = text.expect("JSON");
            let object = Object::read(&text).expect("an object");
            let given: Vec<_> = set.iter().map(|(key, value)| (key.as_str(), Bytes::from(value.to_string()))).collect();
            let remove: Vec<&str> = remove.iter().map(String::as_str).collect();
            let edits = Members { whole: &text, raw: &text, object: &object }.edits(&given, &remove);
            let edited = Splice { edits }.apply(&Bytes::from(text.clone()));

            let mut expected: BTreeMap<String, serde_json::Value> =
                tree.into_iter().map(|(key, value)| (key, value.into())).collect();
            expected.retain(|key, _| !remove.contains(&key.as_str()));
            expected.extend(set.into_iter().map(|(key, value)| (key, value.into())));
            let found: BTreeMap<String, serde_json::Value> = serde_json::from_slice(&edited).expect("still JSON");
            prop_assert_eq!(found, expected);
        }
    }
}
