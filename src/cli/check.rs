//! `check`: is this file good, and are the secrets and certificates it names there?

use super::arguments::CheckArguments;
use crate::edge::config_file::ConfigSource;
use crate::edge::secrets;
use crate::engine::config::file::Problem;
use crate::engine::config::{Config, Secret};
use std::path::Path;

/// What is missing around a file that is good in itself; a line each.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.lines())]
pub(super) struct Findings {
    file: String,
    problems: Vec<Problem>,
}

impl Findings {
    fn lines(&self) -> String {
        let lines: Vec<String> = self
            .problems
            .iter()
            .map(|problem| format!("{}: {problem}", self.file))
            .collect();
        lines.join("\n")
    }
}

pub(super) fn run(arguments: &CheckArguments) -> anyhow::Result<()> {
    let source = ConfigSource {
        file: Some(arguments.file.clone()),
        upstreams: Vec::new(),
    };
    let config = source.load()?;
    let problems = missing(&config);
    if !problems.is_empty() {
        return Err(Findings {
            file: source.name(),
            problems,
        }
        .into());
    }
    let plural = if config.upstreams.len() == 1 {
        "upstream"
    } else {
        "upstreams"
    };
    super::print(&format!(
        "{}: ok ({} {plural})\n",
        source.name(),
        config.upstreams.len()
    ))
}

/// Every secret and file that the configuration names and that is not there.
fn missing(config: &Config) -> Vec<Problem> {
    let secrets = secrets_of(config).into_iter().filter_map(|(path, secret)| {
        let error = secrets::resolve_bytes(secret).err()?;
        Some(Problem {
            path,
            message: error.to_string(),
        })
    });
    let files = files_of(config).into_iter().filter_map(|(path, file)| {
        let error = std::fs::File::open(file).err()?;
        Some(Problem {
            path,
            message: format!("{} cannot be read: {error}", file.display()),
        })
    });
    secrets.chain(files).collect()
}

fn secrets_of(config: &Config) -> Vec<(String, &Secret)> {
    let token = config
        .admin_token
        .iter()
        .map(|secret| ("adminToken".to_owned(), secret));
    let keys = config
        .session
        .keys
        .iter()
        .enumerate()
        .map(|(index, secret)| (format!("session.keys[{index}]"), secret));
    let credentials = config.upstreams.iter().enumerate().filter_map(|(index, upstream)| {
        let credential = upstream.credential.as_ref()?;
        Some((format!("upstreams[{index}].credential.value"), &credential.value))
    });
    token.chain(keys).chain(credentials).collect()
}

fn files_of(config: &Config) -> Vec<(String, &Path)> {
    let listener = config.tls.iter().flat_map(|tls| {
        [
            ("tls.cert.file".to_owned(), tls.cert.as_path()),
            ("tls.key.file".to_owned(), tls.key.as_path()),
        ]
    });
    let authorities = config
        .upstreams
        .iter()
        .enumerate()
        .filter_map(|(index, upstream)| Some((format!("upstreams[{index}].tls.ca.file"), upstream.ca.as_deref()?)));
    listener.chain(authorities).collect()
}
