//! Items as raw JSON per upstream and era, and their merge into lists. (Merge and views to come.)

use crate::engine::mcp::Version;
use crate::engine::mcp::capabilities::ServerFlags;
use std::ops::Range;
use std::sync::Arc;

/// The four lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `tools/list`
    Tools,
    /// `prompts/list`
    Prompts,
    /// `resources/list`
    Resources,
    /// `resources/templates/list`
    Templates,
}

/// One tool, prompt, resource or template as its upstream sent it.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Decoded `name`, `uri` or `uriTemplate`.
    pub key: Box<str>,
    /// The whole object, byte by byte.
    pub raw: Box<str>,
    /// Where the JSON string token of the key stands in `raw`, quotes included.
    pub key_span: Range<u32>,
    /// `_meta.ui.resourceUri` of a tool: a resource that this upstream owns without listing it.
    pub ui_resource: Option<Box<str>>,
}

/// What one upstream said of itself in one era: the outcome of one complete discovery.
#[derive(Clone, Debug, PartialEq)]
pub struct Listing {
    /// What the handshake agreed on.
    pub version: Version,
    /// Legacy: the handshake issued a session id. Modern: false.
    pub stateful: bool,
    /// Raw `capabilities` of initialize or discover.
    pub capabilities: Box<str>,
    /// The same, reduced.
    pub flags: ServerFlags,
    /// Decoded `instructions`.
    pub instructions: Option<Box<str>>,
    /// In the upstream's order, all pages.
    pub tools: Vec<Item>,
    /// In the upstream's order, all pages.
    pub prompts: Vec<Item>,
    /// In the upstream's order, all pages.
    pub resources: Vec<Item>,
    /// In the upstream's order, all pages.
    pub templates: Vec<Item>,
    /// Modern: the smallest `ttlMs` of all pages; legacy: 0.
    pub ttl_ms: u64,
    /// Modern: every page said `cacheScope: public`.
    pub public: bool,
}

/// What is known of one upstream, per era.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Catalog {
    /// As legacy clients see it.
    pub legacy: Option<Arc<Listing>>,
    /// As modern clients see it.
    pub modern: Option<Arc<Listing>>,
}
