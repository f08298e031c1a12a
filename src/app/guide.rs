//! Who says what is served: a configuration file.

use super::clusters::Clusters;
use super::course::Course;
use super::steer::Steer;
use super::tasks::Tasks;
use super::watch::Watch;
use crate::edge::config_file::ConfigSource;
use crate::engine::config::Config;
use crate::engine::session::Keys;
use arc_swap::ArcSwap;
use std::sync::Arc;
use tokio_util::task::TaskTracker;

/// See the module.
pub(super) enum Guide {
    /// A file, loaded again when it or a secret in it changes.
    File {
        /// The file.
        source: ConfigSource,
        /// What signs the session ids of its only endpoint.
        keys: Keys,
        /// See [`crate::engine::snapshot::Endpoint::route_key`].
        route_key: String,
        /// `up` only: the Envoy whose clusters follow.
        clusters: Option<Arc<Clusters>>,
    },
}

impl Guide {
    /// An Envoy is our child.
    pub(super) const fn has_envoy(&self) -> bool {
        matches!(self, Self::File { clusters: Some(_), .. })
    }

    /// Leads `course` from now on; `config` is in force.
    pub(super) fn start(self, tasks: &mut Tasks, course: Course, config: Arc<ArcSwap<Config>>) {
        let stop = tasks.stop().clone();
        match self {
            Self::File {
                source,
                keys,
                route_key,
                clusters,
            } => {
                course.board.begun();
                let steer = Steer {
                    watch: Watch::new(source.file.as_deref(), &config.load()),
                    source,
                    config,
                    course,
                    keys,
                    route_key,
                    clusters,
                    retiring: TaskTracker::new(),
                };
                tasks.assist("steer", async move {
                    steer.run(stop).await;
                    Ok(())
                });
            }
        }
    }
}
