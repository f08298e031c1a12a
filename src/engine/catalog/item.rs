//! Reads one item: decodes its key, remembers where it stands, keeps every byte.

use super::{Item, Kind, Members};
use crate::engine::mcp::params;
use std::ops::Range;

/// Deeper items are skipped: within a list they would exceed the 128 levels at which clients give up on the whole list.
const MAX_DEPTH: usize = 120;

/// Why one item cannot be shown. It is skipped; the rest of its list stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ItemError {
    /// Not a JSON object, or larger than 4 GiB.
    #[error("item is not a JSON object")]
    NotAnObject,
    /// No key, so nobody could call it.
    #[error("item has no {0:?}")]
    Missing(&'static str),
    /// The key is empty or not a string.
    #[error("{0:?} of an item is not a string with content")]
    NotText(&'static str),
    /// Readers would differ in which one they take.
    #[error("key {0:?} of an item appears twice")]
    DuplicateKey(&'static str),
    /// Clients could not read a list with it.
    #[error("item is nested deeper than {MAX_DEPTH}")]
    TooDeep,
}

impl Item {
    /// Reads one item of a list out of its raw JSON object.
    ///
    /// # Errors
    /// See [`ItemError`].
    pub fn read(kind: Kind, raw: &str) -> Result<Self, ItemError> {
        let word = kind.key();
        let members = Members::read(raw).ok_or(ItemError::NotAnObject)?;
        if depth(raw) > MAX_DEPTH {
            return Err(ItemError::TooDeep);
        }
        let token = members.unique(word).map_err(|_| ItemError::DuplicateKey(word))?;
        let token = token.ok_or(ItemError::Missing(word))?;
        let key: String = serde_json::from_str(token).map_err(|_| ItemError::NotText(word))?;
        if key.is_empty() {
            return Err(ItemError::NotText(word));
        }
        let span = span(raw, token);
        let (Ok(start), Ok(end)) = (u32::try_from(span.start), u32::try_from(span.end)) else {
            return Err(ItemError::NotAnObject);
        };
        Ok(Self {
            key: key.into(),
            raw: raw.into(),
            key_span: start..end,
            ui_resource: match kind {
                Kind::Tools => ui_resource(&members),
                Kind::Prompts | Kind::Resources | Kind::Templates => None,
            },
            params: match (kind, members.last("inputSchema")) {
                (Kind::Tools, Some(schema)) => params::read(schema),
                (Kind::Tools, None) | (Kind::Prompts | Kind::Resources | Kind::Templates, _) => Ok(None),
            },
            reserved: false,
        })
    }

    /// The raw object around the key's token.
    pub(crate) fn around_key(&self) -> (&str, &str) {
        let (start, end) = (self.key_span.start as usize, self.key_span.end as usize);
        (
            self.raw.get(..start).unwrap_or_default(),
            self.raw.get(end..).unwrap_or_default(),
        )
    }

    /// Where a tool names the resource that shows it, and the decoded URI there: both forms, for clients read either.
    pub(crate) fn ui_resource_spans(&self) -> Vec<(Range<usize>, String)> {
        let Some(meta) = Members::read(&self.raw).and_then(|tool| Members::read(tool.last("_meta")?)) else {
            return Vec::new();
        };
        let nested = meta.last("ui").and_then(Members::read);
        let nested = nested.and_then(|ui| ui.last("resourceUri"));
        let tokens = [nested, meta.last("ui/resourceUri")].into_iter().flatten();
        tokens
            .filter_map(|token| Some((span(&self.raw, token), serde_json::from_str(token).ok()?)))
            .collect()
    }

    /// The decoded string member `key`, for display.
    pub(crate) fn text(&self, key: &str) -> Option<String> {
        Members::read(&self.raw)?.string(key)
    }
}

/// Where `token`, a slice of `raw`, stands in it.
fn span(raw: &str, token: &str) -> Range<usize> {
    let start = token.as_ptr().addr().wrapping_sub(raw.as_ptr().addr());
    start..start.wrapping_add(token.len())
}

/// Levels of arrays and objects in valid JSON.
fn depth(raw: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => skip_string(&mut bytes),
            _ => {}
        }
    }
    deepest
}

fn skip_string(bytes: &mut impl Iterator<Item = u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next()),
            b'"' => return,
            _ => {}
        }
    }
}

/// `_meta.ui.resourceUri`, or the flat `_meta["ui/resourceUri"]` of the first MCP Apps servers.
fn ui_resource(members: &Members<'_>) -> Option<Box<str>> {
    let meta = Members::read(members.last("_meta")?)?;
    let nested = meta.last("ui").and_then(Members::read);
    let uri = nested.and_then(|ui| ui.string("resourceUri"));
    uri.or_else(|| meta.string("ui/resourceUri"))
        .map(String::into_boxed_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_raw_object_is_kept_byte_by_byte() {
        let raw =
            "{ \"x\" : 90071992547409931234567890, \"na\\u006de\"\t: \"se\\u0061rch\",\n\"icons\":[{\"src\":\"d\"}] }";
        let item = Item::read(Kind::Tools, raw).unwrap();
        assert_eq!(&*item.raw, raw);
        assert_eq!(&*item.key, "search");
        let (head, tail) = item.around_key();
        assert_eq!(format!("{head}\"se\\u0061rch\"{tail}"), raw);
    }

    #[test]
    fn a_key_given_twice_is_refused() {
        let raw = r#"{"name":"a","n\u0061me":"b"}"#;
        assert_eq!(Item::read(Kind::Tools, raw), Err(ItemError::DuplicateKey("name")));
    }

    #[test]
    fn an_item_without_a_usable_key_is_refused() {
        assert_eq!(Item::read(Kind::Tools, r#"["name"]"#), Err(ItemError::NotAnObject));
        assert_eq!(
            Item::read(Kind::Resources, r#"{"name":"a"}"#),
            Err(ItemError::Missing("uri"))
        );
        assert_eq!(
            Item::read(Kind::Tools, r#"{"name":7}"#),
            Err(ItemError::NotText("name"))
        );
        assert_eq!(
            Item::read(Kind::Tools, r#"{"name":""}"#),
            Err(ItemError::NotText("name"))
        );
    }

    #[test]
    fn an_item_that_would_cost_clients_the_whole_list_is_refused() {
        let nested = |levels: usize| {
            format!(
                r#"{{"name":"a[\"[[","x":{}{}}}"#,
                "[".repeat(levels),
                "]".repeat(levels)
            )
        };
        assert!(Item::read(Kind::Tools, &nested(119)).is_ok());
        assert_eq!(Item::read(Kind::Tools, &nested(120)), Err(ItemError::TooDeep));
    }

    #[test]
    fn a_tool_names_the_resource_that_shows_it() {
        let nested = r#"{"name":"a","_meta":{"ui":{"resourceUri":"ui://app/a"}}}"#;
        let item = Item::read(Kind::Tools, nested).unwrap();
        assert_eq!(item.ui_resource.as_deref(), Some("ui://app/a"));
        let flat = r#"{"name":"a","_meta":{"ui/resourceUri":"ui://app/b"}}"#;
        let item = Item::read(Kind::Tools, flat).unwrap();
        assert_eq!(item.ui_resource.as_deref(), Some("ui://app/b"));
        let odd = r#"{"name":"a","_meta":{"ui":5}}"#;
        assert_eq!(Item::read(Kind::Tools, odd).unwrap().ui_resource, None);
    }

    proptest! {
        #[test]
        fn reading_never_panics(raw in "\\PC*") {
            let _ = Item::read(Kind::Tools, &raw);
        }

        #[test]
        fn any_key_is_found_where_it_stands(key in ".{1,20}", before in "[ \t\r\n]{0,3}") {
            let token = serde_json::to_string(&key).unwrap();
            let raw = format!("{before}{{\"a\":[1,{{\"name\":2}}],\"name\":{before}{token}{before}}}");
            let item = Item::read(Kind::Prompts, &raw).unwrap();
            prop_assert_eq!(&*item.key, &*key);
            let (head, tail) = item.around_key();
            prop_assert_eq!(format!("{head}{token}{tail}"), raw);
        }
    }
}
