//! Items as raw JSON per upstream and era, as discovery read them.
//!
//! What an upstream sent is kept byte by byte; only the key (name, URI) is decoded. Merging into lists is the
//! snapshot's work.

mod disk;
mod item;
mod members;
mod page;

pub use disk::CatalogError;
pub use item::ItemError;
pub(crate) use members::Members;
pub use page::{ListPage, PageError};

use crate::engine::mcp::capabilities::ServerFlags;
use crate::engine::mcp::params::{ParamError, ParamHeaders};
use crate::engine::mcp::{Era, Version};
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

impl Kind {
    /// All of them, in the order of the arrays that hold one thing per kind.
    pub const ALL: [Self; 4] = [Self::Tools, Self::Prompts, Self::Resources, Self::Templates];

    /// The member of a list result that holds the items.
    #[must_use]
    pub const fn member(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Prompts => "prompts",
            Self::Resources => "resources",
            Self::Templates => "resourceTemplates",
        }
    }

    /// The member of an item that identifies it.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Tools | Self::Prompts => "name",
            Self::Resources => "uri",
            Self::Templates => "uriTemplate",
        }
    }

    /// One item of this kind, for messages.
    #[must_use]
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Tools => "tool",
            Self::Prompts => "prompt",
            Self::Resources => "resource",
            Self::Templates => "resource template",
        }
    }
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
    /// The arguments of a tool that are mirrored into headers; an error if its `x-mcp-header` annotations break a rule.
    pub params: Result<ParamHeaders, ParamError>,
    /// Listed only to clients that an upstream may send requests (sampling, elicitation, roots).
    pub reserved: bool,
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

impl Listing {
    /// The items of one kind.
    #[must_use]
    pub fn items(&self, kind: Kind) -> &[Item] {
        match kind {
            Kind::Tools => &self.tools,
            Kind::Prompts => &self.prompts,
            Kind::Resources => &self.resources,
            Kind::Templates => &self.templates,
        }
    }
}

/// What is known of one upstream, per era.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Catalog {
    /// What it said with a handshake.
    pub legacy: Option<Arc<Listing>>,
    /// What it said without one.
    pub modern: Option<Arc<Listing>>,
}

impl Catalog {
    /// The listing of one era.
    #[must_use]
    pub const fn listing(&self, era: Era) -> Option<&Arc<Listing>> {
        match era {
            Era::Legacy => self.legacy.as_ref(),
            Era::Modern => self.modern.as_ref(),
        }
    }

    /// What clients of `client` era see: the listing of their own era, else the other one.
    #[must_use]
    pub fn seen_by(&self, client: Era) -> Option<&Arc<Listing>> {
        self.listing(client).or_else(|| self.listing(client.other()))
    }

    /// True if no era was listed.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.legacy.is_none() && self.modern.is_none()
    }
}
