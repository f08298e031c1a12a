//! The official conformance suite through Envoy Gateway: one server, no prefix. What succeeds with the server alone
//! must succeed here.

use super::harness::install::Processor;
use super::harness::served::Served;
use crate::e2e::conformance::{Fixture, Wire, assert_conforms};

/// What cannot be tried here.
const EXPECTED: &str = "tests/conformance/envoy-gateway.txt";

async fn through_envoy_gateway(wire: Wire) {
    let served = Served::new("conformance", Processor::Sidecar).await;
    served.server("fixture", "", &[]).await;
    served.until_ready_is("fixture", "True").await;
    let url = format!("http://{}/mcp", served.address);
    assert_conforms(&url, wire, Fixture::Rmcp, EXPECTED).await;
}

#[tokio::test]
async fn at_2025_11_25() {
    through_envoy_gateway(Wire::November2025).await;
}

#[tokio::test]
async fn at_2026_07_28() {
    through_envoy_gateway(Wire::July2026).await;
}
