//! The gateway as one process, `mcp-manifold up`, with Envoy as its child, on free ports and a folder of its own.

#![allow(dead_code, reason = "each test takes what it needs")]

use super::harness::gateway::via_of_this_run;
use super::process::{Running, free_port};
use super::tools;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// A gateway that has printed its ready line. Ended when dropped.
pub(crate) struct Gateway {
    running: Running,
    folder: TempDir,
    /// Where MCP clients connect.
    pub(crate) url: String,
    /// `host:port` of the admin port.
    pub(crate) admin: String,
}

impl Gateway {
    /// Starts it on `configuration`, which names everything but `listen`, `admin`, `stateDir` and `audit`.
    pub(crate) fn up(configuration: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (listen, admin) = (
            format!("127.0.0.1:{}", free_port()),
            format!("127.0.0.1:{}", free_port()),
        );
        let place = folder.path().display();
        let text = format!(
            "listen: {listen}\nadmin: {admin}\nstateDir: {place}/state\naudit: {{ file: {place}/audit.jsonl }}\n{configuration}"
        );
        let file = folder.path().join("manifold.yaml");
        fs::write(&file, text).expect("the temporary folder is writable");
        let mut command = Command::new(tools::gateway());
        command
            .arg("up")
            .arg("-f")
            .arg(&file)
            .arg("--envoy")
            .arg(tools::envoy());
        let running = Running::start(&mut command, "ready ");
        let url = running.said.split_whitespace().next().unwrap_or_default().to_owned();
        Self {
            running,
            folder,
            url,
            admin,
        }
    }

    /// In front of these upstreams: (name, URL, prefix).
    pub(crate) fn before(upstreams: &[(&str, &str, &str)]) -> Self {
        let via = via_of_this_run().unwrap_or_else(|| "envoy".to_owned());
        let rows = upstreams.iter().map(|(name, url, prefix)| {
            format!("  - {{ name: {name}, url: \"{url}\", prefix: \"{prefix}\", via: {via} }}\n")
        });
        Self::up(&format!("upstreams:\n{}", rows.collect::<String>()))
    }

    /// The configuration file; a change is picked up.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("manifold.yaml")
    }

    /// The audit lines so far.
    pub(crate) fn audit(&self) -> Vec<serde_json::Value> {
        let text = fs::read_to_string(self.folder.path().join("audit.jsonl")).unwrap_or_default();
        text.lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// What followed `ready` on its line.
    pub(crate) fn ready_line(&self) -> &str {
        &self.running.said
    }

    /// Everything it wrote so far.
    pub(crate) fn output(&self) -> String {
        self.running.output()
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.running.id()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // Gently, so that Envoy goes with it; whoever does not end is killed with `running`.
        let _status = self.running.end(Duration::from_secs(10));
    }
}
