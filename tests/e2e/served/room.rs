//! A controller's registry in this process, a processor that follows it, and an Envoy before it.

use super::pki::Authority;
use crate::e2e::harness::client::Client;
use crate::e2e::harness::eventually;
use crate::e2e::harness::gateway::address_in;
use crate::e2e::harness::http::{self, Response};
use crate::e2e::harness::program::Program;
use crate::e2e::harness::puppet::Puppet;
use crate::e2e::tools;
use mcp_manifold::edge::envoy::{Address, Admin};
use mcp_manifold::edge::registry::{Registry, serve};
use mcp_manifold::engine::assignment::{Assignment, Endpoint, Told};
use mcp_manifold::engine::config::{self, Confidential};
use serde_json::Value;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(super) const GATEWAY: &str = "team/gateway";
/// What routes to upstreams require.
pub(super) const KEY: &str = "only-the-processor-knows";

/// A controller that leads.
pub(super) struct Controller {
    pub(super) registry: Registry,
    told: mpsc::UnboundedReceiver<(Arc<str>, Told)>,
    pub(super) address: SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Controller {
    pub(super) fn start(authority: &Authority, at: Option<SocketAddr>) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_reuseaddr(true).expect("an option");
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        socket.bind(at.unwrap_or(any)).expect("the port is free");
        let listener: TcpListener = socket.listen(64).expect("it listens");
        let address = listener.local_addr().expect("bound");
        let (registry, told) = Registry::new();
        registry.lead();
        let stop = CancellationToken::new();
        let identity = watch::Sender::new(authority.server());
        let (serving, stopped) = (registry.clone(), stop.clone());
        let serving = tokio::spawn(async move {
            serve(listener, identity.subscribe(), serving, stopped)
                .await
                .expect("served to the end");
        });
        Self {
            registry,
            told,
            address,
            stop,
            serving,
        }
    }

    pub(super) fn assign(&self, assignment: Assignment) {
        self.registry
            .assign(GATEWAY, Arc::new(assignment))
            .expect("it can be told");
    }

    /// Waits until `wanted` is told; how long that took.
    pub(super) async fn hears(&mut self, what: &str, wanted: impl Fn(&Told) -> bool) -> Duration {
        let began = Instant::now();
        let mut last = None;
        let hearing = async {
            while let Some((_, told)) = self.told.recv().await {
                if wanted(&told) {
                    return;
                }
                last = Some(told);
            }
        };
        if tokio::time::timeout(Duration::from_secs(60), hearing).await.is_err() {
            panic!("never told: {what}; last was {last:?}");
        }
        began.elapsed()
    }

    pub(super) async fn accepted(&mut self) -> Duration {
        self.hears("an assignment is in force", |told| {
            matches!(told, Told::Accepted { .. })
        })
        .await
    }

    /// Nobody leads any more.
    pub(super) async fn leaves(self) {
        self.stop.cancel();
        self.serving.await.expect("no panic");
    }
}

/// A processor and its Envoy.
pub(super) struct Room {
    pub(super) folder: TempDir,
    pub(super) authority: Authority,
    pub(super) controller: SocketAddr,
    processor: Option<Program>,
    admin: SocketAddr,
    _envoy: Option<Program>,
    pub(super) address: SocketAddr,
}

impl Room {
    /// Follows this controller; Envoy knows routes to these upstreams.
    pub(super) async fn new(controller: &Controller, authority: Authority, upstreams: &[(&str, &Puppet)]) -> Self {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut room = Self {
            folder: TempDir::new().expect("a folder"),
            authority,
            controller: controller.address,
            processor: None,
            admin: nowhere,
            _envoy: None,
            address: nowhere,
        };
        room.authority.mount(GATEWAY, &room.folder.path().join("certificates"));
        room.start_processor().await;
        room.start_envoy(upstreams).await;
        room
    }

    /// Kills the processor, and starts it on what it left behind.
    pub(super) async fn restart(&mut self) {
        self.processor = None;
        self.start_processor().await;
    }

    async fn start_processor(&mut self) {
        let folder = self.folder.path();
        let mut command = Command::new(tools::gateway());
        command
            .args([
                "serve",
                "--admin",
                "127.0.0.1:0",
                "--gateway",
                GATEWAY,
                "--processor",
                "one",
            ])
            .arg("--registry")
            .arg(format!("https://{}", self.controller))
            .arg("--registry-certs")
            .arg(folder.join("certificates"))
            .arg("--listen")
            .arg(format!("unix:{}", folder.join("ext-proc.sock").display()))
            .arg("--fallback")
            .arg(format!("unix:{}", folder.join("fallback.sock").display()))
            .arg("--state-dir")
            .arg(folder.join("state"));
        let mut processor = Program::start(&mut command);
        let ready = processor.says("ready ").await;
        self.admin = address_in(ready.split("status ").nth(1).expect("the line names the admin port"));
        self.processor = Some(processor);
    }

    async fn start_envoy(&mut self, upstreams: &[(&str, &Puppet)]) {
        let folder = self.folder.path();
        let bootstrap = folder.join("envoy.yaml");
        std::fs::write(&bootstrap, bootstrap_of(folder, upstreams)).expect("written");
        let mut command = Command::new(tools::envoy());
        command
            .arg("-c")
            .arg(bootstrap)
            .args(["--disable-hot-restart", "--concurrency", "1", "-l", "warning"]);
        self._envoy = Some(Program::start(&mut command));
        let admin = Admin::new(Address::Socket(folder.join("envoy-admin.sock")));
        let listening = async || admin.listener("mcp").await.ok().flatten();
        eventually("Envoy listens", async || listening().await.is_some()).await;
        self.address = listening().await.expect("it just did");
    }

    /// Tells the processor that its Envoy is about to end.
    pub(super) fn drain(&self) {
        let mut command = Command::new(tools::gateway());
        command
            .arg("drain")
            .arg("--state-dir")
            .arg(self.folder.path().join("state"));
        let outcome = command.output().expect("the program runs");
        assert!(outcome.status.success(), "{outcome:?}");
    }

    /// What the processor's log says so far.
    pub(super) fn log(&self) -> String {
        self.processor.as_ref().map(Program::output).unwrap_or_default()
    }

    /// A GET of the processor's admin port.
    pub(super) async fn ask(&self, path: &str) -> Response {
        let request = format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n");
        http::exchange(self.admin, request.as_bytes())
            .await
            .expect("it answers")
    }

    /// What `/status` says of one upstream.
    pub(super) async fn upstream(&self, name: &str) -> Value {
        let status = self.ask("/status").await.message();
        let mut rows = status["upstreams"].as_array().into_iter().flatten();
        rows.find(|row| row["name"] == name).cloned().unwrap_or(Value::Null)
    }

    pub(super) async fn until_ready(&self, name: &str) {
        eventually("the upstream is listed", async || {
            self.upstream(name).await["ready"] == true
        })
        .await;
    }

    pub(super) async fn client(&self) -> Client {
        Client::connect(self.address).await
    }
}

fn bootstrap_of(folder: &Path, upstreams: &[(&str, &Puppet)]) -> String {
    let (mut routes, mut clusters) = (String::new(), String::new());
    for (name, puppet) in upstreams {
        let exact = |header: &str, value: &str| format!("{{ name: {header}, string_match: {{ exact: '{value}' }} }}");
        let (upstream, key) = (exact("x-mcp-upstream", name), exact("x-mcp-route-key", KEY));
        for path in ["/mcp", "/other"] {
            writeln!(
                routes,
                "              - name: httproute/team/to-{name}/rule/0/match/0/*
                match: {{ path: {path}, headers: [ {upstream}, {key} ] }}
                route: {{ cluster: {name}, timeout: 0s, prefix_rewrite: /mcp, host_rewrite_literal: '{}' }}
                request_headers_to_remove: [x-mcp-upstream, x-mcp-route-key]",
                puppet.address,
            )
            .expect("a string takes it");
        }
        let (host, port) = (puppet.address.ip(), puppet.address.port());
        writeln!(
            clusters,
            "  - name: {name}
    connect_timeout: 1s
    load_assignment:
      cluster_name: {name}
      endpoints: [ {{ lb_endpoints: [ {{ endpoint: {{ address: {{ socket_address: {{ address: {host}, port_value: {port} }} }} }} }} ] }} ]",
        )
        .expect("a string takes it");
    }
    include_str!("envoy.yaml")
        .replace("ROUTES\n", &routes)
        .replace("CLUSTERS\n", &clusters)
        .replace("FOLDER", &folder.display().to_string())
}

/// Endpoints (id, path, upstreams), each reached by the route `team/<id>`; an upstream is a line of YAML.
pub(super) fn mk_assignment(endpoints: &[(&str, &str, &[&str])], upstreams: &[String]) -> Assignment {
    let text = format!("upstreams:\n{}", upstreams.concat());
    let config = config::file::parse(&text, Path::new("/"), Path::new("/")).expect("valid");
    let by_name = config
        .upstreams
        .into_iter()
        .map(|upstream| (upstream.name.as_str().into(), Arc::new(upstream)));
    let by_id = endpoints.iter().map(|(id, path, upstreams)| {
        let endpoint = Endpoint {
            id: (*id).into(),
            path: (*path).into(),
            hosts: Vec::new(),
            origins: Vec::new(),
            routes: vec![format!("team/{id}").into()],
            route_key: Confidential(KEY.into()),
            session_keys: vec![Confidential("of the sessions of this test".into())],
            body_limit: None,
            upstreams: upstreams.iter().map(|name| (*name).into()).collect(),
        };
        (Arc::clone(&endpoint.id), Arc::new(endpoint))
    });
    Assignment {
        endpoints: by_id.collect(),
        upstreams: by_name.collect(),
    }
}

/// One upstream as [`mk_assignment`] takes it.
pub(super) fn mk_upstream(name: &str, puppet: &Puppet, more: &str) -> String {
    format!("- {{ name: {name}, url: '{}'{more} }}\n", puppet.url())
}
