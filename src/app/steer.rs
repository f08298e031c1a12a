//! Follows the world: reports of discovery, the configuration file, secrets. Everything that leads to a new snapshot
//! passes here, one after the other.

use super::clusters::Clusters;
use super::desk::Desk;
use super::folder;
use super::roster::Roster;
use super::status::Board;
use super::watch::{Changed, Watch};
use super::writer::Writer;
use crate::edge::config_file::ConfigSource;
use crate::edge::upstream::Report;
use crate::engine::config::{Config, change};
use crate::engine::snapshot::Snapshot;
use arc_swap::ArcSwap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

/// Reports taken in one go; one fold for all of them.
const BATCH: usize = 256;

/// The one that steers.
pub(super) struct Steer {
    pub(super) source: ConfigSource,
    pub(super) config: Arc<ArcSwap<Config>>,
    pub(super) watch: Watch,
    pub(super) writer: Writer,
    pub(super) roster: Roster,
    pub(super) board: Arc<Board>,
    pub(super) desk: Arc<Desk>,
    pub(super) reports: mpsc::UnboundedReceiver<Report>,
    /// `up` only: the Envoy whose clusters follow.
    pub(super) clusters: Option<Arc<Clusters>>,
    /// Clusters waiting to be removed.
    pub(super) retiring: TaskTracker,
}

impl Steer {
    /// Follows until `stop`; then ends the discoveries.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        self.roster.follow(&self.config.load(), self.writer.inputs());
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = self.reports.recv_many(&mut batch, BATCH) => {
                    for report in batch.drain(..) {
                        self.writer.report(report);
                    }
                    self.publish();
                }
                changed = self.watch.changed() => match changed {
                    Changed::File => self.reload().await,
                    Changed::Secret => self.reread(),
                },
            }
        }
        self.roster.ended().await;
    }

    /// The file has changed: a valid one is swapped in without dropping a request, an invalid one is reported.
    async fn reload(&mut self) {
        let config = match self.source.load() {
            Ok(config) => config,
            Err(problems) => {
                error!(error = %problems, "Configuration is invalid; the old one stays in force.");
                self.board.config_error(Some(problems.to_string()));
                return;
            }
        };
        let old = self.config.load_full();
        let change = change::between(&old, &config);
        self.board.config_error(None);
        if change == change::Change::default() {
            return;
        }
        if !change.needs_restart.is_empty() {
            warn!(keys = %change.needs_restart.join(", "), "These keys take effect at the next start.");
            self.board
                .config_error(Some(format!("needs a restart: {}", change.needs_restart.join(", "))));
        }
        let config = Arc::new(change::in_force(&old, config));
        if longest_call(&config) > longest_call(&old) {
            warn!("A timeout.call is longer than all before; Envoy's own timeouts follow at the next start.");
        }
        if let Some(clusters) = &self.clusters {
            clusters.add(&config).await;
        }
        // What was said of upstreams as they were is taken while they still are; nothing is said between here and the
        // end of those who said it.
        while let Ok(report) = self.reports.try_recv() {
            self.writer.report(report);
        }
        self.config.store(Arc::clone(&config));
        self.watch.follow(&config);
        self.desk.set_limits(&config.limits);
        self.writer.configure(Arc::clone(&config));
        self.reread_keys();
        let before = self.publish();
        self.roster.follow(&config, self.writer.inputs());
        if let Some(clusters) = &self.clusters {
            let current = Arc::clone(&self.config);
            let retire = Arc::clone(clusters).retire(before, Arc::clone(&config), move || current.load_full());
            self.retiring.spawn(retire);
        }
        info!(
            added = change.added.len(),
            removed = change.removed.len(),
            changed = change.changed.len(),
            "Configuration is in force."
        );
    }

    fn reread(&mut self) {
        self.reread_keys();
        let changed = self.writer.read_secrets();
        self.publish();
        if !changed.is_empty() {
            self.roster.follow(&self.config.load(), self.writer.inputs());
            info!(upstreams = %changed.join(", "), "Credentials were read again.");
        }
    }

    /// What was folded comes into force, and clients that hold a stream open hear which lists have changed.
    fn publish(&mut self) -> Arc<Snapshot> {
        let (before, (legacy, modern)) = self.writer.publish();
        self.desk.hub.tell(legacy, modern);
        before
    }

    /// Keys that cannot be read change nothing: sessions of living clients depend on the old ones.
    fn reread_keys(&mut self) {
        match folder::session_keys(&self.config.load()) {
            Ok(keys) => self.writer.set_keys(keys),
            Err(error) => {
                let error = format!("{error:#}");
                error!(error, "Session keys cannot be read; the old ones stay in force.");
                self.board.config_error(Some(error));
            }
        }
    }
}

/// Envoy's message and route timeouts are made of it at the start.
fn longest_call(config: &Config) -> Option<Duration> {
    config.upstreams.iter().map(|upstream| upstream.timeout.call).max()
}
