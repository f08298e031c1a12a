//! Exposed name -> (upstream, upstream name), and who owns a resource. (Interface first; body to come.)

use crate::engine::snapshot::UpstreamIndex;
use bytes::Bytes;
use std::sync::Arc;

/// Where a call goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// To whom.
    pub upstream: UpstreamIndex,
    /// Under which name or URI there.
    pub name: Arc<str>,
    /// The same as a JSON string token, ready to be spliced in; `None`: the exposed name is the upstream's own, nothing to splice.
    pub token: Option<Bytes>,
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
pub struct Routes {}

impl Routes {
    /// The tool with exactly this exposed name.
    #[must_use]
    pub fn tool(&self, _exposed: &str) -> Option<&Target> {
        unimplemented!()
    }

    /// The prompt with exactly this exposed name.
    #[must_use]
    pub fn prompt(&self, _exposed: &str) -> Option<&Target> {
        unimplemented!()
    }

    /// Who answers `resources/read` of this URI.
    #[must_use]
    pub fn resource(&self, _uri: &str) -> Owner {
        unimplemented!()
    }

    /// Who answers `completion/complete` for this template (`ref/resource`): exact template, else as a URI.
    #[must_use]
    pub fn template(&self, _uri_template: &str) -> Owner {
        unimplemented!()
    }

    /// An upstream that is configured but not listed in this era, whose prefix `exposed` starts with: "unavailable" rather than "unknown".
    #[must_use]
    pub fn unlisted(&self, _exposed: &str) -> Option<UpstreamIndex> {
        unimplemented!()
    }
}
