//! The merged tools as rows, for the admin port and the command line.

use super::Endpoint;
use crate::engine::mcp::Era;

/// One exposed tool.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolRow {
    /// Exposed name.
    pub name: String,
    /// Configured name of the upstream.
    pub upstream: String,
    /// What the upstream calls it.
    pub upstream_name: String,
    /// In whose lists it stands.
    pub eras: Vec<Era>,
    /// As the upstream describes it.
    pub description: Option<String>,
}

impl Endpoint {
    /// Every listed tool, in the order of the lists; those that only modern clients see come last of their upstream.
    pub fn tools(&self) -> impl Iterator<Item = ToolRow> {
        (0..self.upstreams.len()).flat_map(|place| self.tools_of(place))
    }

    fn tools_of(&self, place: usize) -> Vec<ToolRow> {
        let mut rows = self.tools_in(Era::Legacy, place);
        for row in self.tools_in(Era::Modern, place) {
            match rows.iter_mut().find(|other| other.name == row.name) {
                Some(other) => other.eras.extend(row.eras),
                None => rows.push(row),
            }
        }
        rows
    }

    fn tools_in(&self, era: Era, place: usize) -> Vec<ToolRow> {
        let face = self.face(era);
        let (Some(Some(listing)), Some(upstream)) = (face.listings.get(place), self.upstreams.get(place)) else {
            return Vec::new();
        };
        let row = |(item, entry): (usize, &crate::engine::route::index::Entry)| ToolRow {
            name: entry.exposed.to_string(),
            upstream: upstream.name.to_string(),
            upstream_name: entry.target.name.to_string(),
            eras: vec![era],
            description: listing.tools.get(item).and_then(|tool| tool.text("description")),
        };
        face.routes.tools.owned(place).map(row).collect()
    }
}
