//! The last assignment that was accepted, in a file that only its owner may read: it holds secrets. A processor that
//! starts without its controller serves what stands there.
//!
//! The file is replaced in one step and carries a checksum; one of another gateway, or a damaged one, is not used.

use super::difference::{self, ApplyError};
use super::proto;
use crate::engine::assignment::Assignment;
use prost::Message;
use sha2::{Digest, Sha256};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tracing::warn;

const FORMAT: &[u8] = b"mcp-manifold assignment 1\n";
const CHECKSUM: usize = 32;
/// A longer file is not ours.
const LONGEST: u64 = 1 << 30;
/// Between two writes: of many changes in a row the last one is written.
const PAUSE: Duration = Duration::from_millis(500);

/// An assignment with the position that it came with.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) position: proto::Position,
    pub(super) assignment: Arc<Assignment>,
}

/// Why the file is of no use.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeptError {
    /// It cannot be read or written.
    #[error("{} cannot be read or written: {source}", .file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Cut, altered, or of another program.
    #[error("{} is damaged", .0.display())]
    Damaged(PathBuf),
    /// Of another gateway.
    #[error("{} is of another gateway", .0.display())]
    Foreign(PathBuf),
    /// Written by another version.
    #[error("{}: {source}", .file.display())]
    Useless {
        /// Which.
        file: PathBuf,
        /// Why.
        source: ApplyError,
    },
}

/// What was kept for this gateway; `None`: nothing yet.
pub(super) fn load(file: &Path, gateway: &str) -> Result<Option<Held>, KeptError> {
    let damaged = || KeptError::Damaged(file.to_owned());
    let failed = |source| KeptError::File {
        file: file.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    match File::open(file) {
        Ok(open) => open.take(LONGEST).read_to_end(&mut bytes).map_err(failed)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let rest = bytes.strip_prefix(FORMAT).ok_or_else(damaged)?;
    let (checksum, body) = rest.split_at_checked(CHECKSUM).ok_or_else(damaged)?;
    if *Sha256::digest(body) != *checksum {
        return Err(damaged());
    }
    let kept = proto::Kept::decode(body).map_err(|_| damaged())?;
    if kept.gateway != gateway {
        return Err(KeptError::Foreign(file.to_owned()));
    }
    let position = kept
        .pieces
        .first()
        .and_then(|piece| piece.position.clone())
        .ok_or_else(damaged)?;
    let applied = difference::apply(&Assignment::default(), kept.pieces);
    let assignment = applied.map_err(|source| KeptError::Useless {
        file: file.to_owned(),
        source,
    })?;
    Ok(Some(Held {
        position,
        assignment: Arc::new(assignment),
    }))
}

/// Writes whatever is accepted, until nobody accepts any more.
pub(super) async fn write(file: &Path, gateway: &str, mut accepted: watch::Receiver<Option<Held>>) {
    while accepted.changed().await.is_ok() {
        let Some(held) = accepted.borrow_and_update().clone() else {
            continue;
        };
        let (path, gateway) = (file.to_owned(), gateway.to_owned());
        let written = tokio::task::spawn_blocking(move || save(&path, &gateway, &held)).await;
        if let Ok(Err(error)) = written {
            warn!(%error, "The assignment is not kept: a restart without the controller would serve an older one.");
        }
        // A change that comes now, and an end, are seen right after.
        tokio::time::sleep(PAUSE).await;
    }
}

fn save(file: &Path, gateway: &str, held: &Held) -> Result<(), KeptError> {
    // An assignment that came over the wire can go back to it.
    let pieces = difference::pieces(None, &held.assignment, &held.position).map_err(|error| KeptError::File {
        file: file.to_owned(),
        source: io::Error::other(error),
    })?;
    let kept = proto::Kept {
        gateway: gateway.to_owned(),
        pieces: pieces.into(),
    };
    let body = kept.encode_to_vec();
    let sum = Sha256::digest(&body);
    replace(file, &[FORMAT, &sum, &body]).map_err(|source| KeptError::File {
        file: file.to_owned(),
        source,
    })
}

fn replace(file: &Path, parts: &[&[u8]]) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{:016x}", rand::random::<u64>()));
    let aside = file.with_file_name(name);
    let written = fill(&aside, parts).and_then(|()| fs::rename(&aside, file));
    if written.is_err() {
        // The first error is the one to tell.
        let _ = fs::remove_file(&aside);
    }
    written
}

fn fill(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    for part in parts {
        file.write_all(part)?;
    }
    file.sync_all()
}

#[cfg(test)]
mod tests;
