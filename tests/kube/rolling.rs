//! Rolling updates of the data plane under calls and streams: none is lost.

use super::harness::install::{NAMESPACE, Processor};
use super::harness::kubectl::kubectl;
use super::harness::served::{Served, calls_while};
use super::harness::until;
use crate::e2e::harness::client::{Client, Request, modern, rpc};
use crate::e2e::harness::stream::Stream;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const PROXIES: &str = "envoy-gateway-system";
/// After that, a proxy that ends cuts what is still open.
const DRAIN: Duration = Duration::from_secs(60);

async fn served(what: &str, processor: Processor) -> Served {
    let served = Served::new(what, processor).await;
    served.server("one", "one_", &["--tools", "2", "--bare"]).await;
    served.until_ready_is("one", "True").await;
    served
}

/// Replaces the pods of the only Deployment with this label, and waits until that is done.
async fn replaced(namespace: &'static str, label: String) {
    let found = kubectl(&["get", "deployments", "-n", namespace, "-l", &label, "-o", "name"]).await;
    let name = found.trim();
    assert_eq!(found.lines().count(), 1, "{label}: {found}");
    let before = pods(namespace, &label).await;
    kubectl(&["rollout", "restart", name, "-n", namespace]).await;
    kubectl(&["rollout", "status", name, "-n", namespace, "--timeout=120s"]).await;
    until("the pods of before are gone", async || {
        let now = pods(namespace, &label).await;
        let others = !now.is_empty() && now.iter().all(|pod| !before.contains(pod));
        others.then_some(()).ok_or_else(|| format!("{now:?}"))
    })
    .await;
}

async fn pods(namespace: &str, label: &str) -> Vec<String> {
    let found = kubectl(&["get", "pods", "-n", namespace, "-l", label, "-o", "name"]).await;
    found.lines().map(str::to_owned).collect()
}

/// The label of the Gateway's pods of Envoy.
fn proxies(served: &Served) -> String {
    let owner = "gateway.envoyproxy.io/owning-gateway";
    format!("{owner}-namespace={},{owner}-name=gateway", served.namespace.name)
}

#[tokio::test]
async fn no_call_is_lost_while_processors_in_pods_of_their_own_are_replaced() {
    let served = served("rolling", Processor::Deployment).await;
    let client = served.client().await;
    let label = format!("mcp-manifold/serves={}.gateway", served.namespace.name);
    calls_while(&client, "one_generated_0", replaced(NAMESPACE, label)).await;
    assert_eq!(client.tools().await.len(), 2, "the session goes on");
    served.until_ready_is("one", "True").await;
}

#[tokio::test]
async fn no_call_is_lost_while_pods_of_envoy_are_replaced_with_their_processors() {
    let served = served("proxies", Processor::Sidecar).await;
    let client = served.client().await;
    calls_while(&client, "one_generated_0", replaced(PROXIES, proxies(&served))).await;
    assert_eq!(client.tools().await.len(), 2, "the session goes on");
    served.until_ready_is("one", "True").await;
}

/// A session's stream.
async fn get(client: &Client) -> Stream {
    let request = Request::bare("GET").session(&client.session);
    let stream = Stream::open(client.address, &request.with("accept", "text/event-stream")).await;
    assert_eq!(stream.status, 200, "{:?}", stream.headers);
    stream
}

/// A call that takes longer than a proxy that nobody uses waits before it ends, and says how it gets on.
async fn long_call(client: &Client) -> Stream {
    let params = json!({"name": "one_sleep", "arguments": {"ms": 20_000}, "_meta": {"progressToken": "p"}});
    let mut call = Stream::open(client.address, &client.request(rpc("long", "tools/call", &params))).await;
    assert_eq!(call.message().await["method"], "notifications/progress");
    call
}

/// What is told until a response comes; and that.
async fn to_the_end(stream: &mut Stream) -> (Vec<Value>, Value) {
    let mut told = Vec::new();
    loop {
        let message = stream.message().await;
        if message.get("method").is_none() {
            assert_eq!(stream.rest().await, "", "after the response");
            assert_eq!(stream.whole, Some(true), "it is not cut");
            return (told, message);
        }
        told.push(message);
    }
}

#[tokio::test]
async fn streams_end_in_good_order_and_long_calls_finish_while_pods_of_envoy_are_replaced() {
    let served = Served::new("streams", Processor::Sidecar).await;
    served.server("one", "one_", &[]).await;
    served.until_ready_is("one", "True").await;
    let client = served.client().await;
    let mut stream = get(&client).await;
    client.text_of("one_test_tool_with_logging", &json!({})).await;
    for _ in 0..3 {
        assert_eq!(stream.message().await["method"], "notifications/message");
    }
    let filter = json!({"notifications": {"toolsListChanged": true}});
    let mut listen = Stream::open(served.address, &modern("l", "subscriptions/listen", &filter)).await;
    let first = listen.message().await;
    assert_eq!(first["method"], "notifications/subscriptions/acknowledged", "{first}");
    let mut call = long_call(&client).await;

    let begun = Instant::now();
    let rolling = tokio::spawn(replaced(PROXIES, proxies(&served)));
    let ended = async {
        let last = stream.rest().await;
        assert!(
            last.ends_with("retry: 1000\n\n") && stream.whole == Some(true),
            "{last:?}"
        );
        let (_, last) = to_the_end(&mut listen).await;
        assert_eq!(last["result"]["resultType"], "complete", "{last}");
        begun.elapsed()
    };
    let (ended, (told, answer)) = tokio::join!(ended, to_the_end(&mut call));
    assert_eq!(answer["result"]["content"][0]["text"], "slept", "{answer}");
    let steps: Vec<_> = told
        .iter()
        .filter_map(|message| message["params"]["progress"].as_f64())
        .collect();
    assert!(
        steps.len() > 30 && steps.is_sorted(),
        "none of its progress is lost: {steps:?}"
    );
    rolling.await.expect("it is done");
    println!(
        "streams ended {ended:?} after the roll began, all was done after {:?}",
        begun.elapsed()
    );
    assert!(
        begun.elapsed() < DRAIN,
        "nobody waits for the proxy to cut: {:?}",
        begun.elapsed()
    );

    let mut again = get(&client).await;
    client.text_of("one_test_tool_with_logging", &json!({})).await;
    let message = again.message().await;
    assert_eq!(
        message["method"], "notifications/message",
        "the session goes on: {message}"
    );
}
