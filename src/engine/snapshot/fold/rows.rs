//! What is known of all upstreams of an endpoint, by their place.

use super::UpstreamInput;
use crate::engine::mcp::Era;
use crate::engine::snapshot::UpstreamIndex;
use crate::engine::snapshot::face::{Merged, Side};
use crate::engine::snapshot::part::{Naming, Part};
use crate::engine::snapshot::upstream::Made;
use std::sync::Arc;

/// All upstreams of one fold, by their place.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    pub(super) made: Vec<Made>,
    pub(super) legacy: Vec<Option<Side>>,
    pub(super) modern: Vec<Option<Side>>,
}

impl Rows {
    /// Renders what changed.
    pub(super) fn render(&mut self, legacy: &Merged, modern: &Merged) {
        let sides = self.legacy.iter_mut().zip(&mut self.modern).enumerate();
        for (place, (old, new)) in sides {
            if let Some(side) = old {
                side.render(legacy, place, None);
            }
            if let Some(side) = new {
                side.render(modern, place, old.as_ref());
            }
        }
    }
}

pub(super) fn naming(input: &UpstreamInput, upstreams: usize) -> Naming {
    Naming {
        upstream: input.config.name.as_str().into(),
        prefix: input.config.prefix.as_str().into(),
        verbatim: upstreams == 1 && input.config.prefix.is_empty(),
        rewrites: input.config.resources_rewrite,
    }
}

/// One upstream as clients of one era see it: its listing, or the names it still owns.
pub(super) fn side(
    era: Era,
    input: &UpstreamInput,
    naming: &Naming,
    place: UpstreamIndex,
    old: Option<Side>,
    twin: Option<&Side>,
) -> Option<Side> {
    let (listing, shown) = match (input.catalog.seen_by(era), &old) {
        (Some(listing), _) => (Arc::clone(listing), input.config.enabled),
        (None, Some(old)) => (Arc::clone(&old.part.said), false),
        (None, None) => return None,
    };
    let twin = twin.map(|twin| &twin.part);
    let part = Part::next(&listing, era, naming, place, old.as_ref().map(|old| &old.part), twin);
    let rendered = old
        .filter(|old| old.part.is_of(&listing, era, naming))
        .map(|old| old.rendered);
    Some(Side {
        part,
        shown,
        rendered: rendered.unwrap_or_default(),
    })
}
