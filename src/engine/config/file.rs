//! The YAML file's shape and its way into `truth`. (Interface first; body to come.)

use super::Config;
use std::path::Path;

/// One thing wrong with a configuration file.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct Problem {
    /// `upstreams[2].prefix`
    pub path: String,
    /// What is wrong and what to do, in one line.
    pub message: String,
}

/// Reads `text`; relative paths in it are taken from `base`, the default state folder is `state`.
///
/// # Errors
/// Every problem found, not only the first.
pub fn parse(_text: &str, _base: &Path, _state: &Path) -> Result<Config, Vec<Problem>> {
    unimplemented!()
}
