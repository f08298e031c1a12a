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

use super::face::{Freshness, Merged, Side, face};
use super::hello::{self, Chorus, Voice};
use super::part::{Naming, Part};
use super::upstream::Made;
use super::view::{Guarded, NewViews};
use super::{Endpoint, Face, Observed, Routing, UpstreamIndex};
use crate::engine::catalog::{Catalog, Kind};
use crate::engine::config;
use crate::engine::mcp::{Era, Version};
use crate::engine::policy::Callers;
use crate::engine::policy::Policy;
use crate::engine::session::{EndpointHash, Keys};
use bytes::Bytes;
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

/// What an endpoint is made of: with it, where callers see lists of their own, each gets an endpoint of its own.
#[derive(Debug)]
pub(super) struct Base {
    settings: EndpointSettings,
    inputs: Vec<UpstreamInput>,
    rows: Rows,
    legacy: Merged,
    modern: Merged,
    guarded: Option<Guarded>,
    /// Enabled upstreams that are listed for each caller.
    pub(super) own: Vec<UpstreamIndex>,
}

/// What one endpoint is made from.
struct Making<'a> {
    settings: &'a EndpointSettings,
    inputs: &'a [UpstreamInput],
    rows: &'a Rows,
    legacy: &'a Merged,
    modern: &'a Merged,
    guarded: Option<Guarded>,
    whose: Whose,
}

/// For whom an endpoint is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    /// Without what upstreams list for each caller.
    Everybodys,
    /// With what they list for this one, who is told apart by a number.
    Callers(u64),
}

impl Whose {
    /// What this upstream has belongs there.
    fn includes(self, input: &UpstreamInput) -> bool {
        match (self, input.config.listing) {
            (Self::Everybodys, config::Listing::PerPrincipal) => false,
            (Self::Everybodys, config::Listing::Shared) | (Self::Callers(_), _) => true,
        }
    }
}

/// What the last fold made of one upstream.
#[derive(Debug)]
struct Memory {
    made: Made,
    legacy: Option<Side>,
    modern: Option<Side>,
}

/// All upstreams of one fold, by their place.
#[derive(Clone, Debug, Default)]
struct Rows {
    made: Vec<Made>,
    legacy: Vec<Option<Side>>,
    modern: Vec<Option<Side>>,
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

impl Making<'_> {
    fn endpoint(&self) -> Endpoint {
        let (settings, upstreams, rows) = (self.settings, self.inputs, self.rows);
        let config = &settings.config;
        let legacy_voices = voices(rows, &rows.legacy);
        let modern_voices = voices(rows, &rows.modern);
        let (legacy, modern) = (chorus(upstreams, &legacy_voices), chorus(upstreams, &modern_voices));
        let mut freshness = freshness(upstreams, &modern_voices, self.whose);
        freshness.public &= !self.guarded.as_ref().is_some_and(|guarded| guarded.policy.differs());
        // Others see something else.
        freshness.public &= upstreams.iter().all(|input| Whose::Everybodys.includes(input));
        let [v1, v2, v3, v4, _] = Version::ALL;
        let public = url::Url::parse(&config.public_url).ok();
        let public_host = public.as_ref().and_then(|url| url.host_str()).map(str::to_lowercase);
        let public_origin = public.as_ref().map(|url| url.origin().ascii_serialization());
        let cors_origins = config.cors.iter().flat_map(|cors| &cors.origins);
        Endpoint {
            id: Arc::clone(&settings.id),
            hash: EndpointHash::of(&settings.id),
            routes: settings.routes.clone(),
            routing: settings.routing,
            metadata: config.envoy.metadata || settings.routing == Routing::Route,
            observed: Observed {
                arguments: config.audit.wanted_arguments(),
                results: config.audit.is_on() || config.telemetry.is_some(),
            },
            path: config.path.as_str().into(),
            transparent: settings.transparent.clone(),
            hosts: config.hosts.iter().cloned().chain(public_host).collect(),
            any_host: settings.routing == Routing::Route && config.hosts.is_empty(),
            // A page that may read answers may ask in the first place.
            origins: config
                .origins
                .iter()
                .chain(cors_origins)
                .cloned()
                .chain(public_origin)
                .collect(),
            keys: settings.keys.clone(),
            lifetime: config.session.lifetime,
            parked: config.session.parked,
            timed_by_envoy: !config.envoy.response_phase,
            limits: config.limits.clone(),
            counts_headers: !config.envoy.routes.is_empty(),
            rate_limits: rate_limits(settings),
            route_key: Bytes::copy_from_slice(settings.route_key.as_bytes()),
            callers: settings.callers.clone(),
            guarded: self.guarded.clone(),
            base: None,
            caller: match self.whose {
                Whose::Everybodys => None,
                Whose::Callers(number) => Some(number),
            },
            upstreams: rows.made.iter().map(|made| Arc::clone(&made.upstream)).collect(),
            legacy: self.face(Era::Legacy, upstreams, &rows.legacy, freshness),
            modern: self.face(Era::Modern, upstreams, &rows.modern, freshness),
            initialize: [v1, v2, v3, v4].map(|version| hello::initialize(version, legacy)),
            discover: hello::discover(modern, freshness),
        }
    }

    fn face(&self, era: Era, upstreams: &[UpstreamInput], sides: &[Option<Side>], freshness: Freshness) -> Face {
        let merged = match era {
            Era::Legacy => self.legacy,
            Era::Modern => self.modern,
        };
        let whose = self.whose;
        let routes = merged.routes(
            rewriting(upstreams, whose),
            ask(upstreams, whose),
            unlisted(upstreams, whose),
        );
        let mut face = face(era, sides, freshness, routes);
        if let Some(guarded) = &self.guarded
            && Kind::ALL.into_iter().any(|kind| guarded.policy.hides(kind))
        {
            face.sides = sides.to_vec();
        }
        face
    }
}

impl Base {
    /// The endpoint as one caller sees it: `listed` is what upstreams of `own` have shown this caller, in whatever order;
    /// those that are missing were not to be had. `number` tells the caller, and what was listed, apart from all others.
    ///
    /// Everything else is shared with the endpoint that this belongs to.
    pub(super) fn of_caller(&self, listed: &[(UpstreamIndex, Catalog)], number: u64) -> Endpoint {
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

impl Rows {
    /// Renders what changed.
    fn render(&mut self, legacy: &Merged, modern: &Merged) {
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

fn naming(input: &UpstreamInput, upstreams: usize) -> Naming {
    Naming {
        upstream: input.config.name.as_str().into(),
        prefix: input.config.prefix.as_str().into(),
        verbatim: upstreams == 1 && input.config.prefix.is_empty(),
        rewrites: input.config.resources_rewrite,
    }
}

/// Those by address alone are counted by the Envoy that we render; another one is not told of them.
fn rate_limits(settings: &EndpointSettings) -> Arc<[Arc<config::RateLimit>]> {
    let counted = |limit: &&Arc<config::RateLimit>| match settings.routing {
        Routing::Cluster => !limit.is_by_address(),
        Routing::Route => true,
    };
    settings.config.rate_limits.iter().filter(counted).cloned().collect()
}

/// One upstream as clients of one era see it: its listing, or the names it still owns.
fn side(
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

/// What listed upstreams say of themselves, in configuration order.
fn voices<'a>(rows: &'a Rows, sides: &'a [Option<Side>]) -> Vec<Voice<'a>> {
    let voice = |(made, side): (&'a Made, &'a Option<Side>)| {
        let side = side.as_ref().filter(|side| side.shown)?;
        Some((&*made.upstream.name, &*side.part.listing))
    };
    rows.made.iter().zip(sides).filter_map(voice).collect()
}

fn chorus<'a>(upstreams: &[UpstreamInput], voices: &'a [Voice<'a>]) -> Chorus<'a> {
    match upstreams {
        [_] => Chorus::Solo(voices.first().map(|(_, listing)| *listing)),
        _ => Chorus::Many(voices),
    }
}

/// The least of the parts; 0 while an upstream is still to come, since its items will change the lists.
fn freshness(upstreams: &[UpstreamInput], voices: &[Voice<'_>], whose: Whose) -> Freshness {
    let complete = upstreams
        .iter()
        .filter(|input| whose.includes(input))
        .all(|input| !input.config.enabled || !input.catalog.is_empty());
    let least = voices.iter().map(|(_, listing)| listing.ttl_ms).min();
    Freshness {
        ttl_ms: least.filter(|_| complete).unwrap_or(0),
        public: voices.iter().all(|(_, listing)| listing.public),
    }
}

/// Who may be asked for a URI that nobody claims: the only enabled upstream, or those that are to be probed.
fn ask(upstreams: &[UpstreamInput], whose: Whose) -> Vec<UpstreamIndex> {
    let single = upstreams.iter().filter(|input| input.config.enabled).count() == 1;
    let asked = |(place, input): (u32, &UpstreamInput)| {
        // Clients know what such an upstream has by its name, and that alone leads to it.
        let probed = input.config.resources_probe && !input.config.resources_rewrite;
        let allowed = input.config.enabled && whose.includes(input) && (single || probed);
        let able = single || !input.catalog.is_empty();
        (allowed && able).then_some(UpstreamIndex(place))
    };
    (0u32..).zip(upstreams).filter_map(asked).collect()
}

/// Those whose URIs bear their names.
fn rewriting(upstreams: &[UpstreamInput], whose: Whose) -> Vec<(Arc<str>, UpstreamIndex)> {
    let all = (0u32..).zip(upstreams);
    all.filter(|(_, input)| input.config.resources_rewrite && whose.includes(input))
        .map(|(place, input)| (input.config.name.as_str().into(), UpstreamIndex(place)))
        .collect()
}

/// Enabled upstreams of which nothing is known, longest prefix first.
fn unlisted(upstreams: &[UpstreamInput], whose: Whose) -> Vec<(Box<str>, UpstreamIndex)> {
    let missing = (0u32..)
        .zip(upstreams)
        .filter(|(_, input)| input.config.enabled && input.catalog.is_empty() && whose.includes(input));
    let mut all: Vec<_> = missing
        .map(|(place, input)| (input.config.prefix.as_str().into(), UpstreamIndex(place)))
        .collect();
    all.sort_by_key(|(prefix, _): &(Box<str>, _)| std::cmp::Reverse(prefix.len()));
    all
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
