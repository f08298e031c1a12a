//! A state folder, a configuration and a real Envoy for one test.

use crate::e2e::tools;
use mcp_manifold::edge::envoy::{
    Admin, CdsFile, ChildOptions, Clusters, Envoy, RenderOptions, bootstrap, cds, clusters::Shared, render,
    write_private,
};
use mcp_manifold::engine::config::{Config, file};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;

/// A configuration as text: any free port, state in `folder`.
pub(crate) fn mk_config(folder: &Path, more: &str) -> Config {
    let listen = if more.contains("listen:") {
        ""
    } else {
        "listen: 127.0.0.1:0\n"
    };
    let text = format!("{listen}stateDir: {}\n{more}", folder.display());
    file::parse(&text, folder, folder).expect("the test's configuration is right")
}

/// What Envoy says of a bootstrap.
pub(crate) async fn validate(text: &str) -> Output {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("envoy.yaml");
    std::fs::write(&file, text).expect("written");
    validate_file(&file).await
}

/// What Envoy says of a bootstrap file.
pub(crate) async fn validate_file(file: &Path) -> Output {
    Command::new(tools::envoy())
        .args(["--mode", "validate", "--disable-hot-restart", "-l", "warning", "-c"])
        .arg(file)
        .output()
        .await
        .expect("Envoy runs")
}

pub(crate) fn assert_valid(output: &Output, what: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {said}");
    assert!(!said.contains("eprecated"), "{what}: {said}");
}

/// Everything that one Envoy needs.
pub(crate) struct Gateway {
    pub(crate) folder: TempDir,
    pub(crate) config: Config,
    pub(crate) options: RenderOptions,
    pub(crate) clusters: CdsFile,
    pub(crate) admin: Admin,
}

impl Gateway {
    /// Not started yet; clusters from the file, version `g1`.
    pub(crate) fn new(more: &str) -> Self {
        let folder = TempDir::new().expect("a folder");
        let config = mk_config(folder.path(), more);
        let clusters = CdsFile::new(folder.path()).expect("a folder for clusters");
        let options = RenderOptions {
            clusters: Clusters::File(clusters.path().to_owned()),
            ..RenderOptions::new(&config, "test-route-key-0123456789".to_owned())
        };
        Self {
            admin: Admin::new(bootstrap::admin_address(&config)),
            folder,
            config,
            options,
            clusters,
        }
    }

    pub(crate) fn shared(&self) -> Shared {
        Shared::new(&self.config, self.options.roots.clone())
    }

    /// Renders, writes and starts.
    pub(crate) async fn start(&self) -> Envoy {
        self.clusters
            .write(&self.config.upstreams, &self.shared(), "g1")
            .expect("clusters are written");
        let envoy = Envoy::start(self.child(self.bootstrap())).await.expect("Envoy starts");
        cds::confirm(&self.admin, "g1")
            .await
            .expect("the first clusters are in force");
        envoy
    }

    pub(crate) fn bootstrap(&self) -> PathBuf {
        let file = self.folder.path().join("envoy.yaml");
        write_private(&file, &render(&self.config, &self.options).expect("rendered")).expect("written");
        file
    }

    pub(crate) fn child(&self, bootstrap: PathBuf) -> ChildOptions {
        ChildOptions {
            binary: tools::envoy(),
            bootstrap,
            listen: self.config.listen,
            admin: self.admin.clone(),
            concurrency: 1,
            drain: Duration::from_secs(1),
            grace: Duration::from_secs(10),
        }
    }

    /// Where Envoy listens.
    pub(crate) async fn address(&self) -> SocketAddr {
        let address = self.admin.listener("mcp").await.expect("Envoy answers");
        address.expect("there is a listener")
    }
}

/// One HTTP/1.1 request as text; the whole response as text.
pub(crate) async fn http(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut response = String::new();
    stream.read_to_string(&mut response).await.expect("received");
    response
}

/// A POST of JSON.
pub(crate) async fn post(address: SocketAddr, path: &str, more: &str, body: &str) -> String {
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n{more}\r\n{body}"
    );
    http(address, &request).await
}

/// Status and body.
pub(crate) fn parts(response: &str) -> (u16, &str) {
    let (head, body) = response.split_once("\r\n\r\n").expect("a response");
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
    (status.expect("a status"), body)
}
