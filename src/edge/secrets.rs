//! Secrets, read where they lie: an environment variable or a file.
//!
//! Nothing is kept here; whoever holds a resolved secret asks for its `fingerprint` again to learn of a change.
//! Errors name the place, never the value.

mod material;

pub use material::Material;

use crate::engine::config::{Confidential, Secret};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A shorter signing key could be found by trying.
const MIN_KEY: usize = 16;
/// A longer file is no secret but a mistake.
const MAX_BYTES: u64 = 64 * 1024;

/// Why a secret has no value.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The environment variable is unset.
    #[error("environment variable {0} is not set")]
    Unset(String),
    /// The file is not readable.
    #[error("{} cannot be read: {cause}", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// Nothing is left once trailing line ends are cut.
    #[error("{0} is empty")]
    Empty(String),
    /// The file is longer than 64 KiB.
    #[error("{} is larger than 64 KiB", .0.display())]
    TooLarge(PathBuf),
    /// Not UTF-8 where text is needed.
    #[error("{0} is not text")]
    NotText(String),
    /// A signing key that could be guessed.
    #[error("{0} is shorter than {MIN_KEY} bytes: make a key with `openssl rand -hex 32`")]
    Short(String),
}

/// What tells two states of a secret apart without reading it. Environment variables never change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint(Option<(SystemTime, u64)>);

/// Reads a secret that is text, without trailing line ends.
///
/// # Errors
/// Unset, unreadable, empty, too large, not UTF-8.
pub fn resolve(secret: &Secret) -> Result<String, SecretError> {
    String::from_utf8(resolve_bytes(secret)?).map_err(|_| SecretError::NotText(place(secret)))
}

/// Reads a secret that may be binary (a signing key), without trailing line ends.
///
/// # Errors
/// Unset, unreadable, empty, too large.
pub fn resolve_bytes(secret: &Secret) -> Result<Vec<u8>, SecretError> {
    let mut bytes = match secret {
        Secret::Env(name) => std::env::var_os(name)
            .ok_or_else(|| SecretError::Unset(name.clone()))?
            .into_encoded_bytes(),
        Secret::File(file) => read(file)?,
        Secret::Value(Confidential(value)) => value.as_bytes().to_vec(),
    };
    while bytes.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        bytes.pop();
    }
    if bytes.is_empty() {
        Err(SecretError::Empty(place(secret)))
    } else {
        Ok(bytes)
    }
}

/// Reads a secret that signs: what clients hold must not be enough to find it.
///
/// # Errors
/// As of [`resolve_bytes`], and shorter than 16 bytes.
pub fn resolve_key(secret: &Secret) -> Result<Vec<u8>, SecretError> {
    let bytes = resolve_bytes(secret)?;
    if bytes.len() < MIN_KEY {
        return Err(SecretError::Short(place(secret)));
    }
    Ok(bytes)
}

/// What the secret looks like from outside now. A file that is not there has the default one.
#[must_use]
pub fn fingerprint(secret: &Secret) -> Fingerprint {
    let Secret::File(file) = secret else {
        return Fingerprint::default();
    };
    let metadata = std::fs::metadata(file).ok();
    Fingerprint(metadata.and_then(|metadata| Some((metadata.modified().ok()?, metadata.len()))))
}

fn read(file: &Path) -> Result<Vec<u8>, SecretError> {
    let unreadable = |cause| SecretError::Unreadable {
        file: file.to_owned(),
        cause,
    };
    let mut bytes = Vec::new();
    let mut reader = std::fs::File::open(file).map_err(unreadable)?.take(MAX_BYTES + 1);
    reader.read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_BYTES {
        Err(SecretError::TooLarge(file.to_owned()))
    } else {
        Ok(bytes)
    }
}

fn place(secret: &Secret) -> String {
    match secret {
        Secret::Env(name) => format!("environment variable {name}"),
        Secret::File(file) => file.display().to_string(),
        Secret::Value(_) => "what the controller sent".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_file(content: &[u8]) -> (tempfile::TempDir, Secret) {
        let folder = tempfile::tempdir().expect("tempdir");
        let file = folder.path().join("secret");
        std::fs::write(&file, content).expect("written");
        (folder, Secret::File(file))
    }

    #[test]
    fn a_key_that_could_be_guessed_is_refused() {
        let (_folder, short) = mk_file(b"fifteen bytes..");
        let error = resolve_key(&short).expect_err("short").to_string();
        assert!(error.contains("openssl rand"), "{error}");
        let (_folder, long) = mk_file(b"sixteen bytes...\n");
        assert_eq!(resolve_key(&long).expect("long enough").len(), 16);
    }

    #[test]
    fn trailing_line_ends_are_cut_and_nothing_else() {
        let (_folder, secret) = mk_file(b" token \r\n\n");
        assert_eq!(resolve(&secret).expect("readable"), " token ");
    }

    #[test]
    fn an_empty_file_is_no_secret() {
        let (_folder, secret) = mk_file(b"\n");
        assert!(matches!(resolve(&secret), Err(SecretError::Empty(_))));
    }

    #[test]
    fn a_binary_key_resolves_as_bytes_only() {
        let (_folder, secret) = mk_file(&[0xff, 0x00, 0x01]);
        assert_eq!(resolve_bytes(&secret).expect("readable"), [0xff, 0x00, 0x01]);
        let error = resolve(&secret).expect_err("not UTF-8").to_string();
        assert!(error.ends_with("is not text"), "{error}");
    }

    #[test]
    fn what_is_missing_is_named() {
        let unset = Secret::Env("MCP_MANIFOLD_TEST_NOBODY_SETS_THIS".into());
        let error = resolve(&unset).expect_err("unset").to_string();
        assert_eq!(
            error,
            "environment variable MCP_MANIFOLD_TEST_NOBODY_SETS_THIS is not set"
        );
        let absent = Secret::File("/nowhere/token".into());
        assert!(
            resolve(&absent)
                .expect_err("absent")
                .to_string()
                .starts_with("/nowhere/token cannot be read")
        );
    }

    #[test]
    fn a_file_that_would_fill_memory_is_refused() {
        assert!(matches!(
            resolve_bytes(&Secret::File("/dev/zero".into())),
            Err(SecretError::TooLarge(_))
        ));
    }

    #[test]
    fn a_rewritten_file_has_another_fingerprint() {
        let (_folder, secret) = mk_file(b"one");
        let before = fingerprint(&secret);
        assert_eq!(before, fingerprint(&secret));
        let Secret::File(file) = &secret else {
            unreachable!("made as a file")
        };
        std::fs::write(file, b"three").expect("written");
        assert_ne!(before, fingerprint(&secret));
    }
}
