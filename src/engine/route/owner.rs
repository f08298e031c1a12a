//! Who owns a resource.
//!
//! First whoever lists it, a template, a tool that names it: by the URI that clients see. Then the upstream whose name the
//! URI bears, if that one rewrites URIs; at last, for links in results, which stay as they are, the one such upstream to
//! which the URI would belong without its name. Of two nobody is meant: reading from the wrong one is worse than not
//! finding it.

use super::{Owner, Routes, Target, UpstreamIndex};
use crate::engine::jsonrpc::splice::quote;
use crate::engine::mcp::uris;

impl Routes {
    /// Who answers `resources/read` of this URI.
    #[must_use]
    pub fn resource(&self, uri: &str) -> Owner {
        if let Some(target) = self.exposed(uri).or_else(|| self.linked(uri)) {
            return Owner::One(target);
        }
        match self.ask.as_slice() {
            [] => Owner::None,
            [only] if self.rewrites(*only) => Owner::One(own(*only, uri)),
            asked => Owner::Ask(asked.to_vec()),
        }
    }

    /// Who tells that this resource was updated. Updates bear the exposed URI, so by another one nothing would be heard.
    #[must_use]
    pub fn subscribable(&self, uri: &str) -> Owner {
        if let Some(target) = self.exposed(uri) {
            return Owner::One(target);
        }
        match self.ask.as_slice() {
            [] => Owner::None,
            [only] if self.rewrites(*only) => Owner::None,
            asked => Owner::Ask(asked.to_vec()),
        }
    }

    /// Who answers `completion/complete` for this template (`ref/resource`): exact template, else as a URI.
    #[must_use]
    pub fn template(&self, uri_template: &str) -> Owner {
        match self.templates.get(uri_template) {
            Some(target) => Owner::One(target.clone()),
            None => self.resource(uri_template),
        }
    }

    /// The owner by the URI that clients see.
    fn exposed(&self, uri: &str) -> Option<Target> {
        let listed = self.resources.get(uri).cloned();
        let matched = || self.patterns.iter().find(|pattern| pattern.exposed.matches(uri));
        let matched = || matched().map(|pattern| self.expanded(&pattern.target, uri));
        let shown = || self.shown_by_tools.get(uri).cloned();
        listed.or_else(matched).or_else(shown).or_else(|| self.named(uri))
    }

    /// What a template of this target has expanded to.
    fn expanded(&self, template: &Target, uri: &str) -> Target {
        let mut rewriting = self.rewriting.iter();
        let name = rewriting.find(|(_, upstream)| *upstream == template.upstream);
        let revealed = name.and_then(|(name, _)| uris::reveal(name, uri));
        match revealed {
            Some(uri) => spliced(template.upstream, &uri),
            None => own(template.upstream, uri),
        }
    }

    /// The upstream whose name the URI bears.
    fn named(&self, uri: &str) -> Option<Target> {
        self.rewriting
            .iter()
            .find_map(|(name, upstream)| Some(spliced(*upstream, &uris::reveal(name, uri)?)))
    }

    /// The only upstream that knows this URI as its own, while clients see another one.
    fn linked(&self, uri: &str) -> Option<Target> {
        let mut knowing = self
            .rewriting
            .iter()
            .filter(|(name, upstream)| self.knows(name, *upstream, uri));
        let (_, upstream) = knowing.next()?;
        knowing.next().is_none().then(|| own(*upstream, uri))
    }

    fn knows(&self, name: &str, upstream: UpstreamIndex, uri: &str) -> bool {
        let exposed = uris::expose(name, uri);
        let listed = [&self.resources, &self.templates, &self.shown_by_tools]
            .into_iter()
            .any(|index| index.get(&exposed).is_some_and(|target| target.upstream == upstream));
        let matches = || {
            let mut patterns = self
                .patterns
                .iter()
                .filter(|pattern| pattern.target.upstream == upstream);
            patterns.any(|pattern| pattern.own.as_ref().is_some_and(|own| own.matches(uri)))
        };
        listed || matches()
    }

    fn rewrites(&self, upstream: UpstreamIndex) -> bool {
        self.rewriting.iter().any(|(_, rewriting)| *rewriting == upstream)
    }
}

/// Known to its upstream as the client says it.
fn own(upstream: UpstreamIndex, uri: &str) -> Target {
    Target {
        upstream,
        name: uri.into(),
        token: None,
        params: None,
    }
}

/// Known to its upstream as `uri`, and to the client otherwise.
fn spliced(upstream: UpstreamIndex, uri: &str) -> Target {
    Target {
        token: Some(quote(uri)),
        ..own(upstream, uri)
    }
}
