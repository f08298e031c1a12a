//! The official conformance suite through real Envoy and the gateway, with one upstream and no prefix.
//!
//! Every run is measured by the same suite against the upstream alone: what succeeds there must succeed here, and what
//! fails here must fail there. What a cell cannot do stands in a file of `tests/conformance`, each line with its reason.

mod cells;
mod same_era;
mod upstream_leg;

use super::harness::gateway::{Gateway, Setup};
use super::harness::program::Program;
use super::tools;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use tempfile::TempDir;

/// The revisions that the suite can speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    June2025,
    November2025,
    July2026,
}

/// A server that fulfils the suite's fixture contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fixture {
    /// On crates.io `rmcp`.
    Rmcp,
    /// On PyPI `mcp`; without tasks.
    Python,
}

/// Which eras a fixture admits to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Eras {
    Both,
    Legacy,
    Modern,
    /// Legacy, over the transport of 2024-11-05 (HTTP+SSE); only on Python.
    Old,
}

impl Wire {
    const fn revision(self) -> &'static str {
        match self {
            Self::June2025 => "2025-06-18",
            Self::November2025 => "2025-11-25",
            Self::July2026 => "2026-07-28",
        }
    }
}

impl Fixture {
    /// In the files of expected failures.
    const fn name(self) -> &'static str {
        match self {
            Self::Rmcp => "rmcp",
            Self::Python => "python",
        }
    }

    /// The running server and its URL.
    pub(crate) async fn start(self, eras: Eras) -> (Program, String) {
        let eras = match eras {
            Eras::Both => "both",
            Eras::Legacy => "legacy",
            Eras::Modern => "modern",
            Eras::Old => "sse",
        };
        let mut command = match self {
            Self::Rmcp => {
                let mut command = Command::new(tools::example("upstream"));
                command.args(["--eras", eras]);
                command
            }
            Self::Python => {
                let mut command = Command::new(tools::python());
                command.arg(tools::source("tests/upstreams/python_conformance.py"));
                command.args(["0", eras]);
                command
            }
        };
        let mut program = Program::start(&mut command);
        let url = program.says("listening ").await;
        (program, url)
    }

    /// The checks of this server alone, of both eras; made once.
    fn alone(self, wire: Wire) -> &'static Path {
        static RUNS: [OnceLock<TempDir>; 6] = [const { OnceLock::new() }; 6];
        let number = self as usize * 3 + wire as usize;
        let run = RUNS[number].get_or_init(|| {
            let folder = TempDir::new().expect("a folder");
            let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
            let (_server, url) = runtime.block_on(self.start(Eras::Both));
            run(&url, wire, folder.path());
            folder
        });
        run.path()
    }
}

/// A gateway before this one upstream; `more` stands in the upstream's entry.
async fn gateway(url: &str, more: &str) -> Gateway {
    let more = if more.is_empty() {
        "prefix: ''".to_owned()
    } else {
        format!("prefix: '', {more}")
    };
    Setup::new().upstream_with("fixture", url, &more).up().await
}

/// Runs the suite; the checks lie in `folder/<revision>`.
fn run(url: &str, wire: Wire, folder: &Path) {
    let status = Command::new("bash")
        .arg(tools::source("tests/conformance/run.sh"))
        .arg(url)
        .arg(folder)
        .arg(wire.revision())
        .env("MCP_MANIFOLD_TOOLS", tools::folder())
        .status();
    assert!(status.is_ok_and(|status| status.success()), "the suite runs");
}

/// Panics where a check fails that succeeds with the fixture alone and is not named in the file `expected`.
pub(crate) async fn assert_conforms(url: &str, wire: Wire, fixture: Fixture, expected: &'static str) {
    judge(url, wire, move || {
        let alone = fixture.alone(wire).join(wire.revision());
        let expected = tools::source(expected);
        let name = fixture.name().into();
        vec![
            "--alone".into(),
            alone,
            "--expected".into(),
            expected,
            "--name".into(),
            name,
        ]
    })
    .await;
}

/// Panics where any check fails.
async fn assert_flawless(url: &str, wire: Wire) {
    judge(url, wire, Vec::new).await;
}

async fn judge(url: &str, wire: Wire, options: impl FnOnce() -> Vec<PathBuf> + Send + 'static) {
    let url = url.to_owned();
    let judged = tokio::task::spawn_blocking(move || {
        let folder = TempDir::new().expect("a folder");
        run(&url, wire, folder.path());
        let mut judge = Command::new(tools::node());
        judge
            .arg(tools::source("tests/conformance/judge.mjs"))
            .arg(wire.revision())
            .arg(folder.path().join(wire.revision()))
            .args(options());
        judge.output().expect("node runs")
    });
    let judged = judged.await.expect("no panic inside");
    let text = String::from_utf8_lossy(&judged.stdout);
    let errors = String::from_utf8_lossy(&judged.stderr);
    println!("{}: {text}", std::thread::current().name().unwrap_or_default());
    assert!(judged.status.success(), "{text}{errors}");
}
