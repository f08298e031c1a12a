//! What a discovery tells the one writer in `app`: the catalog to show, and the truth for status.

use crate::engine::catalog::{Catalog, Kind, Listing};
use crate::engine::mcp::{Era, Version};
use crate::engine::status::Reason;
use crate::engine::stream::Kinds;
use std::sync::Arc;
use std::time::SystemTime;

/// The state of one upstream after something has changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Configured name.
    pub upstream: Arc<str>,
    /// What to show; empty once it is withdrawn.
    pub catalog: Catalog,
    /// Listed in at least one era, and the last attempt there did not fail.
    pub ready: bool,
    /// [`Reason::Pending`] until both eras were tried or one was listed.
    pub reason: Reason,
    /// Both eras were tried to the end at least once: what is listed now is what there is.
    pub settled: bool,
    /// Eras in the catalog.
    pub eras: Vec<Era>,
    /// The newest version agreed on.
    pub version: Option<Version>,
    /// Of the era that has more.
    pub tools: usize,
    /// Of the era that has more.
    pub prompts: usize,
    /// Of the era that has more.
    pub resources: usize,
    /// The last complete listing.
    pub last_listed: Option<SystemTime>,
    /// Why it is not ready, and what to do about it.
    pub last_error: Option<String>,
    /// What is odd.
    pub warnings: Vec<String>,
    /// Lists that it said have changed, in the legacy era, and that were read again since.
    pub changed_legacy: Kinds,
    /// The same in the modern era.
    pub changed_modern: Kinds,
}

impl Report {
    /// A report whose facts come from the catalog.
    pub(super) fn of(upstream: Arc<str>, catalog: Catalog, reason: Reason) -> Self {
        let listings: Vec<&Arc<Listing>> = [Era::Legacy, Era::Modern]
            .into_iter()
            .filter_map(|era| catalog.listing(era))
            .collect();
        let most = |kind| listings.iter().map(|listing| shown(listing, kind)).max();
        Self {
            upstream,
            ready: reason == Reason::Ready,
            reason,
            settled: false,
            eras: [Era::Legacy, Era::Modern]
                .into_iter()
                .filter(|era| catalog.listing(*era).is_some())
                .collect(),
            version: listings.iter().map(|listing| listing.version).max(),
            tools: most(Kind::Tools).unwrap_or(0),
            prompts: most(Kind::Prompts).unwrap_or(0),
            resources: most(Kind::Resources).unwrap_or(0),
            last_listed: None,
            last_error: None,
            warnings: Vec::new(),
            changed_legacy: Kinds::default(),
            changed_modern: Kinds::default(),
            catalog,
        }
    }
}

/// How many of these items its own era's clients see: they must not see a tool whose `x-mcp-header` annotations break a
/// rule (SEP-2243).
fn shown(listing: &Listing, kind: Kind) -> usize {
    let items = listing.items(kind).iter();
    match listing.version.era() {
        Era::Legacy => items.count(),
        Era::Modern => items.filter(|item| item.params.is_ok()).count(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::catalog::Item;
    use crate::engine::snapshot::testing::mk_modern;

    #[test]
    fn a_tool_that_is_left_out_is_not_counted() {
        let broken = r#"{"name":"b","inputSchema":{"properties":{"x":{"type":"object","x-mcp-header":"X"}}}}"#;
        let broken = Item::read(Kind::Tools, broken).expect("an item");
        assert!(broken.params.is_err(), "nobody may call it");
        let listing = mk_modern(&["a"]).with(|listing| listing.tools.push(broken));
        let catalog = Catalog {
            legacy: None,
            modern: Some(listing.into()),
        };
        assert_eq!(Report::of("up".into(), catalog, Reason::Ready).tools, 1);
    }
}
