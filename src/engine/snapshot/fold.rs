//! Folds configuration, resolved secrets and catalogs into an endpoint of a snapshot, incrementally per upstream.
//!
//! ```text
//! per upstream and face: listing -> Part (names) ---+--> merged names (who owns what) -> Routes
//!                                                   +--> segment (without what is hidden) -> Prepared
//! ```
//! There is a face for clients of either era; an upstream that was listed in one era only shows that listing on both.
//! What did not change is shared with the last snapshot: a change of one upstream renders that upstream's bytes, and
//! merges names again only if its names changed.
//!
//! Who keeps names: an upstream owns what it listed for as long as it is configured under the same URL. If it is
//! disabled, or its catalog is empty in both eras (down for longer than `lists.keepLastGood`), its items leave the
//! lists but stay in the routes, so that no other upstream gets its calls and these are refused as unavailable.

mod base;
mod making;
mod rows;

pub(super) use base::Base;

use self::making::{Making, Whose};
use self::rows::{Rows, naming, side};
use super::face::{Merged, Side};
use super::upstream::Made;
use super::view::{Guarded, NewViews};
use super::{Endpoint, Routing, UpstreamIndex};
use crate::engine::catalog::{Catalog, Kind};
use crate::engine::config;
use crate::engine::mcp::Era;
use crate::engine::policy::Callers;
use crate::engine::policy::Policy;
use crate::engine::session::Keys;
use std::collections::HashMap;
use std::sync::Arc;

/// Warnings kept per upstream; what exceeds them is counted.
const MAX_WARNINGS: usize = 20;

/// The settings of one endpoint besides its upstreams.
#[derive(Clone, Debug)]
pub struct EndpointSettings {
    /// The endpoint's id (`default` for the configuration file's).
    pub id: Arc<str>,
    /// Session signing keys.
    pub keys: Keys,
    /// See [`super::Endpoint::route_key`].
    pub route_key: Arc<str>,
    /// See [`super::Endpoint::routes`].
    pub routes: Vec<Arc<str>>,
    /// See [`super::Endpoint::routing`].
    pub routing: Routing,
    /// What is asked of callers; `None`: nothing.
    pub callers: Option<Arc<Callers>>,
    /// Where views of lists are kept.
    pub views: NewViews,
    /// See [`super::Endpoint::transparent`].
    pub transparent: Option<Arc<config::Transparent>>,
    /// Everything else.
    pub config: Arc<config::Config>,
}

/// One upstream, as the writer knows it.
#[derive(Clone, Debug)]
pub struct UpstreamInput {
    /// Its configuration.
    pub config: Arc<config::Upstream>,
    /// The credential, resolved; `Err(())`: it is missing.
    pub credential: Option<Result<Arc<str>, ()>>,
    /// The items to show; empty once `lists.keepLastGood` has passed.
    pub catalog: Catalog,
}

/// The one writer's working memory of one endpoint: what did not change is taken from the last fold.
#[derive(Debug, Default)]
pub struct Folder {
    upstreams: HashMap<Arc<str>, Memory>,
    /// The rules, and what they were made of.
    policy: Option<(config::Policies, Arc<Policy>)>,
    legacy: Merged,
    modern: Merged,
}

/// What the last fold made of one upstream.
#[derive(Debug)]
struct Memory {
    made: Made,
    legacy: Option<Side>,
    modern: Option<Side>,
}

impl Folder {
    /// The endpoint of the next snapshot. Items hidden by collisions and the like come back as warnings: (upstream name,
    /// text).
    pub fn fold(
        &mut self,
        settings: &EndpointSettings,
        upstreams: &[UpstreamInput],
    ) -> (Arc<Endpoint>, Vec<(String, String)>) {
        let mut rows = self.rows(upstreams);
        self.legacy.merge(&rows.legacy, None);
        self.modern.merge(&rows.modern, Some(&self.legacy));
        rows.render(&self.legacy, &self.modern);
        self.policy = settings
            .config
            .policies
            .as_ref()
            .map(|config| match self.policy.take() {
                Some((old, policy)) if old == *config => (old, policy),
                Some(_) | None => (config.clone(), Arc::new(Policy::new(config))),
            });
        let endpoint = self.endpoint(settings, upstreams, &rows);
        let warnings = self.warnings(&rows);
        self.remember(rows);
        (Arc::new(endpoint), warnings)
    }

    fn rows(&mut self, upstreams: &[UpstreamInput]) -> Rows {
        let mut rows = Rows::default();
        for (place, input) in (0u32..).zip(upstreams) {
            let naming = naming(input, upstreams.len());
            let old = self.upstreams.remove(&naming.upstream);
            let old = old.filter(|old| old.made.is_same_server(input));
            let (made, legacy, modern) = match old {
                Some(old) => (Some(old.made), old.legacy, old.modern),
                None => (None, None, None),
            };
            if !Whose::Everybodys.includes(input) {
                // Whatever is known of it was listed for somebody.
                let nothing = UpstreamInput {
                    catalog: Catalog::default(),
                    ..input.clone()
                };
                rows.made.push(Made::next(&nothing, made));
                rows.legacy.push(None);
                rows.modern.push(None);
                continue;
            }
            rows.made.push(Made::next(input, made));
            let place = UpstreamIndex(place);
            let legacy = side(Era::Legacy, input, &naming, place, legacy, None);
            let modern = side(Era::Modern, input, &naming, place, modern, legacy.as_ref());
            rows.legacy.push(legacy);
            rows.modern.push(modern);
        }
        rows
    }

    fn endpoint(&self, settings: &EndpointSettings, upstreams: &[UpstreamInput], rows: &Rows) -> Endpoint {
        let policy = self.policy.as_ref().map(|(_, policy)| policy);
        let guarded = policy.map(|policy| Guarded {
            policy: Arc::clone(policy),
            views: (settings.views)(),
        });
        let making = Making {
            settings,
            inputs: upstreams,
            rows,
            legacy: &self.legacy,
            modern: &self.modern,
            guarded: guarded.clone(),
            whose: Whose::Everybodys,
        };
        let own = (0u32..)
            .zip(upstreams)
            .filter(|(_, input)| input.config.enabled && !Whose::Everybodys.includes(input));
        let own: Vec<_> = own.map(|(place, _)| UpstreamIndex(place)).collect();
        let base = (!own.is_empty()).then(|| {
            Arc::new(Base {
                settings: settings.clone(),
                inputs: upstreams.to_vec(),
                rows: rows.clone(),
                legacy: self.legacy.clone(),
                modern: self.modern.clone(),
                guarded,
                own,
            })
        });
        Endpoint {
            base,
            ..making.endpoint()
        }
    }

    fn warnings(&self, rows: &Rows) -> Vec<(String, String)> {
        let mut all = Vec::new();
        for (place, (made, sides)) in rows.made.iter().zip(rows.legacy.iter().zip(&rows.modern)).enumerate() {
            let mut own = Vec::new();
            for (side, merged) in [(sides.0, &self.legacy), (sides.1, &self.modern)] {
                let Some(side) = side.as_ref().filter(|side| side.shown) else {
                    continue;
                };
                own.extend_from_slice(&side.part.remarks);
                own.extend(
                    Kind::ALL
                        .into_iter()
                        .flat_map(|kind| hidden(kind, side, merged, place, rows)),
                );
            }
            // The same is usually true of both eras.
            let mut seen = std::collections::HashSet::new();
            own.retain(|text| seen.insert(text.clone()));
            let more = own.len().saturating_sub(MAX_WARNINGS);
            own.truncate(MAX_WARNINGS);
            if more > 0 {
                own.push(format!("and {more} more"));
            }
            all.extend(own.into_iter().map(|text| (made.upstream.name.to_string(), text)));
        }
        all
    }

    fn remember(&mut self, rows: Rows) {
        let sides = rows.legacy.into_iter().zip(rows.modern);
        let memories = rows.made.into_iter().zip(sides).map(|(made, (legacy, modern))| {
            let name = Arc::clone(&made.upstream.name);
            (name, Memory { made, legacy, modern })
        });
        self.upstreams = memories.collect();
    }
}

/// What other upstreams hide of this one.
fn hidden(kind: Kind, side: &Side, merged: &Merged, place: usize, rows: &Rows) -> Vec<String> {
    let text = |hidden: &crate::engine::route::index::Hidden| {
        let name = &side.part.entries(kind).get(hidden.item as usize)?.exposed;
        let noun = kind.noun();
        if hidden.owner as usize == place {
            return Some(format!("{noun} {name:?} is listed twice: the second is hidden"));
        }
        let owner = &rows.made.get(hidden.owner as usize)?.upstream.name;
        Some(format!(
            "{noun} {name:?} is hidden: upstream {owner:?} comes first and owns it"
        ))
    };
    merged.hidden(kind, place).iter().filter_map(text).collect()
}

#[cfg(test)]
mod tests;
