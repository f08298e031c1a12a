//! The last good catalogs, one file per upstream, so that a restarted gateway has lists before its upstreams answer.
//!
//! A file is format, address, time and checksum in one line each, then the catalog. The address is hashed, for a query
//! may be secret. Written aside and renamed. Anything wrong with a file, or another address than the configured one, and
//! it is as if there were none.

use crate::edge::http::Target;
use crate::engine::catalog::{Catalog, CatalogError};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::Semaphore;

const FORMAT: &str = "mcp-manifold catalog 1";
/// Files written at once: a thousand upstreams may come up together.
const WRITERS: usize = 4;

/// The folder of the catalogs.
#[derive(Clone, Debug)]
pub struct Shelf {
    folder: PathBuf,
    writers: Arc<Semaphore>,
    /// Why the last writing of a catalog failed, by upstream; held to be changed or read, never across I/O.
    failed: Arc<Mutex<BTreeMap<Box<str>, String>>>,
}

/// A catalog from an earlier time.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// What was listed.
    pub catalog: Catalog,
    /// When.
    pub listed: SystemTime,
}

/// Why a catalog could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    /// The file system said no.
    #[error("{}: {source}", .file.display())]
    File {
        /// Which file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not what was written.
    #[error("{}: damaged, ignored", .0.display())]
    Damaged(PathBuf),
    /// Not a catalog of this build.
    #[error("{}: {source}", .file.display())]
    Catalog {
        /// Which file.
        file: PathBuf,
        /// Why.
        source: CatalogError,
    },
}

impl Shelf {
    /// Keeps catalogs in `folder`, which is made when the first is written.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            writers: Arc::new(Semaphore::new(WRITERS)),
            failed: Arc::default(),
        }
    }

    /// Why a catalog is not on disk as it is in memory, if that is so.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.failed().values().next().cloned()
    }

    fn failed(&self) -> MutexGuard<'_, BTreeMap<Box<str>, String>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The catalog of this upstream, if one was written for its address. Reads the disk: not for the call path.
    ///
    /// # Errors
    /// Unreadable or damaged; to be logged and otherwise ignored.
    pub fn load(&self, target: &Target) -> Result<Option<Kept>, ShelfError> {
        let file = self.file(target);
        let bytes = match std::fs::read(&file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(ShelfError::File { file, source }),
        };
        let Some((head, body)) = split(&bytes) else {
            return Err(ShelfError::Damaged(file));
        };
        if head.checksum != checksum(head.address, head.listed, body) {
            return Err(ShelfError::Damaged(file));
        }
        if head.address != address(target) {
            return Ok(None);
        }
        let listed = UNIX_EPOCH + Duration::from_millis(head.listed);
        match Catalog::from_bytes(body) {
            Ok(catalog) => Ok(Some(Kept { catalog, listed })),
            Err(source) => Err(ShelfError::Catalog { file, source }),
        }
    }

    /// Writes the catalog of this upstream, off the calling thread.
    ///
    /// # Errors
    /// The disk is full or not writable; the catalog in memory is not touched by that.
    pub async fn save(&self, target: &Target, kept: Kept) -> Result<(), ShelfError> {
        let file = self.file(target);
        let address = address(target);
        // Never closed.
        let _permit = self.writers.acquire().await;
        let failed = file.clone();
        let outcome = tokio::task::spawn_blocking(move || write(&file, &address, &kept))
            .await
            .unwrap_or_else(|error| {
                Err(ShelfError::File {
                    file: failed,
                    source: std::io::Error::other(error),
                })
            });
        match &outcome {
            Ok(()) => self.failed().remove(&**target.name()),
            Err(error) => self.failed().insert((&**target.name()).into(), error.to_string()),
        };
        outcome
    }

    /// Names of upstreams are safe file names: no slash, never `.` alone.
    fn file(&self, target: &Target) -> PathBuf {
        self.folder.join(&**target.name())
    }

    /// Forgets the catalogs of upstreams that `keep` does not hold.
    pub fn prune(&self, keep: impl Fn(&str) -> bool) {
        self.failed().retain(|name, _| keep(name));
        let Ok(entries) = std::fs::read_dir(&self.folder) else {
            return;
        };
        for entry in entries.flatten() {
            if !entry.file_name().to_str().is_some_and(&keep) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

struct Head<'a> {
    address: &'a str,
    listed: u64,
    checksum: String,
}

fn split(bytes: &[u8]) -> Option<(Head<'_>, &[u8])> {
    let mut rest = bytes;
    let mut line = || {
        let end = memchr::memchr(b'\n', rest)?;
        let (line, after) = (rest.get(..end)?, rest.get(end + 1..)?);
        rest = after;
        std::str::from_utf8(line).ok()
    };
    line().filter(|format| *format == FORMAT)?;
    let address = line()?;
    let listed = line()?.parse().ok()?;
    let checksum = line()?.to_owned();
    Some((
        Head {
            address,
            listed,
            checksum,
        },
        rest,
    ))
}

fn write(file: &Path, address: &str, kept: &Kept) -> Result<(), ShelfError> {
    let failed = |source| ShelfError::File {
        file: file.to_owned(),
        source,
    };
    let body = kept.catalog.to_bytes().map_err(|source| ShelfError::Catalog {
        file: file.to_owned(),
        source,
    })?;
    let listed = kept.listed.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let listed = u64::try_from(listed).unwrap_or(u64::MAX);
    let sum = checksum(address, listed, &body);
    let mut bytes = format!("{FORMAT}\n{address}\n{listed}\n{sum}\n").into_bytes();
    bytes.extend_from_slice(&body);
    let folder = file.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(failed)?;
    // `~` is no character of upstream names: it cannot be another one's file.
    let mut aside = file.as_os_str().to_owned();
    aside.push("~");
    std::fs::write(&aside, &bytes).map_err(failed)?;
    std::fs::rename(&aside, file).map_err(failed)
}

fn address(target: &Target) -> String {
    hex(Sha256::digest(target.uri().to_string()))
}

fn checksum(address: &str, listed: u64, body: &[u8]) -> String {
    let mut hash = Sha256::new();
    hash.update(address);
    hash.update(listed.to_be_bytes());
    hash.update(body);
    hex(hash.finalize())
}

fn hex(bytes: impl IntoIterator<Item = u8>) -> String {
    let mut text = String::with_capacity(64);
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::config;

    fn mk_shelf() -> (tempfile::TempDir, Shelf) {
        let folder = tempfile::tempdir().expect("tempdir");
        let shelf = Shelf::new(folder.path().join("catalogs"));
        (folder, shelf)
    }

    fn mk_target(name: &str, url: &str) -> Target {
        let second = Duration::from_secs(1);
        let upstream = config::Upstream {
            name: name.to_owned(),
            url: url.parse().expect("a URL"),
            prefix: String::new(),
            credential: None,
            headers: Vec::new(),
            timeout: config::Timeouts {
                connect: second,
                call: second,
                list: second,
            },
            ca: None,
            enabled: true,
            resources_rewrite: false,
            resources_probe: false,
            via: config::Via::Envoy,
            protocol: config::Protocol::Streamable,
            eras: config::Eras::Both,
            merge: true,
            addresses: Vec::new(),
            protection: crate::engine::config::Protection::default(),
            delegated: crate::engine::config::Delegated::default(),
            listing: crate::engine::config::Listing::Shared,
        };
        Target::new(&upstream, None).expect("a target")
    }

    fn mk_kept() -> Kept {
        Kept {
            catalog: Catalog::default(),
            listed: UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
        }
    }

    #[tokio::test]
    async fn a_catalog_comes_back_for_the_same_address_only() {
        let (_folder, shelf) = mk_shelf();
        let target = mk_target("a", "http://127.0.0.1:9/mcp?tenant=1");
        assert!(shelf.load(&target).expect("no folder yet").is_none());
        shelf.save(&target, mk_kept()).await.expect("written");
        assert_eq!(shelf.load(&target).expect("read"), Some(mk_kept()));
        let other = mk_target("a", "http://127.0.0.1:9/mcp?tenant=2");
        assert_eq!(shelf.load(&other).expect("read"), None);
    }

    #[tokio::test]
    async fn a_damaged_file_is_an_error_whatever_was_damaged() {
        let (_folder, shelf) = mk_shelf();
        let target = mk_target("a", "http://127.0.0.1:9/mcp");
        shelf.save(&target, mk_kept()).await.expect("written");
        let file = shelf.file(&target);
        let good = std::fs::read(&file).expect("read");
        for position in 0..good.len() {
            let mut bad = good.clone();
            bad[position] ^= 1;
            std::fs::write(&file, &bad).expect("written");
            assert!(shelf.load(&target).is_err(), "byte {position}");
        }
        std::fs::write(&file, &good[..good.len() - 1]).expect("written");
        assert!(shelf.load(&target).is_err(), "cut");
    }

    #[tokio::test]
    async fn a_catalog_that_cannot_be_written_is_trouble_until_it_can() {
        let (folder, shelf) = mk_shelf();
        let target = mk_target("a", "http://127.0.0.1:9/mcp");
        std::fs::write(folder.path().join("catalogs"), "no folder").expect("written");
        assert!(shelf.save(&target, mk_kept()).await.is_err());
        let trouble = shelf.clone().trouble().expect("the clone knows it too");
        assert!(trouble.contains("catalogs"), "{trouble}");
        std::fs::remove_file(folder.path().join("catalogs")).expect("removed");
        shelf.save(&target, mk_kept()).await.expect("written");
        assert_eq!(shelf.trouble(), None);
    }

    #[tokio::test]
    async fn catalogs_of_strangers_are_pruned() {
        let (_folder, shelf) = mk_shelf();
        let stranger = mk_target("a", "http://127.0.0.1:9/mcp");
        let known = mk_target("b", "http://127.0.0.1:9/mcp");
        shelf.save(&stranger, mk_kept()).await.expect("written");
        shelf.save(&known, mk_kept()).await.expect("written");
        shelf.prune(|name| name == "b");
        assert!(shelf.load(&stranger).expect("read").is_none());
        assert!(shelf.load(&known).expect("read").is_some());
    }
}
