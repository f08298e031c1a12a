//! A processor whose controller is gone: that disturbs other tests, so it is run alone.

use super::harness::install::NAMESPACE;
use super::harness::kubectl::kubectl;
use super::harness::until;
use super::processor::Served;
use crate::e2e::harness::program::signal;

pub(crate) async fn controllers(replicas: u32) {
    let replicas = format!("--replicas={replicas}");
    let deployment = "deployment/mcp-manifold-controller";
    kubectl(&["scale", deployment, &replicas, "-n", NAMESPACE]).await;
    kubectl(&["rollout", "status", deployment, "-n", NAMESPACE, "--timeout=90s"]).await;
}

#[tokio::test]
async fn a_processor_serves_without_its_controller_and_after_its_own_restart() {
    let served = Served::new("alone").await;
    served.calls_one().await;

    controllers(0).await;
    served.calls_one().await;

    let before = served.processors();
    assert_eq!(before.len(), 1, "one Envoy pod has one processor: {before:?}");
    before.iter().for_each(|id| signal(*id, "KILL"));
    until("the processor is started again", async || {
        let now = served.processors();
        let is_new = !now.is_empty() && now.iter().all(|id| !before.contains(id));
        is_new.then_some(()).ok_or_else(|| format!("{now:?}"))
    })
    .await;
    assert!(
        served.tools().await.contains(&"one_test_simple_text".to_owned()),
        "the session goes on"
    );
    served.calls_one().await;

    served.namespace.fixture("two", &["--bare", "--tools", "1"]).await;
    controllers(2).await;
    served.register("two").await;
    assert!(
        served.tools().await.contains(&"two_generated_0".to_owned()),
        "a controller is followed again"
    );
}
