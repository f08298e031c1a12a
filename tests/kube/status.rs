//! Status is what the data plane found, within seconds.

use super::harness::install::Processor;
use super::harness::kubectl::{get, kubectl};
use super::harness::served::Served;
use super::harness::until;
use std::time::{Duration, Instant};

/// What the issue promises for both ways.
const PROMISED: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_server_that_dies_is_not_ready_and_ready_again_when_it_is_back() {
    let served = Served::new("status", Processor::Sidecar).await;
    served.server("one", "one_", &["--tools", "3", "--bare"]).await;
    served.server("two", "two_", &["--tools", "2", "--bare"]).await;
    served.until_ready_is("one", "True").await;
    served.until_ready_is("two", "True").await;
    let object = get("mcpsr", &served.namespace.name, "one").await;
    assert_eq!(object["status"]["discoveredTools"], 3, "{object}");
    assert_eq!(served.client().await.tools().await.len(), 5);

    scale(&served, "one", 0).await;
    let gone = Instant::now();
    let ready = served.until_ready_is("one", "False").await;
    assert!(gone.elapsed() < PROMISED, "told after {:?}", gone.elapsed());
    assert_eq!(ready["reason"], "Unreachable", "{ready}");
    assert_eq!(
        served.ready("two").await["status"],
        "True",
        "the other one is not harmed"
    );

    scale(&served, "one", 1).await;
    served.namespace.rolled_out("one").await;
    let back = Instant::now();
    served.until_ready_is("one", "True").await;
    assert!(back.elapsed() < PROMISED, "told after {:?}", back.elapsed());
}

#[tokio::test]
async fn a_deleted_route_takes_the_servers_tools_out_of_the_lists() {
    let served = Served::new("routes", Processor::Sidecar).await;
    served.server("one", "one_", &["--tools", "1", "--bare"]).await;
    served.server("two", "two_", &["--tools", "1", "--bare"]).await;
    served.until_ready_is("one", "True").await;
    served.until_ready_is("two", "True").await;
    let client = served.client().await;
    assert_eq!(client.tools().await.len(), 2);

    served.delete("httproute", "one").await;
    let ready = served.until_ready_is("one", "False").await;
    assert_eq!(ready["reason"], "RouteNotFound", "{ready}");
    until("its tools are gone", async || {
        let tools = client.tools().await;
        if tools.iter().all(|name| name.starts_with("two_")) && tools.len() == 1 {
            Ok(())
        } else {
            Err(format!("{tools:?}"))
        }
    })
    .await;
}

async fn scale(served: &Served, name: &str, replicas: u32) {
    let replicas = format!("--replicas={replicas}");
    kubectl(&["scale", "deployment", name, &replicas, "-n", &served.namespace.name]).await;
}
