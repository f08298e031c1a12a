//! Who says what is served: a configuration file, or a registry.

use super::clusters::Clusters;
use super::follow_file::FollowFile;
use super::follow_registry::FollowRegistry;
use super::publisher::Publisher;
use super::tasks::Tasks;
use super::watch::Watch;
use crate::edge::config_file::ConfigSource;
use crate::edge::identity::{Files, Keysets};
use crate::edge::registry::Assigned;
use crate::edge::upstream::Shelf;
use crate::engine::config::Config;
use crate::engine::session::Keys;
use arc_swap::ArcSwap;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::Signal;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

/// A server that is gone, or back, is known as such within 10 s.
const PULSE: Duration = Duration::from_secs(4);

/// See the module.
pub(super) enum ServedFrom {
    /// A file, loaded again when it or a secret in it changes.
    File {
        /// The file.
        source: ConfigSource,
        /// What signs the session ids of its only endpoint.
        keys: Box<Keys>,
        /// See [`crate::engine::snapshot::Endpoint::route_key`].
        route_key: String,
        /// Who may call.
        files: Box<Files>,
        /// How the keys of issuers are.
        keysets: Keysets,
        /// Requests to load it although nothing seems to have changed.
        hangups: Signal,
        /// `up` only: the Envoy whose clusters follow.
        clusters: Option<Arc<Clusters>>,
    },
    /// Assignments of a registry.
    Registry(mpsc::Receiver<Assigned>),
}

impl ServedFrom {
    /// An Envoy is our child.
    pub(super) const fn has_envoy(&self) -> bool {
        matches!(self, Self::File { clusters: Some(_), .. })
    }

    /// How often upstreams that say nothing are asked whether they are still there: whoever waits for a registration to be
    /// ready, or not, looks at nothing else. On one machine calls and the next listing tell.
    pub(super) const fn pulse(&self) -> Option<Duration> {
        match self {
            Self::File { .. } => None,
            Self::Registry(_) => Some(PULSE),
        }
    }

    /// Leads `publisher` from now on; `config` is in force.
    pub(super) fn start(self, tasks: &mut Tasks, publisher: Publisher, config: Arc<ArcSwap<Config>>, shelf: Shelf) {
        let stop = tasks.stop().clone();
        match self {
            Self::File {
                source,
                keys,
                route_key,
                files,
                keysets,
                hangups,
                clusters,
            } => {
                let issuers = keysets.known();
                publisher.board.issuers(&issuers.borrow());
                publisher.board.begun();
                tasks.assist("keysets", {
                    let stop = stop.clone();
                    async move {
                        keysets.run(stop).await;
                        Ok(())
                    }
                });
                let follow_file = FollowFile {
                    watch: Watch::new(source.file.as_deref(), &config.load()),
                    source,
                    config,
                    publisher,
                    keys: *keys,
                    route_key,
                    files: *files,
                    issuers,
                    hangups,
                    clusters,
                    retiring: TaskTracker::new(),
                };
                tasks.assist("follow_file", async move {
                    follow_file.run(stop).await;
                    Ok(())
                });
            }
            Self::Registry(assigned) => {
                let follow_registry = FollowRegistry {
                    base: config.load_full(),
                    publisher,
                    assigned,
                    shelf: Some(shelf),
                };
                tasks.assist("follow_registry", async move {
                    follow_registry.run(stop).await;
                    Ok(())
                });
            }
        }
    }
}
