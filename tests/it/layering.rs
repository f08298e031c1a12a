//! Holds the module graph: arrows go down, the engine stays pure, edge rooms do not know each other.
//!
//! A new arrow is a design decision: add it to a table here, in a commit of its own that says why.
//! Reads the sources as text: comments and string literals are blanked, then every path that starts with `crate`,
//! `self` or `super` is resolved, `use` groups included.

mod paths;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// What each room of `src/engine` may use, lowest first. A room may always use itself.
const ENGINE: &[(&str, &[&str])] = &[
    ("jsonrpc", &[]),
    ("sse", &[]),
    ("mcp", &["jsonrpc"]),
    ("call", &["jsonrpc", "sse", "mcp"]),
    ("stream", &["jsonrpc", "sse", "mcp", "call"]),
    ("expression", &[]),
    ("config", &["mcp", "expression"]),
    ("catalog", &["jsonrpc", "mcp", "config"]),
    (
        "policy",
        &["jsonrpc", "mcp", "expression", "config", "catalog", "route"],
    ),
    ("route", &["jsonrpc", "mcp", "config", "catalog"]),
    // A session remembers how what speaks for its caller is had anew.
    ("session", &["mcp", "config", "policy"]),
    ("status", &["mcp", "config"]),
    ("assignment", &["config", "status"]),
    ("era", &["jsonrpc", "sse", "mcp", "call", "catalog"]),
    (
        "snapshot",
        &[
            "jsonrpc", "mcp", "config", "catalog", "session", "policy", "route", "status",
        ],
    ),
    (
        "exchange",
        &[
            "jsonrpc",
            "sse",
            "mcp",
            "call",
            "stream",
            "expression",
            "config",
            "catalog",
            "session",
            "policy",
            "route",
            "status",
            "era",
            "snapshot",
        ],
    ),
];

/// Arrows that go up and wait for a type to move. Only ever shrinks.
const WAITING: &[(&str, &str)] = &[];

/// Which other edge rooms an edge room may use; those without a line none. All of them may use the engine.
const EDGE: &[(&str, &[&str])] = &[
    ("delegation", &["backoff", "http"]),
    ("identity", &["backoff", "http"]),
    ("registry", &["backoff"]),
    ("relay", &["http"]),
    ("upstream", &["backoff", "http"]),
];

/// Words that would let I/O, clock, randomness, locks or tasks into the engine.
const IMPURE: &[&str] = &[
    "tokio",
    "tonic",
    "prost",
    "envoy_types",
    "hyper",
    "axum",
    "kube",
    "redis",
    "dashmap",
    "opentelemetry",
    "Instant::now",
    "SystemTime::now",
    "rand",
    "spawn",
    "Mutex",
    "RwLock",
    "std::fs",
    "std::thread",
    "std::env",
];

/// The rooms that a request passes: no tree of values there.
const REQUEST_PATH: &[&str] = &[
    "jsonrpc", "sse", "mcp", "call", "stream", "route", "session", "era", "snapshot", "exchange",
];

/// One source file: its place in the module tree, and its text without comments and literals.
struct Source {
    path: PathBuf,
    module: Vec<String>,
    text: String,
    code: String,
    /// Compiled for tests only.
    is_test: bool,
}

impl Source {
    /// The modules that this file declares for tests only.
    fn test_modules(&self) -> impl Iterator<Item = Vec<String>> {
        let root = ["lib", "main"].contains(&self.module.first().map_or("", String::as_str));
        let parent: &[String] = if root { &[] } else { &self.module };
        let declared = self.code.split("#[cfg(test)]").skip(1).filter_map(|after| {
            let line = after.trim_start().lines().next()?;
            let (_, name) = line.strip_suffix(';')?.rsplit_once("mod ")?;
            Some(name.to_owned())
        });
        declared.map(|name| parent.iter().cloned().chain([name]).collect())
    }

    /// `("engine", "route")` for anything inside that room.
    fn room(&self) -> Option<(&str, &str)> {
        match self.module.as_slice() {
            [side, room, ..] if side == "engine" || side == "edge" => Some((side, room)),
            _ => None,
        }
    }
}

fn sources() -> &'static [Source] {
    static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut files = Vec::new();
        collect(&root, &mut files);
        files.sort();
        let mut all: Vec<Source> = files.iter().map(|file| read(&root, file)).collect();
        let tests: Vec<Vec<String>> = all.iter().flat_map(Source::test_modules).collect();
        for source in &mut all {
            source.is_test = tests.iter().any(|test| source.module.starts_with(test));
        }
        all
    });
    &SOURCES
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("src is readable") {
        let path = entry.expect("src is readable").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn read(root: &Path, file: &Path) -> Source {
    let text = fs::read_to_string(file).expect("sources are UTF-8");
    let inside = file.strip_prefix(root).expect("the file was found under src");
    let module = inside
        .with_extension("")
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    Source {
        path: Path::new("src").join(inside),
        module,
        code: paths::blank(&text),
        is_test: false,
        text,
    }
}

/// Every arrow out of a file, as `(line, path)`, that `allowed` does not know.
fn foreign<'a>(source: &'a Source, allowed: impl Fn(&[String]) -> bool + 'a) -> impl Iterator<Item = String> + 'a {
    paths::used(&source.code, &source.module)
        .into_iter()
        .filter(move |(_, path)| !allowed(path))
        .map(|(line, path)| {
            format!(
                "{}:{line}: {} -> {}",
                source.path.display(),
                source.module.join("::"),
                path.join("::")
            )
        })
}

fn row<'a>(table: &'a [(&str, &'a [&'a str])], room: &str) -> Option<&'a [&'a str]> {
    table.iter().find(|(name, _)| *name == room).map(|(_, to)| *to)
}

fn assert_none(found: &[String], rule: &str) {
    assert!(found.is_empty(), "{rule}\n  {}", found.join("\n  "));
}

#[test]
fn arrows_inside_the_engine_go_down() {
    let mut found = Vec::new();
    for source in sources() {
        let Some(("engine", room)) = source.room() else {
            continue;
        };
        let Some(to) = row(ENGINE, room) else {
            found.push(format!(
                "{}: room `{room}` has no line in the table ENGINE",
                source.path.display()
            ));
            continue;
        };
        found.extend(foreign(source, |path| match path {
            [side, other, ..] if side == "engine" => {
                other == room || to.contains(&other.as_str()) || WAITING.contains(&(room, other))
            }
            [side, ..] => side == "engine",
            [] => true,
        }));
    }
    assert_none(
        &found,
        "the engine uses only what stands above it in the table of tests/it/layering.rs:",
    );
}

#[test]
fn edge_rooms_do_not_know_each_other() {
    let mut found = Vec::new();
    for source in sources() {
        let Some(("edge", room)) = source.room() else { continue };
        let to = row(EDGE, room).unwrap_or_default();
        found.extend(foreign(source, |path| match path {
            [side, other, ..] if side == "edge" => other == room || to.contains(&other.as_str()),
            [side, ..] => side == "engine" || side == "edge",
            [] => true,
        }));
    }
    assert_none(&found, "edge rooms meet only in src/app.rs:");
}

#[test]
fn only_app_and_cli_know_the_edge() {
    let mut found = Vec::new();
    for source in sources() {
        let [place, ..] = source.module.as_slice() else {
            continue;
        };
        if !["app", "cli", "edge", "engine"].contains(&place.as_str()) {
            found.extend(foreign(source, |path| path.first().is_none_or(|side| side != "edge")));
        }
    }
    assert_none(&found, "edge rooms meet only in src/app.rs and src/cli.rs:");
}

#[test]
fn app_does_not_know_the_command_line() {
    let mut found = Vec::new();
    for source in sources() {
        if source.module.first().is_some_and(|place| place == "app") {
            found.extend(foreign(source, |path| path.first().is_none_or(|side| side != "cli")));
        }
    }
    assert_none(&found, "src/cli.rs calls src/app.rs, never the other way round:");
}

#[test]
fn no_arrow_that_waits_to_be_removed_has_already_gone() {
    let all = sources();
    let stale: Vec<String> = WAITING
        .iter()
        .filter(|(from, to)| {
            !all.iter()
                .filter(|source| source.room() == Some(("engine", *from)))
                .any(|source| {
                    paths::used(&source.code, &source.module).iter().any(|(_, path)| {
                        path.first().is_some_and(|side| side == "engine") && path.get(1).is_some_and(|room| room == to)
                    })
                })
        })
        .map(|(from, to)| format!("{from} -> {to}"))
        .collect();
    assert_none(&stale, "take these out of WAITING:");
}

#[test]
fn the_engine_is_pure() {
    let mut found = Vec::new();
    for source in sources()
        .iter()
        .filter(|source| !source.is_test && source.module.first().is_some_and(|side| side == "engine"))
    {
        for word in IMPURE {
            let lines = paths::lines_with_word(&source.code, word);
            found.extend(
                lines
                    .into_iter()
                    .map(|line| format!("{}:{line}: {word}", source.path.display())),
            );
        }
    }
    assert_none(&found, "no I/O, clock, randomness, locks, tasks in the engine:");
}

#[test]
fn no_tree_of_values_is_on_the_request_path() {
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test) {
        if source.room().is_some_and(|(_, room)| REQUEST_PATH.contains(&room)) {
            let code = source.code.split("\nmod tests {").next().unwrap_or_default();
            let lines = paths::lines_with_word(code, "serde_json::Value");
            found.extend(
                lines
                    .into_iter()
                    .map(|line| format!("{}:{line}", source.path.display())),
            );
        }
    }
    assert_none(
        &found,
        "bodies are scanned and spliced, not parsed into serde_json::Value:",
    );
}

#[test]
fn every_file_says_its_job_in_the_first_line() {
    let all = sources();
    let silent = all
        .iter()
        .filter(|source| !source.text.starts_with("//! ") && !source.is_test);
    let silent: Vec<String> = silent.map(|source| source.path.display().to_string()).collect();
    assert_none(
        &silent,
        "begin with `//!`: what the file does, what it leaves to others:",
    );
}

#[test]
fn the_resolver_sees_groups_and_relative_paths() {
    let code = paths::blank(
        "use crate::{edge::http, engine::{self, route::{Routes as R, find}}};\n// crate::edge::no\nlet x = super::catalog::Item::new(\"crate::edge::no\");\nmod tests {\n    use super::super::session::Keys;\n}\n",
    );
    let module: Vec<String> = ["engine", "status"].map(str::to_owned).to_vec();
    let found: Vec<String> = paths::used(&code, &module)
        .iter()
        .map(|(line, path)| format!("{line} {}", path.join("::")))
        .collect();
    assert_eq!(
        found,
        [
            "1 edge::http",
            "1 engine",
            "1 engine::route::Routes",
            "1 engine::route::find",
            "3 engine::catalog::Item::new",
            "5 engine::session::Keys",
        ]
    );
}
