//! What the tests of the whole stand on: a gateway as a real process, upstreams that are scripted in this process, and
//! a client that sends and shows exact bytes.
//!
//! Nothing here sleeps to wait: conditions are asked again until a deadline that only a broken program meets.

#![allow(dead_code, reason = "each test takes what it needs")]

pub(crate) mod check;
pub(crate) mod client;
pub(crate) mod gateway;
pub(crate) mod http;
pub(crate) mod program;
pub(crate) mod puppet;
pub(crate) mod shared;
pub(crate) mod stream;
pub(crate) mod terminator;

use std::sync::OnceLock;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// Longer than anything takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The runtime of scripted upstreams: it outlives the test that started them, for shared gateways.
pub(crate) fn background() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime starts")
    })
}

/// Asks until `condition` holds; panics with what it was about when that takes too long.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < deadline, "never came true: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
