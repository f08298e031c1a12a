//! Files that only their owner may read, replaced in one step: whoever reads sees the old text or the new one.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Writes `text` beside `path` and renames it over; the folder must exist.
///
/// # Errors
/// Of the file system.
pub fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let temporary = beside(path);
    let written = create(&temporary, text).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // The first error is the one to tell.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Writes a new file in full and fails with `AlreadyExists` where there is one.
pub(super) fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let temporary = beside(path);
    let linked = create(&temporary, text).and_then(|()| fs::hard_link(&temporary, path));
    let _ = fs::remove_file(&temporary);
    linked
}

/// The folder and those above it, closed to others where they are new.
pub(super) fn create_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Another name in the same folder, of this writer alone.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{:016x}", rand::random::<u64>()));
    path.with_file_name(name)
}

fn create(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}
