//! A real identity provider (npm `oidc-provider`) and a client of the TypeScript SDK that knows nothing but the gateway's URL.

use crate::e2e::clients;
use crate::e2e::harness::eventually;
use crate::e2e::harness::gateway::Setup;
use crate::e2e::harness::program::Program;
use crate::e2e::harness::puppet::Puppet;
use crate::e2e::process::free_port;
use crate::e2e::tools;
use serde_json::json;
use std::process::Command;

#[tokio::test]
async fn a_client_that_knows_only_the_url_finds_its_way_to_a_token() {
    let puppet = Puppet::start(&["echo"]).await;
    let (own, port) = (free_port(), free_port());
    let url = format!("http://127.0.0.1:{own}/mcp");
    let issuer = format!("http://127.0.0.1:{port}");
    let mut command = Command::new(tools::node());
    command.arg(tools::source("tests/clients/identity-provider.mjs"));
    let mut provider = Program::start(command.args([&port.to_string(), &url]));
    provider.says("ready").await;
    let setup = Setup::new().with(&format!("listen: 127.0.0.1:{own}")).with(&format!(
        "authentication: {{ jwt: [ {{ issuer: '{issuer}', jwks: {{ url: '{issuer}/jwks', refresh: 1s }} }} ], scopes: [mcp:tools] }}"
    ));
    let gateway = setup.puppet("up", &puppet).up().await;

    let visit = clients::authorized(&gateway.url(), "up_echo", &json!({})).await;
    assert_eq!(visit.tools, ["up_echo"]);
    assert_eq!(visit.content[0]["text"], "echo");
    assert!(puppet.seen().iter().all(|seen| seen.header("authorization").is_none()));
    let principal = format!("\"principal\":\"{issuer}|alice\"");
    eventually("the audit line names her", async || {
        gateway
            .programs
            .iter()
            .any(|program| program.err().contains(&principal))
    })
    .await;
}
