//! The reference files in `envoy/`: what `render` prints for `envoy/manifold.yaml`, valid, and fit to run.
//!
//! `MCP_MANIFOLD_BLESS=1 cargo test --test all it::envoy::reference` writes them anew.

use super::harness::{assert_valid, parts, post, validate};
use super::processor;
use crate::e2e::tools;
use mcp_manifold::edge::envoy::{Address, Admin, BodyMode, ChildOptions, Envoy, RenderOptions, render};
use mcp_manifold::engine::config::{Config, file};
use std::future::pending;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use tokio::task::JoinSet;

const FILES: [(&str, BodyMode); 2] = [
    ("envoy.yaml", BodyMode::FullDuplex),
    ("envoy-buffered.yaml", BodyMode::Buffered),
];
const KEY: &str = "REPLACE-WITH-THE-ROUTE-KEY";
const ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("envoy")
}

fn mk_config() -> Config {
    let text = std::fs::read_to_string(folder().join("manifold.yaml")).expect("the example is there");
    file::parse(&text, &folder(), &folder()).expect("the example is right")
}

fn rendered(body: BodyMode) -> String {
    let config = mk_config();
    let options = RenderOptions {
        processor: Address::Socket("/run/mcp-manifold/ext-proc.sock".into()),
        roots: Some(ROOTS.into()),
        body,
        ..RenderOptions::new(&config, KEY.to_owned())
    };
    render(&config, &options).expect("rendered")
}

/// As an operator would change it for this machine.
fn adapted(name: &str, run: &Path) -> String {
    let text = std::fs::read_to_string(folder().join(name)).expect("the reference file is there");
    // The upstream of the tests needs no certificates.
    let roots = run.join("roots.pem");
    let here = mcp_manifold::edge::envoy::system_roots().unwrap_or(roots);
    text.replace("/run/mcp-manifold", &run.to_string_lossy())
        .replace("port_value: 8001", "port_value: 0")
        .replace(ROOTS, &here.to_string_lossy())
}

#[test]
fn the_reference_files_are_what_render_prints() {
    for (name, body) in FILES {
        let path = folder().join(name);
        let expected = rendered(body);
        if std::env::var_os("MCP_MANIFOLD_BLESS").is_some() {
            std::fs::write(&path, &expected).expect("written");
        }
        let found = std::fs::read_to_string(&path).expect("the reference file is there");
        let first = found
            .lines()
            .zip(expected.lines())
            .position(|(found, expected)| found != expected);
        assert!(
            found == expected,
            "{name} differs at line {:?}: bless it",
            first.map(|line| line + 1)
        );
    }
}

#[tokio::test]
async fn the_reference_files_are_valid() {
    for (name, _) in FILES {
        let run = TempDir::new().expect("a folder");
        assert_valid(&validate(&adapted(name, run.path())).await, name);
    }
}

#[tokio::test]
async fn the_reference_files_serve_beside_a_processor() {
    for (name, _) in FILES {
        let run = TempDir::new().expect("a folder");
        let bootstrap = run.path().join(name);
        std::fs::write(&bootstrap, adapted(name, run.path())).expect("written");
        let mut tasks = JoinSet::new();
        let listening = processor::bind(&run.path().join("ext-proc.sock")).await;
        tasks.spawn(processor::serve(listening, KEY.to_owned(), pending()));
        let admin = Admin::new(Address::Socket(run.path().join("envoy-admin.sock")));
        let options = ChildOptions {
            binary: tools::envoy(),
            bootstrap,
            listen: mk_config().listen,
            admin: admin.clone(),
            concurrency: 1,
            drain: Duration::from_secs(1),
            grace: Duration::from_secs(1),
        };
        let _envoy = Envoy::start(options).await.expect("Envoy starts");
        let address = admin
            .listener("mcp")
            .await
            .expect("Envoy answers")
            .expect("there is a listener");
        let response = post(address, "/mcp", "", "answer").await;
        assert_eq!(parts(&response), (404, "own words"), "{name}");
        let response = post(address, "/mcp", "", "leave").await;
        assert_eq!(parts(&response).0, 503, "{name}: {response}");
    }
}
