//! What an upstream lists only to those it may ask is listed through the gateway to the same.

use super::all;
use crate::e2e::harness::client::Client;
use crate::e2e::harness::gateway::Setup;
use crate::e2e::process;
use serde_json::{Value, json};
use std::net::SocketAddr;

async fn tools(address: SocketAddr, capabilities: &Value) -> Vec<String> {
    let client = Client::connect_as(address, "2025-11-25", capabilities).await;
    // Some tools are registered once the handshake is over.
    let notice = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    assert_eq!(client.request(notice).send(address).await.status, 202);
    client.tools().await
}

#[tokio::test]
async fn a_client_sees_the_tools_that_it_would_see_at_the_upstream() {
    let (_server, url) = process::everything();
    let port = url
        .split(['/', ':'])
        .find_map(|part| part.parse().ok())
        .expect("a port");
    let direct = SocketAddr::from(([127, 0, 0, 1], port));
    let gateway = Setup::new().upstream("everything", &url).up().await;
    let exposed = |names: Vec<String>| -> Vec<String> {
        let exposed = names.iter().map(|name| format!("everything_{name}"));
        exposed.collect()
    };
    let mut lists = Vec::new();
    for capabilities in [json!({}), all()] {
        let there = tools(direct, &capabilities).await;
        assert_eq!(tools(gateway.address, &capabilities).await, exposed(there.clone()));
        lists.push(there);
    }
    assert_ne!(lists.first(), lists.last(), "the server lists the same to everybody");
}
