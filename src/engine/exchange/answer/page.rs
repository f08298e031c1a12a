//! Pages of a list that is too large for one message, where the wiring cannot stream (BUFFERED).
//!
//! A page is made of the items of whole upstreams: at least one, more while they fit. A cursor is good for the very list
//! that it was given with; when that has changed, the client begins anew.

use super::LARGE;
use crate::engine::catalog::Kind;
use crate::engine::mcp::Era;
use crate::engine::session::Cursor;
use crate::engine::snapshot::{Endpoint, Prepared};
use bytes::Bytes;

/// The `result` of one page, in pieces; `None`: the cursor is not one for this list.
pub(in crate::engine::exchange) fn page(
    endpoint: &Endpoint,
    era: Era,
    list: &Prepared,
    kind: Kind,
    cursor: Option<&str>,
) -> Option<Vec<Bytes>> {
    let mut next = Cursor {
        endpoint: endpoint.hash,
        list: which(era, kind),
        start: 0,
        whole: list.len as u64,
    };
    if let Some(text) = cursor {
        let given = Cursor::verify(text, &endpoint.keys)?;
        next.start = given.start;
        (given == next && given.start > 0).then_some(())?;
    }
    let (head, items, tail) = parts(list)?;
    let start = usize::try_from(next.start).ok()?;
    let rest = items.get(start..).filter(|rest| !rest.is_empty())?;
    let count = fitting(rest);
    next.start = next.start.checked_add(u32::try_from(count).ok()?)?;
    let mut pieces = Vec::with_capacity(count + 3);
    if count < rest.len() {
        pieces.push(Bytes::from(format!(
            r#"{{"nextCursor":"{}","#,
            next.sign(&endpoint.keys)
        )));
        pieces.push(head.slice(1..));
    } else {
        pieces.push(head.clone());
    }
    pieces.extend(rest.iter().take(count).cloned());
    // Only the first item of the whole list has no comma before it.
    if start > 0
        && let Some(first) = pieces.iter_mut().rev().nth(count - 1)
    {
        *first = first.slice(1..);
    }
    pieces.push(tail.clone());
    Some(pieces)
}

/// Head, the items of each upstream, tail.
fn parts(list: &Prepared) -> Option<(&Bytes, &[Bytes], &Bytes)> {
    let (head, rest) = list.segments.split_first()?;
    let (tail, items) = rest.split_last()?;
    Some((head, items, tail))
}

/// How many segments make one page.
fn fitting(items: &[Bytes]) -> usize {
    let mut len = 0;
    let fits = |item: &&Bytes| {
        len += item.len();
        len <= LARGE
    };
    items.iter().take_while(fits).count().max(1)
}

const fn which(era: Era, kind: Kind) -> u8 {
    let kind = match kind {
        Kind::Tools => 0,
        Kind::Prompts => 1,
        Kind::Resources => 2,
        Kind::Templates => 3,
    };
    match era {
        Era::Legacy => kind,
        Era::Modern => kind + 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page_of(endpoint: &Endpoint, era: Era, kind: Kind, cursor: Option<&str>) -> Option<Vec<Bytes>> {
        page(endpoint, era, endpoint.face(era).list(kind), kind, cursor)
    }
    use crate::engine::snapshot::testing::{mk_listing, mk_snapshot, mk_upstream};
    use std::sync::Arc;

    /// Enough tools for 3 MB.
    const MANY: usize = 16_000;

    /// Three upstreams with so many tools each.
    fn mk_endpoint(tools: usize) -> Arc<Endpoint> {
        let names: Vec<String> = (0..tools).map(|number| format!("{number:040}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let upstreams = ["a", "b", "c"].map(|name| mk_upstream(name).legacy(mk_listing(&names)));
        Arc::clone(&mk_snapshot(&upstreams).endpoints[0])
    }

    fn read(pieces: &[Bytes]) -> serde_json::Value {
        serde_json::from_slice(&pieces.concat()).expect("a page is one JSON value")
    }

    #[test]
    fn all_pages_together_are_the_list() {
        let endpoint = mk_endpoint(MANY);
        let whole = read(&endpoint.legacy.tools.segments);
        let (mut tools, mut cursor, mut pages) = (Vec::new(), None::<String>, 0);
        loop {
            let page = read(&page_of(&endpoint, Era::Legacy, Kind::Tools, cursor.as_deref()).expect("a page"));
            tools.extend(page["tools"].as_array().cloned().unwrap_or_default());
            pages += 1;
            match page["nextCursor"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => break,
            }
        }
        assert_eq!(pages, 3, "two upstreams together are too large");
        assert_eq!(Some(&tools), whole["tools"].as_array());
    }

    #[test]
    fn what_fits_is_one_page() {
        let page = read(&page_of(&mk_endpoint(2), Era::Legacy, Kind::Tools, None).expect("a page"));
        assert_eq!(page["tools"].as_array().map(Vec::len), Some(6));
        assert!(page.get("nextCursor").is_none());
    }

    #[test]
    fn a_cursor_of_another_list_is_none() {
        let endpoint = mk_endpoint(MANY);
        let first = read(&page_of(&endpoint, Era::Legacy, Kind::Tools, None).expect("a page"));
        let cursor = first["nextCursor"].as_str();
        assert!(cursor.is_some());
        assert_eq!(page_of(&endpoint, Era::Legacy, Kind::Prompts, cursor), None);
        assert_eq!(page_of(&endpoint, Era::Modern, Kind::Tools, cursor), None);
        let changed = mk_endpoint(MANY + 1);
        assert_eq!(page_of(&changed, Era::Legacy, Kind::Tools, cursor), None);
    }
}
