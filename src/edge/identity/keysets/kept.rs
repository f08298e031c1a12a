//! What is known of an issuer's keys, on disk: when they were had last, their ids, the ids of those that were taken back.
//!
//! No key is kept: whoever verifies fetches them. A file that is of no use is as none.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use url::Url;

/// A larger file is not ours.
const MAX_BYTES: u64 = 1 << 20;

/// What was had last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    /// When.
    pub(super) fetched: SystemTime,
    /// Ids, sorted.
    pub(super) keys: Vec<Box<str>>,
    /// Ids of those that were there before, the latest last.
    pub(super) retired: Vec<Box<str>>,
}

/// Where it is kept: a file for each issuer and URL.
#[derive(Debug)]
pub(super) struct File(PathBuf);

#[derive(Deserialize, Serialize)]
struct Written {
    /// Seconds since the epoch.
    fetched: u64,
    keys: Vec<Box<str>>,
    retired: Vec<Box<str>>,
}

impl Kept {
    /// These keys, after those of `before`. Of what was taken back the latest `most` are remembered.
    pub(super) fn after(before: Option<&Self>, keys: Vec<Box<str>>, fetched: SystemTime, most: usize) -> Self {
        let gone = before
            .into_iter()
            .flat_map(|before| before.retired.iter().chain(&before.keys));
        // One that came back is in force.
        let gone = gone.filter(|id| !id.is_empty() && keys.binary_search(id).is_err());
        let mut retired: Vec<Box<str>> = gone.cloned().collect();
        retired.drain(..retired.len().saturating_sub(most));
        Self { fetched, keys, retired }
    }
}

impl File {
    pub(super) fn of(folder: &Path, issuer: &str, url: &Url) -> Self {
        let digest = Sha256::digest(format!("{issuer}\n{url}"));
        let name = digest
            .iter()
            .take(16)
            .fold(String::with_capacity(32), |mut name, byte| {
                use std::fmt::Write as _;
                let _ = write!(name, "{byte:02x}");
                name
            });
        Self(folder.join(name))
    }

    pub(super) fn read(&self) -> Option<Kept> {
        let length = fs::metadata(&self.0).ok()?.len();
        if length > MAX_BYTES {
            return None;
        }
        let mut written: Written = serde_json::from_slice(&fs::read(&self.0).ok()?).ok()?;
        written.keys.sort_unstable();
        Some(Kept {
            fetched: UNIX_EPOCH.checked_add(Duration::from_secs(written.fetched))?,
            keys: written.keys,
            retired: written.retired,
        })
    }

    /// # Errors
    /// The disk is full or not writable.
    pub(super) fn write(&self, kept: &Kept) -> std::io::Result<()> {
        let written = Written {
            fetched: kept.fetched.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            keys: kept.keys.clone(),
            retired: kept.retired.clone(),
        };
        let bytes = serde_json::to_vec(&written)?;
        if let Some(folder) = self.0.parent() {
            fs::create_dir_all(folder)?;
        }
        let aside = self.0.with_extension("new");
        fs::write(&aside, bytes)?;
        fs::rename(&aside, &self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(text: &str) -> Vec<Box<str>> {
        text.split_whitespace().map(Into::into).collect()
    }

    fn after(before: Option<&Kept>, keys: &str) -> Kept {
        Kept::after(before, ids(keys), UNIX_EPOCH + Duration::from_secs(7), 3)
    }

    #[test]
    fn a_key_is_taken_back_until_it_comes_back() {
        let first = after(None, "a b");
        assert_eq!(first.retired, ids(""));
        let second = after(Some(&first), "b c");
        assert_eq!(second.retired, ids("a"));
        let third = after(Some(&second), "a d");
        assert_eq!(third.retired, ids("b c"), "a is in force again");
        let last = after(Some(&after(Some(&third), "e")), "f");
        assert_eq!(last.retired, ids("a d e"), "the latest ones");
    }

    #[test]
    fn what_is_written_is_read_back_and_garbage_is_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let url = Url::parse("http://127.0.0.1/jwks").expect("a URL");
        let file = File::of(&folder.path().join("jwks"), "https://idp", &url);
        assert_eq!(file.read(), None);
        let kept = after(Some(&after(None, "a")), "b");
        file.write(&kept).expect("written");
        assert_eq!(file.read(), Some(kept));
        let other = File::of(&folder.path().join("jwks"), "https://other", &url);
        assert_eq!(other.read(), None, "each has its own");
        fs::write(&file.0, "garbage").expect("written");
        assert_eq!(file.read(), None);
    }
}
