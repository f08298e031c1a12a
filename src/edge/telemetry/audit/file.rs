//! A file that others move away: what is written next goes to a new one of the same name.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Appends to whatever has this name.
#[derive(Debug)]
pub(super) struct Rotated {
    path: PathBuf,
    file: File,
}

impl Rotated {
    /// Opens it; makes it if it is not there.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).mode(0o640).open(path)?;
        Ok(Self {
            path: path.to_owned(),
            file,
        })
    }

    /// The name stands for another file now, or for none.
    fn was_moved(&self) -> bool {
        let which = |metadata: io::Result<Metadata>| metadata.ok().map(|file| (file.dev(), file.ino()));
        which(std::fs::metadata(&self.path)) != which(self.file.metadata())
    }
}

impl Write for Rotated {
    /// Looks at the name first: one look for a batch of lines, since a file takes them whole.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.was_moved() {
            // Where that fails the old file still takes the lines; it is tried again with the next ones.
            match Self::open(&self.path) {
                Ok(new) => *self = new,
                Err(error) => tracing::error!(%error, "The audit file was moved, and no new one can be made."),
            }
        }
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
