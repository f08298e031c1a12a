//! `check`: is this file good, and are the secrets and certificates it names there?

use super::arguments::CheckArguments;
use crate::edge::config_file::ConfigSource;
use crate::edge::identity::files::{self, FileError};
use crate::edge::secrets::{self, Material};
use crate::engine::config::file::{Problem, Reading};
use crate::engine::config::{Audit, AuditTarget, idle};

/// What is wrong in the file, and what is missing around it; a line each.
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
    let reading = source.read()?;
    let mut missing = missing(&reading);
    missing.extend(wrong_files(&reading));
    missing.extend(reading.config.iter().filter_map(|config| homeless(&config.audit)));
    let problems: Vec<Problem> = match reading.config {
        Ok(config) if missing.is_empty() => {
            warn(&source.name(), &idle::rules(&config));
            return good(&source.name(), config.upstreams.len());
        }
        Ok(_) => missing,
        Err(problems) => problems.into_iter().chain(missing).collect(),
    };
    let file = source.name();
    Err(Findings { file, problems }.into())
}

/// What is no mistake, and yet cannot be meant.
fn warn(file: &str, problems: &[Problem]) {
    for problem in problems {
        eprintln!("{file}: warning: {problem}");
    }
}

fn good(file: &str, upstreams: usize) -> anyhow::Result<()> {
    let plural = if upstreams == 1 { "upstream" } else { "upstreams" };
    super::print(&format!("{file}: ok ({upstreams} {plural})\n"))
}

/// What is wrong inside the files that say who may call; those that are missing were named.
fn wrong_files(reading: &Reading) -> Vec<Problem> {
    let errors = reading.config.iter().flat_map(files::check);
    let wrong = errors.filter_map(|error| match error {
        FileError::Unreadable { .. } => None,
        FileError::Invalid { key, file, problem } => Some(Problem {
            path: format!("{key}.file"),
            message: format!("{}: {problem}", file.display()),
        }),
    });
    wrong.collect()
}

/// The file of audit lines is made where it is missing, its folder is not.
fn homeless(audit: &Audit) -> Option<Problem> {
    let AuditTarget::File(file) = &audit.to else {
        return None;
    };
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty())?;
    (!folder.is_dir()).then(|| Problem {
        path: "audit.file".to_owned(),
        message: format!("{} is no folder: make it first", folder.display()),
    })
}

/// What the file that stands at this key is for.
fn material(path: &str) -> Material {
    match path {
        "tls.cert.file" => Material::Certificates,
        "tls.key.file" => Material::PrivateKey,
        path if path.ends_with(".ca.file") => Material::Certificates,
        path if path.ends_with(".jwks.file") => Material::KeySet,
        _ => Material::Any,
    }
}

/// Every secret and file that the configuration names and that is not there, or cannot be what it is for.
fn missing(reading: &Reading) -> Vec<Problem> {
    let secrets = reading.secrets.iter().filter_map(|(path, secret)| {
        let signs = path.starts_with("session.keys[");
        let read = if signs {
            secrets::resolve_key
        } else {
            secrets::resolve_bytes
        };
        let message = read(secret).err()?.to_string();
        let path = path.clone();
        Some(Problem { path, message })
    });
    let files = reading.files.iter().filter_map(|(path, file)| {
        let message = material(path).check(file).err()?;
        let path = path.clone();
        Some(Problem { path, message })
    });
    secrets.chain(files).collect()
}
