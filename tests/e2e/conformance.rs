//! The official conformance suite: against our upstream alone, and against it behind the gateway.

use super::gateway::Gateway;
use super::{process, tools};
use std::process::Command;

/// Runs the suite on every wire; panics where a check fails that is not expected to, or an expected one passes.
pub(crate) fn assert_conforms(url: &str, expected_failures: Option<&str>) {
    let mut command = Command::new("bash");
    command
        .arg(tools::source("tests/conformance/run.sh"))
        .arg(url)
        .env("MCP_MANIFOLD_TOOLS", tools::folder());
    if let Some(file) = expected_failures {
        command.arg("--expected").arg(tools::source(file));
    }
    // Tests that run at the same time keep their results apart.
    let results = tempfile::tempdir().expect("a temporary folder");
    let output = command.env("OUT", results.path()).output().expect("bash runs");
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{url}\n{text}");
    assert!(
        output.status.success(),
        "conformance of {url}:\n{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn the_upstream_alone_conforms_on_every_wire() {
    let upstream = process::upstream(&[]);
    assert_conforms(&upstream.said, None);
}

#[test]
fn one_upstream_without_prefix_conforms_through_the_gateway() {
    let upstream = process::upstream(&[]);
    let gateway = Gateway::before(&[("fixture", &upstream.said, "")]);
    assert_conforms(&gateway.url, Some("tests/conformance/expected-failures.txt"));
}
