//! What the cluster tests stand on: kubectl, namespaces that go with their test, gateways with their address.

#![allow(dead_code, reason = "each test takes what it needs")]

pub(crate) mod caller;
pub(crate) mod gateway;
pub(crate) mod install;
pub(crate) mod kubectl;
pub(crate) mod namespace;
pub(crate) mod plane;
pub(crate) mod served;

use crate::e2e::harness::PATIENCE;
use std::path::PathBuf;
use std::time::Instant;

/// The folder of the cluster in which this test process runs.
pub(crate) fn folder() -> PathBuf {
    let folder = std::env::var_os("MCP_MANIFOLD_CLUSTER");
    PathBuf::from(folder.expect("this test needs a cluster: run `make test-kube`"))
}

/// Asks until there is an answer; panics with what it was about, and the last reason, when that takes too long.
pub(crate) async fn until<T, F: Future<Output = Result<T, String>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let deadline = Instant::now() + PATIENCE * 2;
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(reason) => assert!(Instant::now() < deadline, "never came true: {what}: {reason}"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}
