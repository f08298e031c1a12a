//! The file of upstream clusters: replaces it, and waits until Envoy says that it is in force.
//!
//! Envoy watches the folder for renames and says which version it took last. Streams under way survive every change,
//! so the caller may add clusters first and take them away when nobody needs them any more.

use super::admin::{Admin, AdminError, Stat};
use super::bootstrap::RenderError;
use super::clusters::{Shared, render_clusters};
use super::private;
use crate::engine::config::{Authority, Upstream};
use std::collections::HashMap;
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
            path: folder.join("clusters.json"),
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
        let mut authorities = Authorities::default();
        let mut usable = Vec::with_capacity(upstreams.len());
        let mut left_out = Vec::new();
        for upstream in upstreams {
            match authorities.problem(upstream, shared) {
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
        let rejected = rejections(admin).await?;
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
        let late = match progress(admin, version, rejected_before).await {
            Ok(Progress::InForce) => return Ok(()),
            Ok(Progress::Rejected) => return Err(NotInForce::Rejected),
            Ok(Progress::Warming(warming)) => NotInForce::Late { warming },
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

enum Progress {
    InForce,
    Rejected,
    Warming(u64),
}

async fn progress(admin: &Admin, version: &str, rejected_before: u64) -> Result<Progress, AdminError> {
    let accepted = admin.stats(Stat::Text, VERSION).await?;
    if accepted.text(VERSION) != Some(version) {
        let rejected = rejections(admin).await? > rejected_before;
        return Ok(if rejected {
            Progress::Rejected
        } else {
            Progress::Warming(0)
        });
    }
    let warming = admin.stats(Stat::Gauge, WARMING).await?.number(WARMING);
    Ok(match warming {
        None | Some(0) => Progress::InForce,
        Some(warming) => Progress::Warming(warming),
    })
}

async fn rejections(admin: &Admin) -> Result<u64, AdminError> {
    let stats = admin.stats(Stat::Counter, REJECTED).await?;
    Ok(stats.number(REJECTED).unwrap_or(0))
}

/// Files of certificate authorities, each looked at once: most upstreams share one.
#[derive(Default)]
struct Authorities<'a> {
    problems: HashMap<&'a Path, Option<String>>,
}

impl<'a> Authorities<'a> {
    /// Why Envoy would refuse the whole file because of `upstream`.
    fn problem(&mut self, upstream: &'a Upstream, shared: &'a Shared) -> Option<String> {
        if !upstream.enabled || upstream.url.scheme() != "https" {
            return None;
        }
        let Some(file) = upstream
            .ca
            .as_ref()
            .and_then(Authority::file)
            .or(shared.roots.as_deref())
        else {
            return Some(RenderError::NoRoots(upstream.name.clone()).to_string());
        };
        self.problems.entry(file).or_insert_with(|| unusable(file)).clone()
    }
}

fn unusable(file: &Path) -> Option<String> {
    let problem = match fs::read(file).map(|pem| rustls_pemfile::certs(&mut pem.as_slice()).next()) {
        Err(error) => error.to_string(),
        Ok(None) => "holds no certificate in PEM form".to_owned(),
        Ok(Some(Err(error))) => error.to_string(),
        Ok(Some(Ok(_))) => return None,
    };
    Some(format!("{}: {problem}", file.display()))
}
