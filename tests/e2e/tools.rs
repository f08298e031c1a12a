//! Finds the real parts that `make tools` installs: Envoy, node, npm packages, Python.
//!
//! Looks in `$MCP_MANIFOLD_TOOLS`, else in the default cache folder. A missing tool panics with the line that
//! installs it: a test that needs it must not pass in silence.

#![allow(dead_code, reason = "each test takes the tools it needs")]

use std::env;
use std::path::{Path, PathBuf};

/// The cache folder of `make tools`.
pub(crate) fn folder() -> PathBuf {
    if let Some(folder) = env::var_os("MCP_MANIFOLD_TOOLS") {
        return PathBuf::from(folder);
    }
    let cache = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .expect("one of MCP_MANIFOLD_TOOLS, XDG_CACHE_HOME, HOME is set");
    cache.join("mcp-manifold").join(env!("CARGO_PKG_VERSION"))
}

/// Envoy's binary.
pub(crate) fn envoy() -> PathBuf {
    existing(folder().join("envoy"))
}

/// Node 22 or later.
pub(crate) fn node() -> PathBuf {
    existing(folder().join("node/bin/node"))
}

/// A file of an npm package, as `@modelcontextprotocol/server-everything/dist/index.js`.
pub(crate) fn npm(path: &str) -> PathBuf {
    existing(folder().join("npm/node_modules").join(path))
}

/// Python with the `mcp` package.
pub(crate) fn python() -> PathBuf {
    existing(folder().join("python/bin/python"))
}

/// A program in `bin/`, as `oha`.
pub(crate) fn program(name: &str) -> PathBuf {
    existing(folder().join("bin").join(name))
}

/// A file of this repository, as `tests/clients/ts-v1.mjs`.
pub(crate) fn source(path: &str) -> PathBuf {
    existing(Path::new(env!("CARGO_MANIFEST_DIR")).join(path))
}

/// An example of this package, built by Cargo beside this test, as `upstream`.
pub(crate) fn example(name: &str) -> PathBuf {
    let test = env::current_exe().expect("the running test has a path");
    let profile = test.ancestors().nth(2).expect("tests lie in <profile>/deps");
    existing(profile.join("examples").join(name))
}

/// The gateway itself, built by Cargo for this test.
pub(crate) fn gateway() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_mcp-manifold"))
}

fn existing(path: PathBuf) -> PathBuf {
    assert!(
        path.exists(),
        "{} is missing: run `make tools`, and `cargo build --examples` for examples",
        path.display()
    );
    path
}
