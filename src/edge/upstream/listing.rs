//! Reads everything an upstream lists in one era: all pages of all kinds that it declares.
//!
//! Ends for certain: cursors that do not advance, too many pages, too many bytes end a list with a warning, and what was
//! read until then stands.

use super::Failure;
use super::line::Line;
use crate::edge::http::HttpError;
use crate::engine::catalog::{Item, Kind, ListPage};
use crate::engine::mcp::capabilities::ServerFlags;
use std::collections::HashSet;
use std::time::Duration;

/// Pages of one list.
const PAGES: usize = 1_000;
/// Bytes of all lists of one upstream in one era.
const BYTES: usize = 64 << 20;
const TOO_LARGE: &str = "goes beyond 64 MiB of lists: it is cut there";

/// What an upstream lists.
#[derive(Debug)]
pub(super) struct Lists {
    /// In the order of [`Kind::ALL`].
    pub(super) items: [Vec<Item>; 4],
    /// The smallest `ttlMs` of all pages; 0 if there is no page.
    pub(super) ttl_ms: u64,
    /// Every page said `cacheScope: public`.
    pub(super) public: bool,
    /// What was odd.
    pub(super) warnings: Vec<String>,
}

/// Collects the pages of all kinds.
struct Reading<'a> {
    line: &'a Line,
    page_time: Duration,
    bytes: usize,
    ttl_ms: Option<u64>,
    public: bool,
    warnings: Vec<String>,
}

/// Lists every kind that `flags` declares, `page_time` for each page.
///
/// # Errors
/// See [`Failure`]: one page that cannot be had costs the whole listing, because half a list would look like a whole one.
pub(super) async fn read(line: &Line, flags: ServerFlags, page_time: Duration) -> Result<Lists, Failure> {
    let mut reading = Reading {
        line,
        page_time,
        bytes: 0,
        ttl_ms: None,
        public: true,
        warnings: Vec::new(),
    };
    let mut items: [Vec<Item>; 4] = Default::default();
    for (kind, items) in Kind::ALL.into_iter().zip(&mut items) {
        if declared(flags, kind) {
            *items = reading.list(kind).await?;
        }
    }
    Ok(Lists {
        items,
        ttl_ms: reading.ttl_ms.unwrap_or(0),
        public: reading.public && reading.ttl_ms.is_some(),
        warnings: reading.warnings,
    })
}

impl Reading<'_> {
    async fn list(&mut self, kind: Kind) -> Result<Vec<Item>, Failure> {
        let mut items = Vec::new();
        let mut skipped = 0;
        let mut seen: HashSet<String> = HashSet::new();
        let mut cursor: Option<String> = None;
        for _ in 0..PAGES {
            let Some(page) = self.page(kind, cursor.as_deref()).await? else {
                break;
            };
            items.extend(page.items);
            skipped += page.skipped;
            cursor = page.next_cursor;
            let Some(next) = &cursor else { break };
            if !seen.insert(next.clone()) {
                self.warn(kind, "names a cursor again: its list is cut there");
                cursor = None;
                break;
            }
            if self.bytes >= BYTES {
                self.warn(kind, TOO_LARGE);
                cursor = None;
                break;
            }
        }
        if cursor.is_some() {
            self.warn(kind, "has more than 1,000 pages: its list is cut there");
        }
        if skipped > 0 {
            self.warn(kind, &format!("has {skipped} unreadable items: they are left out"));
        }
        Ok(items)
    }

    /// One page; `None` if there is no more to be had: the upstream does not know the method although it declared it, or
    /// the page does not fit.
    async fn page(&mut self, kind: Kind, cursor: Option<&str>) -> Result<Option<ListPage>, Failure> {
        let members = cursor.map_or_else(String::new, |cursor| {
            let quoted = serde_json::Value::from(cursor);
            format!(r#""cursor":{quoted}"#)
        });
        let limit = BYTES.saturating_sub(self.bytes).max(1);
        let reply = match self.line.request(method(kind), &members, limit, self.page_time).await {
            Ok(reply) => reply,
            Err(failure) if failure.is_unknown_method() => return Ok(None),
            Err(Failure::Http(HttpError::TooLarge(_))) => {
                self.warn(kind, TOO_LARGE);
                return Ok(None);
            }
            Err(failure) => return Err(failure),
        };
        self.bytes += reply.result.len();
        let page = ListPage::read(kind, &reply.result)
            .map_err(|error| Failure::NotMcp(format!("answered {}: {error}", method(kind))))?;
        self.ttl_ms = Some(self.ttl_ms.map_or(page.ttl_ms, |least| least.min(page.ttl_ms)));
        self.public &= page.public;
        Ok(Some(page))
    }

    fn warn(&mut self, kind: Kind, what: &str) {
        self.warnings.push(format!("{} {what}", method(kind)));
    }
}

const fn declared(flags: ServerFlags, kind: Kind) -> bool {
    match kind {
        Kind::Tools => flags.tools,
        Kind::Prompts => flags.prompts,
        Kind::Resources | Kind::Templates => flags.resources,
    }
}

const fn method(kind: Kind) -> &'static str {
    match kind {
        Kind::Tools => "tools/list",
        Kind::Prompts => "prompts/list",
        Kind::Resources => "resources/list",
        Kind::Templates => "resources/templates/list",
    }
}
