//! One endpoint from what is known of its upstreams: for everybody, or for one caller.

use super::rows::Rows;
use super::{EndpointSettings, UpstreamInput};
use crate::engine::catalog::Kind;
use crate::engine::config;
use crate::engine::mcp::{Era, Version};
use crate::engine::session::EndpointHash;
use crate::engine::snapshot::face::{Freshness, Merged, Side, face};
use crate::engine::snapshot::hello::{self, Chorus, Voice};
use crate::engine::snapshot::upstream::Made;
use crate::engine::snapshot::view::Guarded;
use crate::engine::snapshot::{Endpoint, Face, Observed, Routing, UpstreamIndex};
use bytes::Bytes;
use std::sync::Arc;

/// What one endpoint is made from.
pub(super) struct Making<'a> {
    pub(super) settings: &'a EndpointSettings,
    pub(super) inputs: &'a [UpstreamInput],
    pub(super) rows: &'a Rows,
    pub(super) legacy: &'a Merged,
    pub(super) modern: &'a Merged,
    pub(super) guarded: Option<Guarded>,
    pub(super) whose: Whose,
}

/// For whom an endpoint is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// Without what upstreams list for each caller.
    Everybodys,
    /// With what they list for this one, who is told apart by a number.
    Callers(u64),
}

impl Whose {
    /// What this upstream has belongs there.
    pub(super) fn includes(self, input: &UpstreamInput) -> bool {
        match (self, input.config.listing) {
            (Self::Everybodys, config::Listing::PerPrincipal) => false,
            (Self::Everybodys, config::Listing::Shared) | (Self::Callers(_), _) => true,
        }
    }
}

impl Making<'_> {
    pub(super) fn endpoint(&self) -> Endpoint {
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

/// Those by address alone are counted by the Envoy that we render; another one is not told of them.
fn rate_limits(settings: &EndpointSettings) -> Arc<[Arc<config::RateLimit>]> {
    let counted = |limit: &&Arc<config::RateLimit>| match settings.routing {
        Routing::Cluster => !limit.is_by_address(),
        Routing::Route => true,
    };
    settings.config.rate_limits.iter().filter(counted).cloned().collect()
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
