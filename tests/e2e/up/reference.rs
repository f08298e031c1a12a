//! The reference configurations in `envoy/`, as their guide starts them: beside `serve`, in front of a real upstream.

use crate::e2e::harness::client::Client;
use crate::e2e::harness::eventually;
use crate::e2e::harness::gateway::Setup;
use crate::e2e::harness::http;
use crate::e2e::harness::program::Program;
use crate::e2e::harness::puppet::Puppet;
use crate::e2e::tools;
use mcp_manifold::edge::envoy::{Address, Admin, system_roots};
use serde_json::json;
use std::process::Command;

async fn serves(name: &str) {
    let puppet = Puppet::start(&["echo"]).await;
    let setup = Setup::new().puppet("everything", &puppet);
    setup.write();
    let folder = setup.folder.path();
    let mut command = setup.command(&["serve", "--listen"]);
    command
        .arg(format!("unix:{}/ext-proc.sock", folder.display()))
        .arg("-f")
        .arg(setup.file());
    let mut processor = Program::start(&mut command);
    processor.says("ready ").await;

    let key = std::fs::read_to_string(folder.join("state/route-key")).expect("serve has made it");
    let roots = system_roots().unwrap_or_else(|| tools::source("tests/fixtures/tls/ca.pem"));
    let text = std::fs::read_to_string(tools::source(&format!("envoy/{name}"))).expect("readable");
    let text = text
        .replace("REPLACE-WITH-THE-ROUTE-KEY", key.trim())
        .replace("/run/mcp-manifold", &folder.to_string_lossy())
        .replace("port_value: 8001", "port_value: 0")
        .replace("port_value: 3001", &format!("port_value: {}", puppet.address.port()))
        .replace("127.0.0.1:3001", &puppet.address.to_string())
        .replace("/etc/ssl/certs/ca-certificates.crt", &roots.to_string_lossy());
    let bootstrap = folder.join("envoy.yaml");
    std::fs::write(&bootstrap, text).expect("written");
    let mut command = Command::new(tools::envoy());
    command
        .arg("-c")
        .arg(&bootstrap)
        .args(["--disable-hot-restart", "--concurrency", "1", "-l", "warning"]);
    let _envoy = Program::start(&mut command);
    let admin = Admin::new(Address::Socket(folder.join("envoy-admin.sock")));
    eventually("Envoy listens", async || {
        matches!(admin.listener("mcp").await, Ok(Some(_)))
    })
    .await;
    let address = admin.listener("mcp").await.expect("it answers").expect("it listens");
    eventually("the processor is found", async || {
        let request = b"PUT /mcp HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n";
        http::exchange(address, request)
            .await
            .is_ok_and(|response| response.status == 405)
    })
    .await;
    let client = Client::connect(address).await;
    assert_eq!(client.tools().await, ["everything_echo"]);
    assert_eq!(client.text_of("everything_echo", &json!({})).await, "echo");
    let call = puppet.posted("tools/call").pop().expect("called");
    assert_eq!(call.header("host"), Some(puppet.address.to_string().as_str()));
}

#[tokio::test]
async fn the_reference_configuration_serves_calls() {
    serves("envoy.yaml").await;
}

#[tokio::test]
async fn the_buffered_reference_configuration_serves_calls() {
    serves("envoy-buffered.yaml").await;
}

#[tokio::test]
async fn envoy_may_reach_the_processor_over_tcp() {
    let puppet = Puppet::start(&["echo"]).await;
    let processor = format!("127.0.0.1:{}", crate::e2e::process::free_port());
    let setup = Setup::new().puppet("up", &puppet);
    let gateway = setup
        .serve_beside(&["--processor", &processor], &["--listen", &processor])
        .await;
    assert_eq!(gateway.client().await.text_of("up_echo", &json!({})).await, "echo");
}

#[tokio::test]
async fn what_is_secret_in_the_state_folder_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let puppet = Puppet::start(&["echo"]).await;
    let gateway = Setup::new().puppet("up", &puppet).up().await;
    let state = gateway.setup.folder.path().join("state");
    let mode = |path: &std::path::Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(&state), 0o700);
    for name in ["session.key", "route-key", "envoy.yaml", "ext-proc.sock"] {
        assert_eq!(mode(&state.join(name)) & 0o077, 0, "{name}");
    }
}
