//! The folder of a mounted Secret with the processor's certificate: `ca.crt`, `tls.crt`, `tls.key`.

use super::certificate::Identity;
use crate::engine::config::Confidential;
use std::io::{self, Read};
use std::path::Path;
use std::time::SystemTime;

const NAMES: [&str; 3] = ["ca.crt", "tls.crt", "tls.key"];
/// A longer file is a mistake.
const LONGEST: u64 = 1 << 20;

/// How the files looked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Look([Option<(SystemTime, u64)>; 3]);

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be read: {source}", .file.display())]
pub(super) struct FilesError {
    file: std::path::PathBuf,
    source: io::Error,
}

/// Reads the identity, and how its files looked before.
pub(super) fn read(folder: &Path) -> (Look, Result<Identity, FilesError>) {
    let look = look(folder);
    let text = |name: &str| {
        let file = folder.join(name);
        let mut text = String::new();
        std::fs::File::open(&file)
            .and_then(|open| open.take(LONGEST).read_to_string(&mut text))
            .map_err(|source| FilesError { file, source })?;
        Ok(text)
    };
    let [ca, certificate, key] = NAMES;
    let identity = || {
        Ok(Identity {
            ca: text(ca)?.into(),
            certificate: text(certificate)?.into(),
            key: Confidential(text(key)?.into()),
        })
    };
    (look, identity())
}

/// How the files look now.
pub(super) fn look(folder: &Path) -> Look {
    Look(NAMES.map(|name| {
        let file = std::fs::metadata(folder.join(name)).ok()?;
        Some((file.modified().ok()?, file.len()))
    }))
}
