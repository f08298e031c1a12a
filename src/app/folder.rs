//! The state folder: made on first use, readable by its owner only, with the keys that nobody configured.

use super::endpoints::Draft;
use crate::edge::http::Target;
use crate::edge::identity::Files;
use crate::edge::identity::keysets::{self, Keysets};
use crate::edge::secrets;
use crate::edge::upstream::{Kept, Shelf};
use crate::engine::config::{self, Config, Secret};
use crate::engine::policy::Callers;
use crate::engine::session::Keys;
use anyhow::Context;
use std::collections::{HashMap, HashSet};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use tracing::warn;

/// Makes the folder if it is not there.
pub(super) fn make(config: &Config) -> anyhow::Result<()> {
    let folder = &config.state_dir;
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("stateDir: {} cannot be made", folder.display()))
}

/// The keys that sign session ids: the configured ones, else one that is generated once.
pub(super) fn session_keys(config: &Config) -> anyhow::Result<Keys> {
    let secrets = if config.session.keys.is_empty() {
        vec![kept(&config.state_dir, "session.key")?.into_bytes()]
    } else {
        let read = |(at, secret): (usize, &Secret)| {
            secrets::resolve_key(secret).with_context(|| format!("session.keys[{at}]"))
        };
        config
            .session
            .keys
            .iter()
            .enumerate()
            .map(read)
            .collect::<Result<_, _>>()?
    };
    Keys::derive(&secrets).context("session.keys: no key")
}

/// Who may call. A file that cannot be read stops nothing: those who rely on it stay outside until it can be; `follow_file`
/// tells.
pub(super) fn callers(config: &Config, keysets: &Keysets) -> (Files, Option<Arc<Callers>>) {
    let mut files = Files::default();
    files.know(keysets::standings(&keysets.known().borrow()));
    let (callers, _) = files.read(config);
    (files, callers)
}

/// The last good catalogs of these upstreams; those of others are forgotten.
pub(super) fn catalogs(shelf: &Shelf, drafts: &[Draft]) -> HashMap<String, Kept> {
    let upstreams = drafts.iter().flat_map(|draft| &draft.upstreams);
    let names: HashSet<&str> = upstreams
        .filter(|upstream| is_kept(upstream))
        .map(|upstream| upstream.name.as_str())
        .collect();
    shelf.prune(|name| names.contains(name));
    kept_catalogs(shelf, drafts)
}

/// The same, and everything stays as it is: a gateway may run there.
pub(super) fn kept_catalogs(shelf: &Shelf, drafts: &[Draft]) -> HashMap<String, Kept> {
    let upstreams = drafts.iter().flat_map(|draft| &draft.upstreams);
    let load = |upstream: &Arc<config::Upstream>| {
        // One that cannot be called has no catalog either; whoever starts its discovery says why.
        let target = Target::new(upstream, None).ok()?;
        match shelf.load(&target) {
            Ok(kept) => kept.map(|kept| (upstream.name.clone(), kept)),
            Err(error) => {
                warn!(upstream = %upstream.name, %error, "The kept catalog is of no use; the upstream is listed afresh.");
                None
            }
        }
    };
    upstreams
        .filter(|upstream| is_kept(upstream))
        .filter_map(load)
        .collect()
}

/// What is listed for one caller is kept for nobody.
fn is_kept(upstream: &config::Upstream) -> bool {
    match upstream.listing {
        config::Listing::Shared => true,
        config::Listing::PerPrincipal => false,
    }
}

/// 32 random bytes in hex, generated once and kept in `name`, readable by the owner only.
pub(super) fn kept(folder: &Path, name: &str) -> anyhow::Result<String> {
    let path = folder.join(name);
    let complaint = || format!("stateDir: {} cannot be read or written", path.display());
    let mut made = OpenOptions::new();
    made.write(true).create_new(true).mode(0o600);
    match made.open(&path) {
        Ok(mut file) => {
            let text = random_hex();
            file.write_all(text.as_bytes())
                .and_then(|()| file.sync_all())
                .with_context(complaint)?;
            Ok(text)
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let mut text = String::new();
            File::open(&path)
                .and_then(|mut file| file.read_to_string(&mut text))
                .with_context(complaint)?;
            anyhow::ensure!(text.len() == 64, "stateDir: {} is damaged: remove it", path.display());
            Ok(text)
        }
        Err(error) => Err(error).with_context(complaint),
    }
}

fn random_hex() -> String {
    let bytes: [u8; 32] = rand::random();
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        use std::fmt::Write as _;
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_value_is_the_same_the_next_time() {
        let folder = tempfile::tempdir().expect("tempdir");
        let first = kept(folder.path(), "x.key").expect("made");
        assert_eq!(first.len(), 64);
        assert_eq!(kept(folder.path(), "x.key").expect("read"), first);
        assert_ne!(kept(folder.path(), "y.key").expect("made"), first);
    }
}
