//! The merged tools, for the admin port and the command line.
//!
//! Clients of both eras see every tool; its eras are those in which its upstream lists it.

use super::Endpoint;
use crate::engine::mcp::Era;
use crate::engine::route::index::Entry;
use crate::engine::status::Tool;

impl Endpoint {
    /// Every listed tool, in the order of the lists; those listed only as modern come last of their upstream.
    pub fn tools(&self) -> impl Iterator<Item = Tool> {
        (0..self.upstreams.len()).flat_map(|place| self.tools_of(place))
    }

    fn tools_of(&self, place: usize) -> Vec<Tool> {
        let mut rows = self.tools_in(Era::Legacy, place);
        for row in self.tools_in(Era::Modern, place) {
            match rows.iter_mut().find(|other| other.name == row.name) {
                Some(other) => other.eras.extend(row.eras),
                None => rows.push(row),
            }
        }
        rows
    }

    fn tools_in(&self, era: Era, place: usize) -> Vec<Tool> {
        let face = self.face(era);
        let (Some(Some(listing)), Some(upstream)) = (face.listings.get(place), self.upstreams.get(place)) else {
            return Vec::new();
        };
        if listing.version.era() != era {
            return Vec::new();
        }
        let row = |(item, entry): (usize, &Entry)| Tool {
            name: entry.exposed.to_string(),
            upstream: upstream.name.to_string(),
            upstream_name: entry.target.name.to_string(),
            eras: vec![era],
            description: listing.tools.get(item).and_then(|tool| tool.text("description")),
        };
        face.routes.tools.owned(place).map(row).collect()
    }
}
