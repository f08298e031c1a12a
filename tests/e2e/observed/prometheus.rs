//! Prometheus as Debian has it: it reads the metrics, and what `deploy/observability` asks of it can be answered.

use crate::e2e::harness::client::{Request, rpc};
use crate::e2e::harness::eventually;
use crate::e2e::harness::gateway::Setup;
use crate::e2e::harness::http;
use crate::e2e::harness::program::Program;
use crate::e2e::harness::puppet::Puppet;
use crate::e2e::process::free_port;
use crate::e2e::tools;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// It was to be had when the tools were installed.
fn is_here() -> bool {
    let here = tools::folder().join("bin/promtool").exists();
    if !here {
        eprintln!("left out: Prometheus comes with apt, and there is none here");
    }
    here
}

struct Prometheus {
    address: SocketAddr,
    _program: Program,
    _folder: TempDir,
}

impl Prometheus {
    /// Scrapes `target` every second, with our alert rules.
    async fn start(target: SocketAddr) -> Self {
        let folder = TempDir::new().expect("a folder");
        let rules = tools::source("deploy/observability/alerts.yaml");
        let config = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\nrule_files: ['{}']\n\
             scrape_configs: [ {{ job_name: mcp-manifold, static_configs: [ {{ targets: ['{target}'] }} ] }} ]\n",
            rules.display()
        );
        let file = folder.path().join("prometheus.yaml");
        std::fs::write(&file, config).expect("written");
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut command = Command::new(tools::program("prometheus"));
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"));
        let prometheus = Self {
            address,
            _program: Program::start(&mut command),
            _folder: folder,
        };
        eventually("Prometheus answers", async || {
            prometheus.api("query?query=1").await.is_some()
        })
        .await;
        prometheus
    }

    /// `data` of an answer of its API; `None`: there is none.
    async fn api(&self, path: &str) -> Option<Value> {
        let request = format!("GET /api/v1/{path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        let response = http::exchange(self.address, request.as_bytes()).await.ok()?;
        let mut message: Value = serde_json::from_str(&response.text()).ok()?;
        (message["status"] == "success").then(|| message["data"].take())
    }

    /// How many series an expression yields; `None`: it is none.
    async fn series(&self, expression: &str) -> Option<usize> {
        let data = self.api(&format!("query?query={}", escaped(expression))).await?;
        data["result"].as_array().map(Vec::len)
    }
}

fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut escaped, byte| {
        if byte.is_ascii_alphanumeric() {
            escaped.push(char::from(byte));
        } else {
            write!(escaped, "%{byte:02X}").expect("a string takes it");
        }
        escaped
    })
}

/// Title and expression of everything on the dashboard.
fn dashboard() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(tools::source("deploy/observability/dashboard.json")).expect("it is there");
    let board: Value = serde_json::from_str(&text).expect("JSON");
    let panels = board["panels"].as_array().expect("panels").clone();
    let asked = panels.iter().flat_map(|panel| {
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        let title = panel["title"].as_str().unwrap_or_default().to_owned();
        targets
            .into_iter()
            .map(move |target| (title.clone(), target["expr"].as_str().unwrap_or_default().to_owned()))
    });
    asked.filter(|(_, expression)| !expression.is_empty()).collect()
}

#[tokio::test]
async fn the_dashboard_and_the_alerts_find_what_they_ask_for() {
    if !is_here() {
        return;
    }
    let puppet = Puppet::start(&["echo"]).await;
    let dead = free_port();
    let gateway = Setup::new()
        .puppet("puppet", &puppet)
        .upstream("dead", &format!("http://127.0.0.1:{dead}/mcp"))
        .up()
        .await;
    let prometheus = Prometheus::start(gateway.admin).await;
    let client = gateway.client().await;
    let calls = async || {
        client.call("puppet_echo", &json!({})).await;
        // What is refused, and what fails.
        Request::post("nonsense").send(gateway.address).await;
        let lost = rpc(1, "tools/call", &json!({"name": "dead_x", "arguments": {}}));
        client.request(lost).send(gateway.address).await;
        // Sessions that end, here and at the upstream.
        let guest = gateway.client().await;
        guest.call("puppet_echo", &json!({})).await;
        guest.delete().await;
    };
    let panels = dashboard();
    assert!(panels.len() > 10, "it asks for a lot");
    for (title, expression) in panels {
        let asked = expression.replace("$__rate_interval", "30s").replace("$instance", ".*");
        eventually(&format!("the panel {title} shows something"), async || {
            calls().await;
            prometheus.series(&asked).await.unwrap_or_default() > 0
        })
        .await;
    }
    // What an alert looks at is there; most of them see nothing to complain of.
    eventually("all alerts are evaluated", async || {
        let rules = prometheus.api("rules").await.unwrap_or_default();
        let groups = rules["groups"].as_array().cloned().unwrap_or_default();
        let alerts: Vec<Value> = groups
            .iter()
            .flat_map(|group| group["rules"].as_array().cloned().unwrap_or_default())
            .collect();
        alerts.len() > 5 && alerts.iter().all(|alert| alert["health"] == "ok")
    })
    .await;
    let pending = "ALERTS{alertname=\"McpUpstreamNotReady\", upstream=\"dead\"}";
    eventually("an alert sees the dead upstream", async || {
        prometheus.series(pending).await.is_some_and(|series| series > 0)
    })
    .await;
}

#[tokio::test]
async fn promtool_has_nothing_to_complain_of() {
    if !is_here() {
        return;
    }
    let puppet = Puppet::start(&["echo"]).await;
    let gateway = Setup::new().puppet("puppet", &puppet).up().await;
    gateway.client().await.call("puppet_echo", &json!({})).await;
    let request = "GET /metrics HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: text/plain\r\nconnection: close\r\n\r\n";
    let metrics = http::exchange(gateway.admin, request.as_bytes())
        .await
        .expect("it answers")
        .text();
    let mut check = Command::new(tools::program("promtool"))
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    check
        .stdin
        .take()
        .expect("piped")
        .write_all(metrics.as_bytes())
        .expect("it reads");
    let checked = check.wait_with_output().expect("it ends");
    let said = [checked.stdout, checked.stderr].concat();
    assert!(
        checked.status.success() && said.is_empty(),
        "{}",
        String::from_utf8_lossy(&said)
    );
    let rules = Command::new(tools::program("promtool"))
        .args(["check", "rules"])
        .arg(tools::source("deploy/observability/alerts.yaml"))
        .output()
        .expect("it runs");
    assert!(rules.status.success(), "{}", String::from_utf8_lossy(&rules.stderr));
}
