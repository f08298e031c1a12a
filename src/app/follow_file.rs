//! Follows a configuration file and the secrets it names, one change after the other.

use super::clusters::Clusters;
use super::publisher::Publisher;
use super::watch::{Changed, Watch};
use super::{endpoints, folder, idle};
use crate::edge::config_file::ConfigSource;
use crate::edge::identity::{Files, IssuerKeys, keysets};
use crate::engine::config::{Config, change};
use crate::engine::policy::Callers;
use crate::engine::session::Keys;
use arc_swap::ArcSwap;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::Signal;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

/// The one that steers.
pub(super) struct FollowFile {
    pub(super) source: ConfigSource,
    pub(super) config: Arc<ArcSwap<Config>>,
    pub(super) watch: Watch,
    pub(super) publisher: Publisher,
    /// Of its only endpoint.
    pub(super) keys: Keys,
    pub(super) route_key: String,
    /// Who may call there.
    pub(super) files: Files,
    /// How the keys of issuers are.
    pub(super) issuers: watch::Receiver<Vec<IssuerKeys>>,
    /// Requests to read everything again.
    pub(super) hangups: Signal,
    /// `up` only: the Envoy whose clusters follow.
    pub(super) clusters: Option<Arc<Clusters>>,
    /// Clusters waiting to be removed.
    pub(super) retiring: TaskTracker,
}

impl FollowFile {
    /// Follows until `stop`; then ends the discoveries.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        self.publisher.discover(&self.config.load());
        // In force already; said here if it is incomplete.
        self.callers();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.publisher.hear() => {}
                Ok(()) = self.issuers.changed() => self.issuers(),
                changed = self.watch.changed() => match changed {
                    Changed::File => self.reload().await,
                    Changed::Secret => self.reread(),
                },
                Some(()) = self.hangups.recv() => {
                    info!("Asked to read the configuration and its secrets again.");
                    self.reload().await;
                    self.reread();
                }
            }
        }
        self.publisher.roster.ended().await;
    }

    /// The file has changed: a valid one is swapped in without dropping a request, an invalid one is reported.
    async fn reload(&mut self) {
        let config = match self.source.load() {
            Ok(config) => config,
            Err(problems) => {
                error!(error = %problems, "Configuration is invalid; the old one stays in force.");
                self.publisher.board.config_error(Some(problems.to_string()));
                return;
            }
        };
        let old = self.config.load_full();
        let change = change::between(&old, &config);
        self.publisher.board.config_error(None);
        if change == change::Change::default() {
            return;
        }
        if !change.needs_restart.is_empty() {
            warn!(keys = %change.needs_restart.join(", "), "These keys take effect at the next start.");
            self.publisher
                .board
                .config_error(Some(format!("needs a restart: {}", change.needs_restart.join(", "))));
        }
        idle::tell(&config);
        let config = Arc::new(change::in_force(&old, config));
        if longest_call(&config) > longest_call(&old) {
            warn!("A timeout.call is longer than all before; Envoy's own timeouts follow at the next start.");
        }
        if let Some(clusters) = &self.clusters {
            clusters.add(&config).await;
        }
        self.config.store(Arc::clone(&config));
        self.watch.follow(&config);
        self.publisher
            .desk
            .set_limits(&config.limits, &config.lists, config.session.idle);
        let throttle = &self.publisher.desk.throttle;
        if let Err(error) = throttle.follow(&config.rate_limits, config.rate_limit_service.as_ref()) {
            error!(%error, "rateLimitService.address is of no use; rate limits stay as they were.");
        }
        self.reread_keys();
        let callers = self.callers();
        let drafts = endpoints::of_file(&config, self.keys.clone(), &self.route_key, callers);
        let before = self.publisher.serve(&config, drafts, &HashMap::new());
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
        self.publisher.writer.set_keys(&self.keys);
        let callers = self.callers();
        self.publisher.writer.set_callers(callers.as_ref());
        let changed = self.publisher.writer.read_secrets();
        self.publisher.publish();
        if !changed.is_empty() {
            self.publisher.discover(&self.config.load());
            info!(upstreams = %changed.join(", "), "Credentials were read again.");
        }
    }

    /// Something is known of the keys of issuers. Most of it changes nothing for callers.
    fn issuers(&mut self) {
        let known = self.issuers.borrow_and_update().clone();
        self.publisher.board.issuers(&known);
        if self.files.know(keysets::standings(&known)) {
            let callers = self.callers();
            self.publisher.writer.set_callers(callers.as_ref());
            self.publisher.publish();
        }
    }

    /// Who may call, as the files say now.
    fn callers(&mut self) -> Option<Arc<Callers>> {
        let (callers, errors) = self.files.read(&self.config.load());
        for error in errors {
            let error = error.to_string();
            error!(error, "Who may call cannot be read; what was read last stays in force.");
            self.publisher.board.config_error(Some(error));
        }
        callers
    }

    /// Keys that cannot be read change nothing: sessions of living clients depend on the old ones.
    fn reread_keys(&mut self) {
        match folder::session_keys(&self.config.load()) {
            Ok(keys) => self.keys = keys,
            Err(error) => {
                let error = format!("{error:#}");
                error!(error, "Session keys cannot be read; the old ones stay in force.");
                self.publisher.board.config_error(Some(error));
            }
        }
    }
}

/// Envoy's message and route timeouts are made of it at the start.
fn longest_call(config: &Config) -> Option<Duration> {
    config.upstreams.iter().map(|upstream| upstream.timeout.call).max()
}
