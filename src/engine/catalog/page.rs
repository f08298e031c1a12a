//! Reads one page of a list result. One unreadable item is skipped and counted, it never costs the list.

use super::{Item, Kind, Members};
use serde_json::value::RawValue;

/// One page of a list as an upstream sent it.
#[derive(Clone, Debug, PartialEq)]
pub struct ListPage {
    /// In the upstream's order.
    pub items: Vec<Item>,
    /// Where the next page begins; the empty string is a valid cursor.
    pub next_cursor: Option<String>,
    /// Modern: how long the page is fresh, in milliseconds; 0 if not said.
    pub ttl_ms: u64,
    /// Modern: `cacheScope` is `public`.
    pub public: bool,
    /// Items left out because they could not be read.
    pub skipped: usize,
}

/// Why a result is no page of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// `result` is not a JSON object.
    #[error("list result is not a JSON object")]
    NotAnObject,
    /// The items are missing, not an array, or there twice.
    #[error("list result has no array {0:?}")]
    NoItems(&'static str),
}

impl ListPage {
    /// Reads the raw `result` of a list request.
    ///
    /// # Errors
    /// See [`PageError`].
    pub fn read(kind: Kind, result: &str) -> Result<Self, PageError> {
        let members = Members::read(result).ok_or(PageError::NotAnObject)?;
        let no_items = PageError::NoItems(kind.member());
        let items = members.unique(kind.member()).map_err(|_| no_items)?.ok_or(no_items)?;
        let raws: Vec<&RawValue> = serde_json::from_str(items).map_err(|_| no_items)?;
        let items: Vec<Item> = raws.iter().filter_map(|raw| Item::read(kind, raw.get()).ok()).collect();
        Ok(Self {
            skipped: raws.len() - items.len(),
            items,
            next_cursor: members.string("nextCursor"),
            ttl_ms: members.last("ttlMs").map_or(0, milliseconds),
            public: members.string("cacheScope").as_deref() == Some("public"),
        })
    }
}

/// A JSON number as milliseconds; negative and unreadable ones count as 0.
fn milliseconds(raw: &str) -> u64 {
    if let Ok(whole) = raw.parse() {
        return whole;
    }
    // `as` saturates: negative and NaN become 0.
    raw.parse::<f64>().map_or(0, |number| number as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_unreadable_item_is_skipped_and_counted() {
        let result = r#"{"tools":[{"name":"a"},{"title":"b"},7,{"name":"c","n":12345678901234567890123}]}"#;
        let page = ListPage::read(Kind::Tools, result).unwrap();
        let keys: Vec<&str> = page.items.iter().map(|item| &*item.key).collect();
        assert_eq!(keys, ["a", "c"]);
        assert_eq!(page.skipped, 2);
        assert_eq!(&*page.items[1].raw, r#"{"name":"c","n":12345678901234567890123}"#);
        assert_eq!((page.next_cursor, page.ttl_ms, page.public), (None, 0, false));
    }

    #[test]
    fn cursor_and_cache_hints_are_read() {
        let result = r#"{"resultType":"complete","resources":[],"nextCursor":"","ttlMs":6e4,"cacheScope":"public"}"#;
        let page = ListPage::read(Kind::Resources, result).unwrap();
        assert_eq!(page.next_cursor.as_deref(), Some(""), "the empty string is a cursor");
        assert_eq!((page.ttl_ms, page.public), (60_000, true));
        let odd = r#"{"resources":[],"nextCursor":null,"ttlMs":-5,"cacheScope":"private"}"#;
        let page = ListPage::read(Kind::Resources, odd).unwrap();
        assert_eq!((page.next_cursor, page.ttl_ms, page.public), (None, 0, false));
    }

    #[test]
    fn a_result_without_its_array_is_no_page() {
        assert_eq!(ListPage::read(Kind::Tools, "[]"), Err(PageError::NotAnObject));
        assert_eq!(ListPage::read(Kind::Tools, "{}"), Err(PageError::NoItems("tools")));
        let odd = r#"{"resourceTemplates":{}}"#;
        assert_eq!(
            ListPage::read(Kind::Templates, odd),
            Err(PageError::NoItems("resourceTemplates"))
        );
    }
}
