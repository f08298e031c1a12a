//! A gateway as people run it: `up -f FILE`, or `serve` beside an Envoy that this test starts.

use super::client::Client;
use super::http::{self, Response};
use super::program::{Program, processes};
use super::{eventually, puppet::Puppet};
use crate::e2e::tools;
use mcp_manifold::edge::envoy::{Address, Admin};
use serde_json::Value;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What a gateway is started with.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) folder: Arc<TempDir>,
    more: String,
    upstreams: String,
    environment: Vec<(String, String)>,
    lifelong: bool,
}

/// How Envoy hands over request bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wiring {
    /// What `up` renders.
    FullDuplex,
    /// `render envoy --body-mode buffered`.
    Buffered,
}

/// A running gateway. Dropped, it is killed, and nothing of it may survive.
pub(crate) struct Gateway {
    pub(crate) setup: Setup,
    /// Of Envoy's listener.
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    /// The gateway itself first.
    pub(crate) programs: Vec<Program>,
    /// The ready line, without its first word.
    pub(crate) ready: String,
}

impl Setup {
    /// Free ports, a state folder of its own, no upstreams.
    pub(crate) fn new() -> Self {
        Self {
            folder: Arc::new(TempDir::new().expect("a folder")),
            more: String::new(),
            upstreams: String::new(),
            environment: Vec::new(),
            lifelong: false,
        }
    }

    /// An upstream with the default settings.
    pub(crate) fn upstream(self, name: &str, url: &str) -> Self {
        self.upstream_with(name, url, "")
    }

    /// An upstream; `more` stands in its flow mapping, as `prefix: '', via: direct`.
    pub(crate) fn upstream_with(mut self, name: &str, url: &str, more: &str) -> Self {
        let comma = if more.is_empty() { "" } else { ", " };
        let via = via_of_this_run().filter(|_| !more.contains("via:") && !more.contains("protocol:"));
        let via = via.map(|via| format!(", via: {via}")).unwrap_or_default();
        writeln!(self.upstreams, "- {{ name: {name}, url: '{url}'{comma}{more}{via} }}").expect("a string takes it");
        self
    }

    /// The puppet as an upstream.
    pub(crate) fn puppet(self, name: &str, puppet: &Puppet) -> Self {
        self.upstream(name, &puppet.url())
    }

    /// Upstreams as a file has them, below `upstreams:`.
    pub(crate) fn with_upstreams(mut self, lines: &str) -> Self {
        self.upstreams.push_str(lines);
        self
    }

    /// Forgets the upstreams so far.
    pub(crate) fn without_upstreams(mut self) -> Self {
        self.upstreams.clear();
        self
    }

    /// Lines of YAML at the top level.
    pub(crate) fn with(mut self, more: &str) -> Self {
        writeln!(self.more, "{more}").expect("a string takes it");
        self
    }

    /// An environment variable of the gateway.
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Not ended by a drop but with this test process.
    pub(crate) const fn lifelong(mut self) -> Self {
        self.lifelong = true;
        self
    }

    /// The configuration file.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("manifold.yaml")
    }

    /// What the file says.
    pub(crate) fn text(&self) -> String {
        let mut text = self.more.clone();
        for (key, line) in [
            ("listen:", "listen: 127.0.0.1:0"),
            ("admin:", "admin: 127.0.0.1:0"),
            ("stateDir:", "stateDir: state"),
            // Other tests may keep the machine busy.
            ("lists:", "lists: { first: 20s }"),
        ] {
            if !self.more.lines().any(|own| own.starts_with(key)) {
                writeln!(text, "{line}").expect("a string takes it");
            }
        }
        let upstreams = if self.upstreams.is_empty() {
            "[]\n"
        } else {
            &self.upstreams
        };
        write!(text, "upstreams:\n{upstreams}").expect("a string takes it");
        text
    }

    /// Writes the configuration file, the way editors do it.
    pub(crate) fn write(&self) {
        let written = self.folder.path().join("manifold.yaml.new");
        std::fs::write(&written, self.text()).expect("written");
        std::fs::rename(&written, self.file()).expect("renamed");
    }

    /// The gateway's program with these arguments.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(tools::gateway());
        command.args(arguments).env("MCP_MANIFOLD_ENVOY", tools::envoy());
        for (name, value) in &self.environment {
            command.env(name, value);
        }
        command
    }

    /// `up -f FILE`, not awaited.
    pub(crate) fn launch(&self) -> Program {
        self.write();
        let mut command = self.command(&["up", "-f"]);
        command.arg(self.file());
        self.run(command)
    }

    /// `up -f FILE`, ready.
    pub(crate) async fn up(self) -> Gateway {
        let mut program = self.launch();
        let ready = program.says("ready ").await;
        let address = address_in(&ready);
        let admin = address_in(ready.split("status ").nth(1).expect("the line names the admin port"));
        Gateway {
            setup: self,
            address,
            admin,
            programs: vec![program],
            ready,
        }
    }

    /// Ready, with this wiring.
    pub(crate) async fn start(self, wiring: Wiring) -> Gateway {
        match wiring {
            Wiring::FullDuplex => self.up().await,
            Wiring::Buffered => self.serve_beside(&["--body-mode", "buffered"], &[]).await,
        }
    }

    /// `serve`, and an Envoy with what `render envoy` prints; with these further arguments each.
    pub(crate) async fn serve_beside(self, render: &[&str], serve: &[&str]) -> Gateway {
        self.write();
        let mut rendered = self.command(&["render", "envoy", "-f"]);
        let rendered = rendered.arg(self.file()).args(render).output().expect("it runs");
        assert!(
            rendered.status.success(),
            "{}",
            String::from_utf8_lossy(&rendered.stderr)
        );
        let bootstrap = self.folder.path().join("envoy.yaml");
        std::fs::write(&bootstrap, &rendered.stdout).expect("written");
        let mut command = self.command(&["serve", "-f"]);
        command.arg(self.file()).args(serve);
        let mut processor = self.run(command);
        let ready = processor.says("ready ").await;
        let admin = address_in(ready.split("status ").nth(1).expect("the line names the admin port"));
        let mut envoy = Command::new(tools::envoy());
        envoy
            .arg("-c")
            .arg(bootstrap)
            .args(["--disable-hot-restart", "--concurrency", "1", "-l", "warning"]);
        let envoy = self.run(envoy);
        let envoy_admin = Admin::new(Address::Socket(self.folder.path().join("state/envoy-admin.sock")));
        let listening = async || envoy_admin.listener("mcp").await.ok().flatten();
        eventually("Envoy listens", async || listening().await.is_some()).await;
        let address = listening().await.expect("it just did");
        let gateway = Gateway {
            setup: self,
            address,
            admin,
            programs: vec![processor, envoy],
            ready,
        };
        // Envoy's first connection to the processor may still be on its way.
        eventually("the gateway answers", async || {
            let response = http::exchange(gateway.address, b"PUT /mcp HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").await;
            response.is_ok_and(|response| response.status == 405)
        })
        .await;
        gateway
    }

    fn run(&self, mut command: Command) -> Program {
        if self.lifelong {
            Program::lifelong(&command)
        } else {
            Program::start(&mut command)
        }
    }
}

impl Gateway {
    /// Where clients go.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    /// The gateway's own program.
    pub(crate) fn program(&mut self) -> &mut Program {
        self.programs.first_mut().expect("a gateway has a program")
    }

    /// A client with a session.
    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.address).await
    }

    /// A GET of the admin port.
    pub(crate) async fn ask(&self, path: &str) -> Response {
        let request = format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n");
        http::exchange(self.admin, request.as_bytes())
            .await
            .expect("the admin port answers")
    }

    /// `/status`
    pub(crate) async fn status(&self) -> Value {
        self.ask("/status").await.message()
    }

    /// What `/status` says of one upstream.
    pub(crate) async fn upstream(&self, name: &str) -> Value {
        let status = self.status().await;
        let mut rows = status["upstreams"].as_array().into_iter().flatten();
        rows.find(|row| row["name"] == name).cloned().unwrap_or(Value::Null)
    }

    /// Waits until the status of an upstream is as wished.
    pub(crate) async fn until_upstream(&self, name: &str, what: &str, condition: impl Fn(&Value) -> bool) {
        eventually(&format!("upstream {name} {what}"), async || {
            condition(&self.upstream(name).await)
        })
        .await;
    }

    /// Another file: written; not awaited.
    pub(crate) fn reconfigure(&mut self, setup: Setup) {
        setup.write();
        self.setup = setup;
    }

    /// Kills the gateway hard, and waits until nothing of it is left; what it was started with.
    pub(crate) fn kill(self) -> Setup {
        self.setup.clone()
    }

    /// Processes that name this gateway's folder on their command line.
    pub(crate) fn processes(&self) -> Vec<u32> {
        processes(&self.setup.folder.path().display().to_string())
    }

    /// The id of Envoy's process.
    pub(crate) fn envoy(&self) -> Option<u32> {
        let own: Vec<u32> = self.programs.iter().map(Program::id).collect();
        self.processes().into_iter().find(|id| !own.contains(id))
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let folder = self.setup.folder.path().display().to_string();
        self.programs.clear();
        let deadline = Instant::now() + Duration::from_secs(10);
        while !processes(&folder).is_empty() {
            if Instant::now() > deadline {
                assert!(
                    thread::panicking(),
                    "processes survive their gateway: {:?}",
                    processes(&folder)
                );
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// `MCP_MANIFOLD_TEST_VIA`: what every upstream that does not say `via` says in this run of the tests. What passes through
/// Envoy must pass through the processor alike.
pub(crate) fn via_of_this_run() -> Option<String> {
    std::env::var("MCP_MANIFOLD_TEST_VIA")
        .ok()
        .filter(|via| !via.is_empty())
}

/// The address in `http://ADDRESS/...`.
pub(crate) fn address_in(text: &str) -> SocketAddr {
    let rest = text.split("://").nth(1).unwrap_or_default();
    let address = rest.split(['/', ' ']).next().unwrap_or_default();
    address
        .parse()
        .unwrap_or_else(|error| panic!("no address ({error}) in {text:?}"))
}
