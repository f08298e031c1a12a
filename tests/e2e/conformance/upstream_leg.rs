//! The suite's client scenarios: the gateway is the client of the suite's server, with a real client before it.
//!
//! Each runs with a client of the server's own era, and with one of the other era: then the gateway translates.

use crate::e2e::tools;
use std::process::Command;

/// Runs a scenario at this revision; `client` is the revision that the client before the gateway speaks.
async fn passes(scenario: &'static str, revision: &'static str, client: &'static str) {
    let run = move || {
        let folder = tempfile::tempdir().expect("a folder");
        let script = tools::source("tests/clients/conformance.mjs");
        Command::new(tools::node())
            .arg(tools::npm("@modelcontextprotocol/conformance/dist/index.js"))
            .args([
                "client",
                "--scenario",
                scenario,
                "--spec-version",
                revision,
                "--timeout",
                "60000",
            ])
            .arg("--command")
            .arg(format!("{} {}", tools::node().display(), script.display()))
            .arg("-o")
            .arg(folder.path())
            .env("MCP_MANIFOLD_TOOLS", tools::folder())
            .env("MCP_MANIFOLD_GATEWAY", tools::gateway())
            .env("MCP_MANIFOLD_ENVOY", tools::envoy())
            .env("MCP_MANIFOLD_CLIENT", client)
            .output()
            .expect("node runs")
    };
    let output = tokio::task::spawn_blocking(run).await.expect("no panic inside");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let passed = output.status.success() && text.contains("Passed: ") && !text.contains("Passed: 0/");
    assert!(passed, "{scenario} at {revision}, client {client}:\n{text}");
}

/// One test per scenario, so that they run at the same time.
macro_rules! scenarios {
    ($($name:ident: $scenario:literal, $revision:literal, $clients:expr;)*) => {
        $(#[tokio::test]
        async fn $name() {
            for client in $clients {
                passes($scenario, $revision, client).await;
            }
        })*
    };
}

scenarios! {
    what_goes_with_every_request: "request-metadata", "2026-07-28", ["2026-07-28", "2025-11-25"];
    standard_headers: "http-standard-headers", "2026-07-28", ["2026-07-28", "2025-11-25"];
    custom_headers: "http-custom-headers", "2026-07-28", ["2026-07-28", "2025-11-25"];
    tools_with_invalid_headers: "http-invalid-tool-headers", "2026-07-28", ["2026-07-28", "2025-11-25"];
    schemas: "json-schema-2020-12-preservation", "2026-07-28", ["2026-07-28", "2025-11-25"];
    legacy_schemas: "json-schema-2020-12-preservation", "2025-11-25", ["2025-11-25"];
    references_in_schemas: "json-schema-ref-no-deref", "2026-07-28", ["2026-07-28", "2025-11-25"];
    request_state: "sep-2322-client-request-state", "2026-07-28", ["2026-07-28", "2025-11-25"];
    calls: "tools_call", "2026-07-28", ["2026-07-28", "2025-11-25"];
    legacy_calls: "tools_call", "2025-11-25", ["2025-11-25"];
    retries: "sse-retry", "2025-11-25", ["2025-11-25"];
    older_calls: "tools_call", "2025-06-18", ["2025-11-25"];
}
