//! Exposed name -> (upstream, upstream name), and who owns a resource.
//!
//! Names are resolved exactly, never by stripping a prefix. A name belongs to the first upstream in configuration order
//! that lists it, for as long as that is configured: while it is down, and even while it is disabled or its items have
//! expired. So a target may be found whose upstream cannot be called at the moment; the caller looks at
//! `Upstream::enabled` and `Upstream::spoken_to`.

pub(crate) mod index;
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

/// All routes of one era.
#[derive(Debug, Default)]
pub struct Routes {
    pub(crate) tools: Arc<Index>,
    pub(crate) prompts: Arc<Index>,
    pub(crate) resources: Arc<Index>,
    pub(crate) templates: Arc<Index>,
    /// The templates that own themselves, in configuration order.
    pub(crate) patterns: Arc<[(Template, Target)]>,
    /// Resources that tools name without listing them.
    pub(crate) shown_by_tools: Arc<Index>,
    /// May be asked for a URI that nobody claims.
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

    /// Who answers `resources/read` of this URI: its lister, else the first template that matches, else the upstream
    /// whose tool names it.
    #[must_use]
    pub fn resource(&self, uri: &str) -> Owner {
        if let Some(target) = self.resources.get(uri) {
            return Owner::One(target.clone());
        }
        if let Some((_, target)) = self.patterns.iter().find(|(template, _)| template.matches(uri)) {
            return Owner::One(Target {
                upstream: target.upstream,
                name: uri.into(),
                token: None,
                params: None,
            });
        }
        if let Some(target) = self.shown_by_tools.get(uri) {
            return Owner::One(target.clone());
        }
        if self.ask.is_empty() {
            return Owner::None;
        }
        Owner::Ask(self.ask.clone())
    }

    /// Who answers `completion/complete` for this template (`ref/resource`): exact template, else as a URI.
    #[must_use]
    pub fn template(&self, uri_template: &str) -> Owner {
        match self.templates.get(uri_template) {
            Some(target) => Owner::One(target.clone()),
            None => self.resource(uri_template),
        }
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
