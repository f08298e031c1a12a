//! The configuration as it lies on disk: one file, the upstreams named on the command line, the default state folder.
//!
//! Reading only; what the text means is `engine::config`'s. `load` may be called again whenever the file has changed.

use crate::engine::config::Config;
use crate::engine::config::file::{self, Problem, Reading};
use std::path::{Path, PathBuf};

/// Where a configuration comes from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConfigSource {
    /// The YAML file; `None`: defaults, and `upstreams` alone.
    pub file: Option<PathBuf>,
    /// Name and URL of each `--upstream`, after those of the file.
    pub upstreams: Vec<(String, String)>,
}

/// Why there is no configuration. Its text has one line per problem, each beginning with the file's name.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file is not readable.
    #[error("{}: cannot be read: {cause}", .file.display())]
    Unreadable {
        /// As it was given.
        file: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// The file says something that is wrong.
    #[error("{}", lines(.file, .problems))]
    Invalid {
        /// As it was given; `command line` without one.
        file: String,
        /// Every problem, in the order of reading.
        problems: Vec<Problem>,
    },
}

impl ConfigSource {
    /// Reads and validates.
    ///
    /// # Errors
    /// The file is unreadable, or every problem in it.
    pub fn load(&self) -> Result<Config, LoadError> {
        self.read()?.config.map_err(|problems| LoadError::Invalid {
            file: self.name(),
            problems,
        })
    }

    /// Reads and validates the settings of a processor that gets its endpoints from a registry.
    ///
    /// # Errors
    /// The file is unreadable, or every problem in it.
    pub fn load_settings(&self) -> Result<Config, LoadError> {
        let (text, base) = self.text()?;
        let settings = file::parse_settings(&text, &absolute(&base), &absolute(&default_state_dir()));
        settings.map_err(|problems| LoadError::Invalid {
            file: self.name(),
            problems,
        })
    }

    /// Reads; what is wrong with the text is part of the outcome.
    ///
    /// # Errors
    /// The file is unreadable.
    pub fn read(&self) -> Result<Reading, LoadError> {
        let (text, base) = self.text()?;
        Ok(self.understand(&text, &base))
    }

    /// The text, and the folder that its relative paths start at.
    fn text(&self) -> Result<(String, PathBuf), LoadError> {
        let Some(file) = &self.file else {
            return Ok((String::new(), PathBuf::from(".")));
        };
        let text = std::fs::read_to_string(file).map_err(|cause| LoadError::Unreadable {
            file: file.clone(),
            cause,
        })?;
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        Ok((text, folder.unwrap_or(Path::new(".")).to_owned()))
    }

    /// How problems name this source.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.file {
            Some(file) => file.display().to_string(),
            None => "command line".to_owned(),
        }
    }

    /// Paths are made absolute: Envoy and others may stand in another folder.
    fn understand(&self, text: &str, base: &Path) -> Reading {
        file::read(text, &absolute(base), &absolute(&default_state_dir()), &self.upstreams)
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// `$XDG_STATE_HOME/mcp-manifold`, else `~/.local/state/mcp-manifold`, else `./state`.
#[must_use]
pub fn default_state_dir() -> PathBuf {
    let folder = |variable| {
        std::env::var_os(variable)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    folder("XDG_STATE_HOME")
        .or_else(|| folder("HOME").map(|home| home.join(".local/state")))
        .map_or_else(|| PathBuf::from("state"), |state| state.join("mcp-manifold"))
}

fn lines(file: &str, problems: &[Problem]) -> String {
    problems
        .iter()
        .map(|problem| format!("{file}: {problem}"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upstreams_of_the_command_line_need_no_file() {
        let source = ConfigSource {
            file: None,
            upstreams: vec![("one".into(), "http://127.0.0.1:9/mcp".into())],
        };
        let config = source.load().expect("valid");
        assert_eq!(config.upstreams.len(), 1);
    }

    #[test]
    fn every_problem_is_a_line_that_names_the_file() {
        let folder = tempfile::tempdir().expect("tempdir");
        let file = folder.path().join("manifold.yaml");
        std::fs::write(&file, "pth: /mcp\nupstreams: []\n").expect("written");
        let error = ConfigSource {
            file: Some(file.clone()),
            upstreams: vec![],
        }
        .load()
        .expect_err("two problems");
        let text = error.to_string();
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(
            text.lines().all(|line| line.starts_with(&file.display().to_string())),
            "{text}"
        );
    }

    #[test]
    fn paths_in_the_file_are_relative_to_it() {
        let folder = tempfile::tempdir().expect("tempdir");
        let file = folder.path().join("manifold.yaml");
        std::fs::write(
            &file,
            "stateDir: here\nupstreams: [{name: a, url: 'http://127.0.0.1:9/'}]\n",
        )
        .expect("written");
        let config = ConfigSource {
            file: Some(file),
            upstreams: vec![],
        }
        .load()
        .expect("valid");
        assert_eq!(config.state_dir, folder.path().join("here"));
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let source = ConfigSource {
            file: Some("/nowhere/manifold.yaml".into()),
            upstreams: vec![],
        };
        let error = source.load().expect_err("not there").to_string();
        assert!(error.starts_with("/nowhere/manifold.yaml: cannot be read: "), "{error}");
    }
}
