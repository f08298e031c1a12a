//! An OpenTelemetry collector that writes down what it gets.

use crate::e2e::harness::eventually;
use crate::e2e::harness::gateway::Setup;
use crate::e2e::harness::program::Program;
use crate::e2e::harness::terminator::certificate;
use crate::e2e::process::free_port;
use crate::e2e::tools;
use serde_json::Value;
use std::fs;
use std::process::Command;
use tempfile::TempDir;
use tokio::net::TcpStream;

/// A running collector.
pub(super) struct Collector {
    pub(super) port: u16,
    folder: TempDir,
    _program: Program,
}

/// One span as the collector has it.
#[derive(Clone, Debug)]
pub(super) struct Span {
    /// `service.name`
    pub(super) service: String,
    /// As the protocol has it in JSON.
    pub(super) json: Value,
}

impl Collector {
    /// `None`: it cannot be built here, without Go.
    pub(super) async fn start() -> Option<Self> {
        Self::start_with("").await
    }

    /// The same behind TLS; its certificate is for `localhost`.
    pub(super) async fn start_secure() -> Option<Self> {
        let (cert, key) = (certificate("server.pem"), certificate("server.key"));
        let (cert, key) = (cert.display(), key.display());
        Self::start_with(&format!(", tls: {{ cert_file: '{cert}', key_file: '{key}' }}")).await
    }

    async fn start_with(more: &str) -> Option<Self> {
        if Command::new("go").arg("version").output().is_err() {
            eprintln!("left out: the OpenTelemetry collector is built with Go, and there is none");
            return None;
        }
        let folder = TempDir::new().expect("a folder");
        let port = free_port();
        let place = folder.path().display();
        let text = format!(
            "receivers: {{ otlp: {{ protocols: {{ grpc: {{ endpoint: '127.0.0.1:{port}'{more} }} }} }} }}\n\
             exporters: {{ file: {{ path: {place}/seen.jsonl, flush_interval: 100ms }} }}\n\
             service:\n  telemetry: {{ metrics: {{ level: none }} }}\n  pipelines:\n    \
             traces: {{ receivers: [otlp], exporters: [file] }}\n    \
             metrics: {{ receivers: [otlp], exporters: [file] }}\n"
        );
        let config = folder.path().join("collector.yaml");
        fs::write(&config, text).expect("written");
        let mut command = Command::new(tools::program("otel-collector"));
        let program = Program::start(command.arg("--config").arg(&config));
        let listens = async || TcpStream::connect(("127.0.0.1", port)).await.is_ok();
        eventually("the collector listens", listens).await;
        Some(Self {
            port,
            folder,
            _program: program,
        })
    }

    /// A setup whose gateway sends everything here.
    pub(super) fn setup(&self, more: &str) -> Setup {
        mk_setup(self.port, more)
    }

    /// What it got so far, a request each.
    fn seen(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.folder.path().join("seen.jsonl")).unwrap_or_default();
        text.lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// All spans so far.
    pub(super) fn spans(&self) -> Vec<Span> {
        let requests = self.seen();
        let resources = requests.iter().flat_map(|request| each(&request["resourceSpans"]));
        let spans = resources.flat_map(|resource| {
            let service = attribute(&resource["resource"], "service.name");
            let scopes = each(&resource["scopeSpans"]).flat_map(|scope| each(&scope["spans"]));
            scopes.map(move |span| Span {
                service: service.clone(),
                json: span.clone(),
            })
        });
        spans.collect()
    }

    /// All metrics so far: the newest of each name.
    pub(super) fn metric(&self, name: &str) -> Option<Value> {
        let requests = self.seen();
        let resources = requests.iter().flat_map(|request| each(&request["resourceMetrics"]));
        let scopes = resources.flat_map(|resource| each(&resource["scopeMetrics"]));
        let metrics = scopes.flat_map(|scope| each(&scope["metrics"]));
        metrics.filter(|metric| metric["name"] == name).last().cloned()
    }

    /// The first span that is as wished, once there is one.
    pub(super) async fn span(&self, what: &str, wanted: impl Fn(&Span) -> bool) -> Span {
        let find = || self.spans().into_iter().find(|span| wanted(span));
        eventually(what, async || find().is_some()).await;
        find().expect("it was just there")
    }

    /// The span with this id, once it is there.
    pub(super) async fn by_id(&self, what: &str, id: &str) -> Span {
        self.span(what, |span| span.id() == id).await
    }
}

/// A setup whose gateway sends everything to this port.
pub(super) fn mk_setup(port: u16, more: &str) -> Setup {
    let telemetry = format!("telemetry: {{ otlp: 'http://127.0.0.1:{port}', interval: 1s{more} }}");
    Setup::new().with(&telemetry).with("audit: { file: audit.jsonl }")
}

impl Span {
    pub(super) fn id(&self) -> &str {
        self.json["spanId"].as_str().unwrap_or_default()
    }

    pub(super) fn trace(&self) -> &str {
        self.json["traceId"].as_str().unwrap_or_default()
    }

    pub(super) fn parent(&self) -> &str {
        self.json["parentSpanId"].as_str().unwrap_or_default()
    }

    pub(super) fn name(&self) -> &str {
        self.json["name"].as_str().unwrap_or_default()
    }

    /// 2: the server's, 3: the client's.
    pub(super) fn kind(&self) -> u64 {
        self.json["kind"].as_u64().unwrap_or_default()
    }

    /// The text of an attribute; empty: it is not there.
    pub(super) fn said(&self, key: &str) -> String {
        attribute(&self.json, key)
    }
}

/// The members of a list; none, if it is none.
pub(super) fn each(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// The text of an attribute; empty: it is not there.
pub(super) fn attribute(of: &Value, key: &str) -> String {
    let found = each(&of["attributes"]).find(|attribute| attribute["key"] == key);
    let text = found.and_then(|attribute| attribute["value"]["stringValue"].as_str());
    text.unwrap_or_default().to_owned()
}
