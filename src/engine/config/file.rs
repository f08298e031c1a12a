//! The YAML file's way into `truth`: every problem is found in one run, each with the path of its key.
//!
//! Nothing here reads a file or an environment variable: secrets and certificates stay references.

use super::shape::{self, prune};
use super::{Config, Secret, delegated, gateway, raw, transparent, upstream};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// What an assignment says of each endpoint, or its cluster knows.
const ASSIGNED: [&str; 8] = [
    "listen",
    "tls",
    "path",
    "publicUrl",
    "hosts",
    "origins",
    "transparent",
    "upstreams",
];
const FROM_REGISTRY: &str = "comes from the registry";
/// What no assignment can say yet.
const UNASSIGNED: [&str; 2] = ["rateLimits", "rateLimitService"];

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
    text: &str,
    base: &Path,
    state: &Path,
    more: &[(String, String)],
) -> Result<Config, Vec<Problem>> {
    read(text, base, state, more).config
}

/// Reads the settings of a processor that gets its endpoints from a registry: everything that is not about them.
///
/// # Errors
/// Every problem found, not only the first; a key that an assignment decides is one.
pub fn parse_settings(text: &str, base: &Path, state: &Path) -> Result<Config, Vec<Problem>> {
    understand(text, base, state, Endpoints::Assigned).config
}

/// All that a text says, the things it names outside of itself included.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The configuration, or every problem in it.
    pub config: Result<Config, Vec<Problem>>,
    /// Secrets, each with the path of its key; whether they are there is the edge's to find out.
    pub secrets: Vec<(String, Secret)>,
    /// Certificates and keys, each with the path of its key.
    pub files: Vec<(String, PathBuf)>,
}

/// The same as [`parse_with_upstreams`], for those who also look at what the text names.
#[must_use]
pub fn read(text: &str, base: &Path, state: &Path, more: &[(String, String)]) -> Reading {
    understand(text, base, state, Endpoints::Here(more))
}

/// Who says what is served.
#[derive(Clone, Copy)]
enum Endpoints<'a> {
    /// The text, and these upstreams besides.
    Here(&'a [(String, String)]),
    /// A registry.
    Assigned,
}

fn understand(text: &str, base: &Path, state: &Path, endpoints: Endpoints<'_>) -> Reading {
    let mut findings = Findings {
        base: base.to_owned(),
        ..Findings::default()
    };
    let config = tree(text)
        .map_err(|problem| findings.problems.push(problem))
        .ok()
        .map(|mut tree| {
            prune(&mut tree, &shape::FILE, "", &mut findings);
            let mut sections = Sections(if let Value::Object(map) = tree { map } else { Map::new() });
            if let Endpoints::Assigned = endpoints {
                sections.leave_to_registry(&mut findings);
                sections.refuse_with_registry(&mut findings);
            }
            let mut config = gateway::read(&mut sections, state, &mut findings);
            if let Endpoints::Here(more) = endpoints {
                config.upstreams = upstreams(&mut sections, more, &mut findings);
                transparent::fits(&config, &mut findings);
                delegated::fits(&config, &mut findings);
            } else if !config.session.keys.is_empty() {
                findings.add("session.keys", FROM_REGISTRY);
            }
            config
        });
    Reading {
        config: config.filter(|_| findings.problems.is_empty()).ok_or(findings.problems),
        secrets: findings.secrets,
        files: findings.files,
    }
}

/// The whole text as a tree: from here on everything has a path.
fn tree(text: &str) -> Result<Value, Problem> {
    let options = serde_saphyr::options! { with_snippet: false };
    let tree: Value = serde_saphyr::from_str_with_options(text, options).map_err(|error| not_yaml(&error))?;
    match tree {
        Value::Object(_) => Ok(tree),
        Value::Null => Ok(Value::Object(Map::new())),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Err(Problem {
            path: "line 1".to_owned(),
            message: "not a mapping of keys such as `upstreams:`".to_owned(),
        }),
    }
}

fn not_yaml(error: &serde_saphyr::Error) -> Problem {
    let path = match error.location() {
        Some(location) => format!("line {}, column {}", location.line(), location.column()),
        None => "text".to_owned(),
    };
    // The place is the path already.
    let message = error.without_snippet().to_string().replace(&format!(" at {path}"), "");
    let line = message.lines().next().unwrap_or("not YAML");
    Problem {
        path,
        message: plain(line),
    }
}

/// Without what the parser says to programmers.
fn plain(line: &str) -> String {
    if let Some(key) = line.strip_prefix("duplicate mapping key: ") {
        let key = key.split(',').next().unwrap_or(key);
        return format!("duplicate key {key:?}: it stands further up already");
    }
    if line.starts_with("multiple YAML documents") {
        return "a second document begins here: only one is read".to_owned();
    }
    line.to_owned()
}

fn upstreams(sections: &mut Sections, more: &[(String, String)], findings: &mut Findings) -> Vec<super::Upstream> {
    let listed: Vec<Value> = sections.take("upstreams", findings).unwrap_or_default();
    if listed.is_empty() && more.is_empty() && !findings.names("upstreams") {
        findings.add("upstreams", "at least one is needed");
    }
    let listed = listed
        .into_iter()
        .enumerate()
        .map(|(index, value)| (format!("upstreams[{index}]"), value));
    let more = more.iter().map(|(name, url)| {
        (
            format!("--upstream {name}"),
            serde_json::json!({ "name": name, "url": url }),
        )
    });
    let raws: Vec<(String, raw::Upstream)> = listed
        .chain(more)
        .filter_map(|(path, value)| Some((path.clone(), typed(value, &path, findings)?)))
        .collect();
    upstream::read_all(raws, findings)
}

/// The top-level keys that are not read yet.
pub(super) struct Sections(Map<String, Value>);

impl Sections {
    /// Takes one out. `None`: not there, or of a wrong type, which is a finding.
    pub(super) fn take<T: DeserializeOwned>(&mut self, key: &'static str, findings: &mut Findings) -> Option<T> {
        typed(self.0.remove(key)?, key, findings)
    }

    /// Takes out what assignments say.
    fn leave_to_registry(&mut self, findings: &mut Findings) {
        for key in ASSIGNED {
            if self.0.remove(key).is_some() {
                findings.add(key, FROM_REGISTRY);
            }
        }
    }

    /// Takes out what endpoints of assignments cannot have.
    fn refuse_with_registry(&mut self, findings: &mut Findings) {
        for key in UNASSIGNED {
            if self.0.remove(key).is_some() {
                findings.add(key, "not supported yet with a registry");
            }
        }
    }
}

fn typed<T: DeserializeOwned>(value: Value, path: &str, findings: &mut Findings) -> Option<T> {
    match serde_path_to_error::deserialize(value) {
        Ok(typed) => Some(typed),
        Err(error) => {
            let path = join(path, &error.path().to_string());
            // What `shape` took out below may be all that is missing here.
            if !findings.any_below(&path) {
                findings.add(path, without_value(&error.inner().to_string()));
            }
            None
        }
    }
}

/// `upstreams[2]` and `timeout.call` are `upstreams[2].timeout.call`.
fn join(path: &str, inner: &str) -> String {
    match inner {
        "." => path.to_owned(),
        inner if inner.starts_with('[') => format!("{path}{inner}"),
        inner => format!("{path}.{inner}"),
    }
}

/// Serde's type errors show the value that they found; it may be a secret in the wrong place.
fn without_value(message: &str) -> String {
    let found = message
        .strip_prefix("invalid type: ")
        .or_else(|| message.strip_prefix("invalid value: "));
    let Some((found, expected)) = found.and_then(|found| found.rsplit_once(", expected ")) else {
        return message.to_owned();
    };
    let kind = found.split(['`', '"']).next().unwrap_or(found).trim_end();
    format!("expected {expected}, found {kind}")
}

// === impl Findings ===

/// Where problems, secrets and files are gathered while reading goes on.
#[derive(Default)]
pub(super) struct Findings {
    problems: Vec<Problem>,
    secrets: Vec<(String, Secret)>,
    files: Vec<(String, PathBuf)>,
    base: PathBuf,
}

impl Findings {
    pub(super) fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem {
            path: path.into(),
            message: message.into(),
        });
    }

    /// Whether something was found at exactly this path.
    pub(super) fn names(&self, path: &str) -> bool {
        self.problems.iter().any(|problem| problem.path == path)
    }

    /// Whether something was found at a key below this path.
    fn any_below(&self, path: &str) -> bool {
        let below = |found: &str| {
            found
                .strip_prefix(path)
                .is_some_and(|rest| rest.starts_with(['.', '[']))
        };
        self.problems.iter().any(|problem| below(&problem.path))
    }

    /// A path that the file names: a relative one starts at the file's folder.
    pub(super) fn resolve(&mut self, key: &str, path: &Path) -> PathBuf {
        if path.as_os_str().is_empty() {
            self.add(key, "must not be empty");
        }
        // Taken apart and put together, it has no `/./` in it.
        self.base.join(path).components().collect()
    }

    /// The same for a file that must be there.
    pub(super) fn file(&mut self, key: &str, file: &raw::File) -> PathBuf {
        let key = format!("{key}.file");
        let path = self.resolve(&key, &file.file);
        self.files.push((key, path.clone()));
        path
    }

    /// A secret with its path resolved.
    pub(super) fn secret(&mut self, key: &str, raw: raw::Secret) -> Secret {
        let secret = match raw {
            raw::Secret::Env(name) => Secret::Env(name),
            raw::Secret::File(path) => Secret::File(self.resolve(&format!("{key}.file"), &path)),
        };
        self.secrets.push((key.to_owned(), secret.clone()));
        secret
    }

    /// Takes the value; zero is a finding.
    pub(super) fn above_zero<T: PartialEq + Default>(&mut self, path: &str, value: T) -> T {
        if value == T::default() {
            self.add(path, "must be above 0");
        }
        value
    }
}
