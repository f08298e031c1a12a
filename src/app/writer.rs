//! The one writer of the snapshot (I3): takes news from discovery, configuration and secrets, folds, publishes.
//!
//! The snapshot has one part per endpoint; each is folded by itself, and only if something of it has changed.

use super::endpoints::Draft;
use super::news::{self, News};
use super::status::Board;
use crate::edge::secrets;
use crate::edge::upstream::{Kept, Report};
use crate::engine::config;
use crate::engine::policy::Callers;
use crate::engine::session::{EndpointHash, Keys};
use crate::engine::snapshot::fold::{EndpointSettings, Folder, UpstreamInput};
use crate::engine::snapshot::{Endpoint, Snapshot};
use crate::engine::stream::Kinds;
use arc_swap::ArcSwap;
use std::collections::HashMap;
use std::sync::Arc;
use tracing::warn;

/// What the writer knows, and the cell it writes.
pub(super) struct Writer {
    /// In the order of the snapshot.
    parts: Vec<Part>,
    /// Where the upstream of this name stands, part and place in it: a transparent path has one for itself.
    places: HashMap<Arc<str>, Vec<(usize, usize)>>,
    generation: u64,
    cell: Arc<ArcSwap<Snapshot>>,
    board: Arc<Board>,
}

/// One endpoint.
struct Part {
    settings: EndpointSettings,
    folder: Folder,
    inputs: Vec<UpstreamInput>,
    folded: Folded,
    /// Lists that upstreams said have changed, as legacy and as modern clients see them; not published yet.
    said: (Kinds, Kinds),
}

/// What the last fold made of a part.
enum Folded {
    /// Nothing yet.
    Never,
    /// Something has changed since.
    Stale(Arc<Endpoint>),
    /// This, and what it warned of: upstream, text.
    Fresh(Arc<Endpoint>, Warnings),
}

/// Upstream and text of each.
type Warnings = Vec<(String, String)>;

/// What came into force.
pub(super) struct Published {
    /// The snapshot that was in force until now.
    pub(super) before: Arc<Snapshot>,
    /// Which lists have changed for clients.
    pub(super) news: Vec<News>,
    /// Endpoints that are served no more.
    pub(super) closed: Vec<EndpointHash>,
}

impl Writer {
    /// Folds the first snapshot: upstreams as configured, items as last kept on disk.
    pub(super) fn new(drafts: Vec<Draft>, kept: &HashMap<String, Kept>, board: Arc<Board>) -> Self {
        let mut writer = Self {
            parts: Vec::new(),
            places: HashMap::new(),
            generation: 0,
            cell: Arc::new(ArcSwap::from_pointee(Snapshot {
                generation: 0,
                endpoints: Vec::new(),
            })),
            board,
        };
        writer.configure(drafts, kept);
        writer.publish();
        writer
    }

    /// What exchanges read.
    pub(super) fn cell(&self) -> Arc<ArcSwap<Snapshot>> {
        Arc::clone(&self.cell)
    }

    /// The upstreams as they are in force, credentials resolved; each once.
    pub(super) fn inputs(&self) -> impl Iterator<Item = &UpstreamInput> {
        let parts = self.parts.iter().enumerate();
        let all = parts.flat_map(|(at, part)| {
            part.inputs
                .iter()
                .enumerate()
                .map(move |(place, input)| ((at, place), input))
        });
        all.filter(|(place, input)| {
            let places = self.places.get(input.config.name.as_str());
            places.and_then(|places| places.first()) == Some(place)
        })
        .map(|(_, input)| input)
    }

    /// News of one upstream; publish afterwards. Reports of upstreams that are gone are dropped.
    pub(super) fn report(&mut self, report: &Report) {
        let Some(places) = self.places.get(&*report.upstream) else {
            return;
        };
        self.board.reported(report);
        for (part, input) in places {
            let Some(part) = self.parts.get_mut(*part) else {
                continue;
            };
            part.said = news::more(part.said, report);
            part.folded.spoil();
            if let Some(input) = part.inputs.get_mut(*input) {
                input.catalog = report.catalog.clone();
            }
        }
    }

    /// Other keys sign and verify session ids of every endpoint; publish afterwards.
    pub(super) fn set_keys(&mut self, keys: &Keys) {
        for part in &mut self.parts {
            part.settings.keys = keys.clone();
            part.folded.spoil();
        }
    }

    /// Something else is asked of the callers of every endpoint; publish afterwards.
    pub(super) fn set_callers(&mut self, callers: Option<&Arc<Callers>>) {
        for part in &mut self.parts {
            part.settings.callers = callers.cloned();
            part.folded.spoil();
        }
    }

    /// Other endpoints, or the same with other upstreams; publish afterwards. An upstream that stays under its name and URL
    /// keeps its items, another one begins with those in `kept`.
    pub(super) fn configure(&mut self, drafts: Vec<Draft>, kept: &HashMap<String, Kept>) {
        let mut parts: HashMap<Arc<str>, Part> = HashMap::new();
        let mut known: HashMap<Arc<str>, UpstreamInput> = HashMap::new();
        for mut part in self.parts.drain(..) {
            let inputs = part.inputs.drain(..);
            known.extend(inputs.map(|input| (input.config.name.as_str().into(), input)));
            parts.insert(Arc::clone(&part.settings.id), part);
        }
        let catalog = |upstream: &config::Upstream| {
            let old = known.get(upstream.name.as_str());
            let old = old
                .filter(|old| old.config.url == upstream.url && upstream.listing == config::Listing::Shared)
                .map(|old| old.catalog.clone());
            old.or_else(|| kept.get(&upstream.name).map(|kept| kept.catalog.clone()))
        };
        for draft in drafts {
            let inputs: Vec<_> = draft
                .upstreams
                .into_iter()
                .map(|upstream| UpstreamInput {
                    catalog: catalog(&upstream).unwrap_or_default(),
                    credential: credential(&upstream),
                    config: upstream,
                })
                .collect();
            let part = parts.remove(&draft.settings.id);
            self.parts.push(Part::next(part, draft.settings, inputs));
        }
        self.places.clear();
        for (at, part) in self.parts.iter().enumerate() {
            for (place, input) in part.inputs.iter().enumerate() {
                let places = self.places.entry(input.config.name.as_str().into());
                places.or_default().push((at, place));
            }
        }
        self.board.configured(self.inputs());
    }

    /// Reads the secrets again. The names of upstreams whose credential is another one now; publish afterwards.
    pub(super) fn read_secrets(&mut self) -> Vec<String> {
        let mut changed = Vec::new();
        for part in &mut self.parts {
            for input in &mut part.inputs {
                let credential = credential(&input.config);
                if credential != input.credential {
                    input.credential = credential;
                    part.folded.spoil();
                    if !changed.contains(&input.config.name) {
                        changed.push(input.config.name.clone());
                    }
                }
            }
        }
        changed
    }

    /// Folds what has changed, and swaps.
    pub(super) fn publish(&mut self) -> Published {
        let news: Vec<News> = self.parts.iter_mut().filter_map(Part::fold).collect();
        let folded = || self.parts.iter().filter_map(Part::folded);
        self.generation += 1;
        let snapshot = Snapshot {
            generation: self.generation,
            endpoints: folded().map(|(endpoint, _)| Arc::clone(endpoint)).collect(),
        };
        self.board
            .folded(self.generation, folded().flat_map(|(_, warnings)| warnings));
        let before = self.cell.swap(Arc::new(snapshot));
        let is_open = |hash: EndpointHash| folded().any(|(endpoint, _)| endpoint.hash == hash);
        let hashes = before.endpoints.iter().map(|endpoint| endpoint.hash);
        let closed = hashes.filter(|hash| !is_open(*hash)).collect();
        Published { before, news, closed }
    }
}

impl Part {
    /// The endpoint with these settings and upstreams; what the last fold made of it is not made again.
    fn next(old: Option<Self>, settings: EndpointSettings, inputs: Vec<UpstreamInput>) -> Self {
        let mut part = old.unwrap_or_else(|| Self {
            settings: settings.clone(),
            folder: Folder::default(),
            inputs: Vec::new(),
            folded: Folded::Never,
            said: <(Kinds, Kinds)>::default(),
        });
        (part.settings, part.inputs) = (settings, inputs);
        part.folded.spoil();
        part
    }

    /// Folds, if anything has changed: which lists have. The first fold is no news to anybody.
    fn fold(&mut self) -> Option<News> {
        let before = match std::mem::replace(&mut self.folded, Folded::Never) {
            fresh @ Folded::Fresh(..) => {
                self.folded = fresh;
                return None;
            }
            Folded::Stale(before) => Some(before),
            Folded::Never => None,
        };
        let (endpoint, warnings) = self.folder.fold(&self.settings, &self.inputs);
        let said = std::mem::take(&mut self.said);
        let news = before.map(|before| news::between(&before, &endpoint).and(said));
        self.folded = Folded::Fresh(endpoint, warnings);
        news
    }

    fn folded(&self) -> Option<(&Arc<Endpoint>, &Warnings)> {
        match &self.folded {
            Folded::Fresh(endpoint, warnings) => Some((endpoint, warnings)),
            Folded::Never | Folded::Stale(_) => None,
        }
    }
}

impl Folded {
    /// Something has changed since.
    fn spoil(&mut self) {
        if let Self::Fresh(endpoint, _) = self {
            *self = Self::Stale(Arc::clone(endpoint));
        }
    }
}

/// The credential's value now; a missing one is an operator's business and said once per reading.
fn credential(upstream: &config::Upstream) -> Option<Result<Arc<str>, ()>> {
    let credential = upstream.credential.as_ref()?;
    Some(secrets::resolve(&credential.value).map(Into::into).map_err(|error| {
        warn!(upstream = %upstream.name, %error, "Credential is missing; calls to this upstream are refused until it is there.");
    }))
}
