//! Envoy's upstream clusters in the order of a reload: added before the snapshot that needs them, removed after the last
//! exchange of the snapshot that needed them (design 7).

use crate::edge::envoy::clusters::Shared;
use crate::edge::envoy::{Admin, CdsFile, NotInForce, system_roots};
use crate::engine::config::{Config, Upstream};
use crate::engine::snapshot::Snapshot;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::{info, warn};

/// A snapshot nobody uses any more is noticed within this time.
const LOOK: Duration = Duration::from_millis(250);
/// Clusters go after this long even if an exchange still runs.
const PATIENCE: Duration = Duration::from_secs(600);

/// The clusters of a running Envoy.
pub(super) struct Clusters {
    file: CdsFile,
    admin: Admin,
    version: AtomicU64,
    /// What Envoy has; held while it is being changed, which waits for Envoy's word.
    present: Mutex<Vec<Upstream>>,
}

impl Clusters {
    /// Writes the first file; Envoy need not run yet.
    pub(super) fn new(file: CdsFile, admin: Admin, config: &Config) -> Result<Arc<Self>, NotInForce> {
        let left_out = file.write(&config.upstreams, &Shared::new(config, system_roots()), "g0")?;
        for out in left_out {
            warn!(upstream = %out.upstream, reason = %out.reason, "Upstream gets no cluster: calls to it fail.");
        }
        let present = Mutex::new(config.upstreams.clone());
        Ok(Arc::new(Self {
            file,
            admin,
            version: AtomicU64::new(1),
            present,
        }))
    }

    /// Adds and changes what `config` needs; removes nothing. Waits until it is in force, 5 s at most.
    pub(super) async fn add(&self, config: &Config) {
        let mut present = self.present.lock().await;
        let mut union = config.upstreams.clone();
        let stays = |old: &&Upstream| !config.upstreams.iter().any(|new| new.name == old.name);
        union.extend(present.iter().filter(stays).cloned());
        self.replace(&mut present, union, config).await;
    }

    /// Removes what `config` does not need once `old` is used by nobody any more.
    pub(super) async fn retire(
        self: Arc<Self>,
        old: Arc<Snapshot>,
        config: Arc<Config>,
        current: impl Fn() -> Arc<Config>,
    ) {
        let deadline = Instant::now() + PATIENCE;
        while Arc::strong_count(&old) > 1 && Instant::now() < deadline {
            tokio::time::sleep(LOOK).await;
        }
        drop(old);
        let mut present = self.present.lock().await;
        // A later reload retires for itself, and may need what this one did not.
        if Arc::ptr_eq(&current(), &config) {
            self.replace(&mut present, config.upstreams.clone(), &config).await;
        }
    }

    async fn replace(&self, present: &mut Vec<Upstream>, wanted: Vec<Upstream>, config: &Config) {
        if *present == wanted {
            return;
        }
        let version = format!("g{}", self.version.fetch_add(1, Ordering::Relaxed));
        match self
            .file
            .replace(&self.admin, &wanted, &Shared::new(config, system_roots()), &version)
            .await
        {
            Ok(left_out) => {
                *present = wanted;
                for out in left_out {
                    warn!(upstream = %out.upstream, reason = %out.reason, "Upstream gets no cluster: calls to it fail.");
                }
                info!(version, clusters = present.len(), "Envoy has the upstream clusters.");
            }
            // Calls to a cluster that is not there yet are relayed once, so going on is better than not. It is tried
            // again when the old snapshot is retired, and at the next reload.
            Err(error) => warn!(%error, version, "Envoy has not confirmed the upstream clusters."),
        }
    }
}
