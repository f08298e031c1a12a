//! The files that `authentication` names, read again when they change. What was read last stays in force while a file
//! cannot be read; at the start that is nothing, and whoever relies on the file stays outside.

use crate::engine::config::credential_files::{api_keys, passwords};
use crate::engine::config::file::Problem;
use crate::engine::config::{Authentication, Config};
use crate::engine::policy::{Callers, Credentials, Standings};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A hundred thousand keys.
const MAX_BYTES: u64 = 16 << 20;

/// Why a file is of no use. Never shows what stands in it.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file is not readable.
    #[error("{key}: {} cannot be read: {cause}", .file.display())]
    Unreadable {
        /// The key that names it.
        key: &'static str,
        /// The file.
        file: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// Something in it is wrong.
    #[error("{key}: {}: {problem}", .file.display())]
    Invalid {
        /// The key that names it.
        key: &'static str,
        /// The file.
        file: PathBuf,
        /// The first thing that is wrong.
        problem: Problem,
    },
}

/// What the files said last.
#[derive(Debug, Default)]
pub struct Files {
    keys: Option<PathBuf>,
    passwords: Option<PathBuf>,
    credentials: Credentials,
    standings: Standings,
}

impl Files {
    /// Reads the files that `config` names, and what follows for callers. `None`: nobody is asked.
    pub fn read(&mut self, config: &Config) -> (Option<Arc<Callers>>, Vec<FileError>) {
        let Some(authentication) = &config.authentication else {
            (self.keys, self.passwords) = (None, None);
            self.credentials = Credentials::default();
            return (None, Vec::new());
        };
        let errors = self.refresh(authentication);
        let callers = Callers::new(authentication, &config.public_url, &self.credentials);
        (Some(Arc::new(callers.knowing(&self.standings))), errors)
    }

    /// What is known of the keys of issuers from now on. False: it was known.
    pub fn know(&mut self, standings: Standings) -> bool {
        let news = self.standings != standings;
        self.standings = standings;
        news
    }

    fn refresh(&mut self, authentication: &Authentication) -> Vec<FileError> {
        let keys = authentication.api_keys.as_ref().map(|keys| keys.file.clone());
        let credentials = &mut self.credentials;
        let of_keys = follow(
            &mut self.keys,
            keys,
            &mut credentials.keys,
            "authentication.apiKeys",
            api_keys,
        );
        let of_passwords = follow(
            &mut self.passwords,
            authentication.basic.clone(),
            &mut credentials.passwords,
            "authentication.basic",
            passwords,
        );
        of_keys.into_iter().chain(of_passwords).collect()
    }
}

/// Everything that is wrong with the files that `config` names.
#[must_use]
pub fn check(config: &Config) -> Vec<FileError> {
    Files::default().read(config).1
}

/// Entries of another file than before are forgotten; those of the same file stay if it is of no use now.
fn follow<T>(
    known: &mut Option<PathBuf>,
    file: Option<PathBuf>,
    entries: &mut Vec<T>,
    key: &'static str,
    parse: fn(&str) -> Result<Vec<T>, Vec<Problem>>,
) -> Option<FileError> {
    if *known != file {
        entries.clear();
        known.clone_from(&file);
    }
    let file = file?;
    let text = match read(&file) {
        Ok(text) => text,
        Err(cause) => return Some(FileError::Unreadable { key, file, cause }),
    };
    match parse(&text) {
        Ok(read) => {
            *entries = read;
            None
        }
        Err(problems) => {
            let problem = problems.into_iter().next()?;
            Some(FileError::Invalid { key, file, problem })
        }
    }
}

fn read(file: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(file)?
        .take(MAX_BYTES + 1)
        .read_to_string(&mut text)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(std::io::Error::other("larger than 16 MiB"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::config::file::parse;

    fn mk_config(folder: &Path, section: &str) -> Config {
        let text = format!("authentication: {{ {section} }}\nupstreams: [{{name: a, url: 'http://a/'}}]");
        parse(&text, folder, folder).expect("valid")
    }

    fn holds(callers: Option<&Arc<Callers>>, key: &str) -> bool {
        callers.is_some_and(|callers| callers.holder(key.as_bytes()).is_some())
    }

    /// SHA-256 of `a`.
    const A: &str = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb";

    #[test]
    fn a_file_that_breaks_changes_nothing_and_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("keys.yaml");
        let config = mk_config(folder.path(), "apiKeys: { file: keys.yaml }");
        let mut files = Files::default();
        let (callers, errors) = files.read(&config);
        assert!(
            !holds(callers.as_ref(), "a") && errors.len() == 1,
            "nothing is there yet"
        );

        std::fs::write(&file, format!("- {{ name: x, sha256: {A} }}")).expect("written");
        let (callers, errors) = files.read(&config);
        assert!(holds(callers.as_ref(), "a") && errors.is_empty());

        std::fs::write(&file, "- { name: x, sha256: hunter2 }").expect("written");
        let (callers, errors) = files.read(&config);
        assert!(holds(callers.as_ref(), "a"), "the last good one");
        let text = errors.first().expect("told").to_string();
        assert!(
            text.contains("keys.yaml: [0]: sha256") && !text.contains("hunter2"),
            "{text}"
        );

        std::fs::write(&file, "[]").expect("written");
        assert!(!holds(files.read(&config).0.as_ref(), "a"), "taken out");
    }

    #[test]
    fn another_file_brings_nothing_of_the_old_one() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("one"), format!("- {{ name: x, sha256: {A} }}")).expect("written");
        let mut files = Files::default();
        let (callers, _) = files.read(&mk_config(folder.path(), "apiKeys: { file: one }"));
        assert!(holds(callers.as_ref(), "a"));
        let (callers, errors) = files.read(&mk_config(folder.path(), "apiKeys: { file: two }"));
        assert!(!holds(callers.as_ref(), "a") && errors.len() == 1);
    }
}
