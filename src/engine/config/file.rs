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
pub fn parse(text: &str, base: &Path, state: &Path) -> Result<Config, Vec<Problem>> {
    parse_with_upstreams(text, base, state, &[])
}

/// The same with more upstreams, name and URL each, after those of the text; with them the text may have none.
///
/// # Errors
/// Every problem found, not only the first.
pub fn parse_with_upstreams(
    _text: &str,
    _base: &Path,
    _state: &Path,
    _more: &[(String, String)],
) -> Result<Config, Vec<Problem>> {
    unimplemented!()
}
