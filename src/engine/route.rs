//! Exposed name -> (upstream, upstream name), and who owns a resource.
//!
//! Names are resolved exactly, never by stripping a prefix. A name belongs to the first upstream in configuration order
//! that lists it, for as long as that is configured: while it is down, and even while it is disabled or its items have
//! expired. So a target may be found whose upstream cannot be called at the moment; the caller looks at
//! `Upstream::enabled` and `Upstream::spoken_to`.

pub(crate) mod index;
mod owner;
pub(crate) mod template;

use crate::engine::mcp::params::ParamHeaders;
use bytes::Bytes;
use index::Index;
use std::sync::Arc;
use template::Template;

/// Position of an upstream in its endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UpstreamIndex(pub u32);

/// Where a call goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// To whom.
    pub upstream: UpstreamIndex,
    /// Under which name or URI there.
    pub name: Arc<str>,
    /// The same as a JSON string token, ready to be spliced in; `None`: the exposed name is the upstream's own, nothing to splice.
    pub token: Option<Bytes>,
    /// Of a tool: the arguments that a modern upstream wants mirrored into headers.
    pub params: ParamHeaders,
}

/// Who owns a resource URI.
#[derive(Clone, Debug, PartialEq)]
pub enum Owner {
    /// Listed, matched by a template, or named by a tool.
    One(Target),
    /// Nobody claims it; these may be asked in turn (one upstream only, or `resources.probe`).
    Ask(Vec<UpstreamIndex>),
    /// Nobody claims it, nobody may be asked.
    None,
}

/// A resource template that owns itself.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pattern {
    /// As clients know it.
    pub(crate) exposed: Template,
    /// As its upstream does, where that is something else.
    pub(crate) own: Option<Template>,
    pub(crate) target: Target,
}

/// All routes of one era.
#[derive(Debug, Default)]
pub struct Routes {
    pub(crate) tools: Arc<Index>,
    pub(crate) prompts: Arc<Index>,
    pub(crate) resources: Arc<Index>,
    pub(crate) templates: Arc<Index>,
    /// The templates that own themselves, in configuration order.
    pub(crate) patterns: Arc<[Pattern]>,
    /// Resources that tools name without listing them.
    pub(crate) shown_by_tools: Arc<Index>,
    /// Upstreams whose URIs bear their names (`resources.rewrite`), in configuration order.
    pub(crate) rewriting: Vec<(Arc<str>, UpstreamIndex)>,
    /// May be asked for a URI that nobody claims; one that rewrites only if it is alone.
    pub(crate) ask: Vec<UpstreamIndex>,
    /// (prefix, upstream), longest prefix first.
    pub(crate) unlisted: Vec<(Box<str>, UpstreamIndex)>,
}

impl Routes {
    /// The tool with exactly this exposed name.
    #[must_use]
    pub fn tool(&self, exposed: &str) -> Option<&Target> {
        self.tools.get(exposed)
    }

    /// The prompt with exactly this exposed name.
    #[must_use]
    pub fn prompt(&self, exposed: &str) -> Option<&Target> {
        self.prompts.get(exposed)
    }

    /// An enabled upstream that was listed in no era so far, whose prefix `exposed` starts with (the longest one): a
    /// call is "unavailable" rather than "unknown".
    #[must_use]
    pub fn unlisted(&self, exposed: &str) -> Option<UpstreamIndex> {
        let mut all = self.unlisted.iter();
        all.find(|(prefix, _)| exposed.starts_with(&**prefix))
            .map(|(_, upstream)| *upstream)
    }
}
