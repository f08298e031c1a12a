//! What an endpoint is made of, kept where callers see lists of their own: each gets an endpoint of its own.

use super::making::{Making, Whose};
use super::rows::{Rows, naming, side};
use super::{EndpointSettings, UpstreamInput};
use crate::engine::catalog::Catalog;
use crate::engine::mcp::Era;
use crate::engine::snapshot::face::Merged;
use crate::engine::snapshot::upstream::Made;
use crate::engine::snapshot::view::Guarded;
use crate::engine::snapshot::{Endpoint, UpstreamIndex};

/// What an endpoint is made of: with it, where callers see lists of their own, each gets an endpoint of its own.
#[derive(Debug)]
pub(in crate::engine::snapshot) struct Base {
    pub(super) settings: EndpointSettings,
    pub(super) inputs: Vec<UpstreamInput>,
    pub(super) rows: Rows,
    pub(super) legacy: Merged,
    pub(super) modern: Merged,
    pub(super) guarded: Option<Guarded>,
    /// Enabled upstreams that are listed for each caller.
    pub(in crate::engine::snapshot) own: Vec<UpstreamIndex>,
}

impl Base {
    /// The endpoint as one caller sees it: `listed` is what upstreams of `own` have shown this caller, in whatever order;
    /// those that are missing were not to be had. `number` tells the caller, and what was listed, apart from all others.
    ///
    /// Everything else is shared with the endpoint that this belongs to.
    pub(in crate::engine::snapshot) fn of_caller(&self, listed: &[(UpstreamIndex, Catalog)], number: u64) -> Endpoint {
        let (mut inputs, mut rows) = (self.inputs.clone(), self.rows.clone());
        for (index, catalog) in listed.iter().filter(|(index, _)| self.own.contains(index)) {
            let place = index.0 as usize;
            let count = inputs.len();
            let (Some(input), Some(made)) = (inputs.get_mut(place), rows.made.get_mut(place)) else {
                continue;
            };
            input.catalog = catalog.clone();
            *made = Made::next(input, Some(made.clone()));
            let naming = naming(input, count);
            let legacy = side(Era::Legacy, input, &naming, *index, None, None);
            let modern = side(Era::Modern, input, &naming, *index, None, legacy.as_ref());
            for (sides, side) in [(&mut rows.legacy, legacy), (&mut rows.modern, modern)] {
                if let Some(slot) = sides.get_mut(place) {
                    *slot = side;
                }
            }
        }
        let legacy = self.legacy.over(&rows.legacy, &self.own, None);
        let modern = self.modern.over(&rows.modern, &self.own, Some((&self.legacy, &legacy)));
        rows.render(&legacy, &modern);
        let making = Making {
            settings: &self.settings,
            inputs: &inputs,
            rows: &rows,
            legacy: &legacy,
            modern: &modern,
            guarded: self.guarded.clone(),
            whose: Whose::Callers(number),
        };
        making.endpoint()
    }
}
