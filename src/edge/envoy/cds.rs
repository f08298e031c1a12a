//! The file of upstream clusters: replaces it, and waits until Envoy says that it is in force.
//!
//! Envoy watches the folder for renames and says which version it took last. Streams under way survive every change,
//! so the caller may add clusters first and take them away when nobody needs them any more.

use super::admin::{Admin, AdminError};
use super::bootstrap::RenderError;
use super::clusters::{Shared, render_clusters};
use super::private;
use crate::engine::config::Upstream;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::{self, Instant};

const VERSION: &str = "cluster_manager.cds.version_text";
const REJECTED: &str = "cluster_manager.cds.update_rejected";
const WARMING: &str = "cluster_manager.warming_clusters";

/// Until a new version must be in force. Longer than a name server may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two questions to Envoy: the first comes soon, few clusters take 5 ms.
const PAUSE: [Duration; 2] = [Duration::from_millis(3), Duration::from_millis(100)];

/// The file, alone in its folder.
#[derive(Clone, Debug)]
pub struct CdsFile {
    path: PathBuf,
}

/// An upstream that gets no cluster, so that the others get theirs: calls to it fail.
#[derive(Clone, Debug, PartialEq)]
pub struct LeftOut {
    /// Configured name.
    pub upstream: String,
    /// What is wrong.
    pub reason: String,
}

/// The new version is not in force, as far as is known. The good clusters of a rejected one are.
#[derive(Debug, thiserror::Error)]
pub enum NotInForce {
    /// The file could not be written.
    #[error("cannot write the file of upstream clusters: {0}")]
    Write(#[from] io::Error),
    /// Not even a file.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// Envoy's log says why.
    #[error("Envoy rejected a part of the upstream clusters; its log says which")]
    Rejected,
    /// Envoy took it and still looks up names, or does not even know it.
    #[error("Envoy has not taken the upstream clusters in {} s; {warming} are warming", PATIENCE.as_secs())]
    Late {
        /// Clusters that are not ready.
        warming: u64,
    },
    /// Envoy does not answer.
    #[error(transparent)]
    Admin(#[from] AdminError),
}

impl CdsFile {
    /// The file in its own folder below the state folder; the folder is made.
    ///
    /// # Errors
    /// Of the file system.
    pub fn new(state_dir: &Path) -> io::Result<Self> {
        let folder = state_dir.join("clusters");
        private::create_folder(&folder)?;
        Ok(Self {
            path: folder.join("clusters.yaml"),
        })
    }

    /// For [`super::Clusters::File`].
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Replaces the file. Envoy need not run yet. `version` must be new each time.
    ///
    /// # Errors
    /// [`NotInForce::Write`], [`NotInForce::Render`].
    pub fn write(&self, upstreams: &[Upstream], shared: &Shared, version: &str) -> Result<Vec<LeftOut>, NotInForce> {
        let mut usable = Vec::with_capacity(upstreams.len());
        let mut left_out = Vec::new();
        for upstream in upstreams {
            match unusable(upstream, shared) {
                None => usable.push(upstream.clone()),
                Some(reason) => left_out.push(LeftOut {
                    upstream: upstream.name.clone(),
                    reason,
                }),
            }
        }
        private::write_private(&self.path, &render_clusters(&usable, shared, version)?)?;
        Ok(left_out)
    }

    /// Replaces the file under a running Envoy and waits until every cluster of it is in force.
    ///
    /// # Errors
    /// After 5 s at most; the file stays written.
    pub async fn replace(
        &self,
        admin: &Admin,
        upstreams: &[Upstream],
        shared: &Shared,
        version: &str,
    ) -> Result<Vec<LeftOut>, NotInForce> {
        let rejected = admin.stats("cluster_manager").await?.number(REJECTED).unwrap_or(0);
        let left_out = self.write(upstreams, shared, version)?;
        confirm_after(admin, version, rejected).await?;
        Ok(left_out)
    }
}

/// Waits until `version`, written before Envoy was started, is in force.
///
/// # Errors
/// After 5 s at most.
pub async fn confirm(admin: &Admin, version: &str) -> Result<(), NotInForce> {
    confirm_after(admin, version, 0).await
}

async fn confirm_after(admin: &Admin, version: &str, rejected_before: u64) -> Result<(), NotInForce> {
    let deadline = Instant::now() + PATIENCE;
    let [mut pause, longest] = PAUSE;
    loop {
        let late = match admin.stats("cluster_manager").await {
            Ok(stats) => {
                let warming = stats.number(WARMING).unwrap_or(0);
                if stats.text(VERSION) == Some(version) && warming == 0 {
                    return Ok(());
                }
                if stats
                    .number(REJECTED)
                    .is_some_and(|rejected| rejected > rejected_before)
                {
                    return Err(NotInForce::Rejected);
                }
                NotInForce::Late { warming }
            }
            // Perhaps it is being restarted.
            Err(error) => NotInForce::Admin(error),
        };
        if Instant::now() >= deadline {
            return Err(late);
        }
        time::sleep(pause).await;
        pause = (pause * 2).min(longest);
    }
}

/// Why Envoy would refuse the whole file because of `upstream`.
fn unusable(upstream: &Upstream, shared: &Shared) -> Option<String> {
    if !upstream.enabled || upstream.url.scheme() != "https" {
        return None;
    }
    let Some(roots) = upstream.ca.as_deref().or(shared.roots.as_deref()) else {
        return Some(RenderError::NoRoots(upstream.name.clone()).to_string());
    };
    let problem = match fs::read(roots).map(|pem| rustls_pemfile::certs(&mut pem.as_slice()).next()) {
        Err(error) => error.to_string(),
        Ok(None) => "holds no certificate in PEM form".to_owned(),
        Ok(Some(Err(error))) => error.to_string(),
        Ok(Some(Ok(_))) => return None,
    };
    Some(format!("{}: {problem}", roots.display()))
}
