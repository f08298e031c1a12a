//! The one writer of the snapshot (I3): takes news from discovery, configuration and secrets, folds, publishes.

use super::news;
use super::status::Board;
use crate::edge::secrets;
use crate::edge::upstream::{Kept, Report};
use crate::engine::catalog::Catalog;
use crate::engine::config::{self, Config};
use crate::engine::session::Keys;
use crate::engine::snapshot::Snapshot;
use crate::engine::snapshot::fold::{EndpointSettings, Folder, UpstreamInput};
use crate::engine::stream::Kinds;
use arc_swap::ArcSwap;
use std::collections::HashMap;
use std::sync::Arc;
use tracing::warn;

/// What the writer knows, and the cell it writes.
pub(super) struct Writer {
    settings: EndpointSettings,
    folder: Folder,
    inputs: Vec<UpstreamInput>,
    cell: Arc<ArcSwap<Snapshot>>,
    board: Arc<Board>,
    /// Lists that upstreams said have changed, as legacy and as modern clients see them; not published yet.
    said: (Kinds, Kinds),
}

impl Writer {
    /// Folds the first snapshot: upstreams as configured, items as last kept on disk.
    pub(super) fn new(settings: EndpointSettings, kept: &HashMap<String, Kept>, board: Arc<Board>) -> Self {
        let inputs = settings
            .config
            .upstreams
            .iter()
            .map(|upstream| input(upstream, kept.get(&upstream.name).map(|kept| &kept.catalog)));
        let inputs: Vec<_> = inputs.collect();
        let mut folder = Folder::default();
        let (snapshot, warnings) = folder.fold(&settings, &inputs);
        board.configured(&settings.config);
        board.folded(snapshot.generation, &warnings);
        let cell = Arc::new(ArcSwap::new(snapshot));
        Self {
            settings,
            folder,
            inputs,
            cell,
            board,
            said: <(Kinds, Kinds)>::default(),
        }
    }

    /// What exchanges read.
    pub(super) fn cell(&self) -> Arc<ArcSwap<Snapshot>> {
        Arc::clone(&self.cell)
    }

    /// The upstreams as they are in force, credentials resolved.
    pub(super) fn inputs(&self) -> &[UpstreamInput] {
        &self.inputs
    }

    /// News of one upstream; publish afterwards. Reports of upstreams that are gone are dropped.
    pub(super) fn report(&mut self, report: Report) {
        let Some(input) = self
            .inputs
            .iter_mut()
            .find(|input| input.config.name == *report.upstream)
        else {
            return;
        };
        self.board.reported(&report);
        self.said = news::more(self.said, &report);
        input.catalog = report.catalog;
    }

    /// Other keys sign and verify session ids; publish afterwards.
    pub(super) fn set_keys(&mut self, keys: Keys) {
        self.settings.keys = keys;
    }

    /// Another configuration; publish afterwards.
    pub(super) fn configure(&mut self, config: Arc<Config>) {
        let kept: HashMap<String, Catalog> = self
            .inputs
            .iter()
            .map(|input| {
                (
                    input.config.name.clone(),
                    (input.config.url.clone(), input.catalog.clone()),
                )
            })
            .filter(|(name, (url, _))| config.upstreams.iter().any(|new| new.name == *name && new.url == *url))
            .map(|(name, (_, catalog))| (name, catalog))
            .collect();
        self.inputs = config
            .upstreams
            .iter()
            .map(|upstream| input(upstream, kept.get(&upstream.name)))
            .collect();
        self.board.configured(&config);
        self.settings.config = config;
    }

    /// Reads the secrets again. The names of upstreams whose credential is another one now; publish afterwards.
    pub(super) fn read_secrets(&mut self) -> Vec<String> {
        let mut changed = Vec::new();
        for input in &mut self.inputs {
            let credential = credential(&input.config);
            if credential != input.credential {
                input.credential = credential;
                changed.push(input.config.name.clone());
            }
        }
        changed
    }

    /// Folds and swaps. The snapshot that was in force until now comes back, and which lists have changed for clients of
    /// the legacy and of the modern era.
    pub(super) fn publish(&mut self) -> (Arc<Snapshot>, (Kinds, Kinds)) {
        let (snapshot, warnings) = self.folder.fold(&self.settings, &self.inputs);
        self.board.folded(snapshot.generation, &warnings);
        let before = self.cell.swap(Arc::clone(&snapshot));
        let seen = news::between(&before, &snapshot);
        let said = std::mem::take(&mut self.said);
        (before, (seen.0.or(said.0), seen.1.or(said.1)))
    }
}

fn input(upstream: &config::Upstream, kept: Option<&Catalog>) -> UpstreamInput {
    UpstreamInput {
        config: Arc::new(upstream.clone()),
        credential: credential(upstream),
        catalog: kept.cloned().unwrap_or_default(),
    }
}

/// The credential's value now; a missing one is an operator's business and said once per reading.
fn credential(upstream: &config::Upstream) -> Option<Result<Arc<str>, ()>> {
    let credential = upstream.credential.as_ref()?;
    Some(secrets::resolve(&credential.value).map(Into::into).map_err(|error| {
        warn!(upstream = %upstream.name, %error, "Credential is missing; calls to this upstream are refused until it is there.");
    }))
}
