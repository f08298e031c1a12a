//! Our own controller and processors in the cluster, as `render manifests` puts them there.

use super::kubectl::{apply, kubectl, kubectl_with};
use crate::e2e::tools;
use std::process::Command;
use tokio::sync::OnceCell;

/// Where the controller runs.
pub(crate) const NAMESPACE: &str = "mcp-manifold-system";

/// Where the processors of a Gateway run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Processor {
    Sidecar,
    Deployment,
}

/// Definitions and controller, once for all tests.
pub(crate) async fn controller() {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    INSTALLED
        .get_or_init(async || {
            let _there = kubectl_with(&["create", "namespace", NAMESPACE], "").await;
            let definitions = rendered(&["crds"]);
            apply(&definitions).await;
            kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"]).await;
            apply(&rendered(&["manifests", "--no-crds", "--namespace", NAMESPACE])).await;
            rolled_out("mcp-manifold-controller").await;
        })
        .await;
}

/// Controller, and what a Gateway needs to have processors: an `EnvoyProxy` `mcp-manifold-<name>` beside it, which the
/// Gateway names.
pub(crate) async fn processors(namespace: &str, gateway: &str, processor: Processor) {
    controller().await;
    let how = match processor {
        Processor::Sidecar => "sidecar",
        Processor::Deployment => "deployment",
    };
    let choice = format!("{namespace}/{gateway}={how}");
    let all = rendered(&["manifests", "--no-crds", "--namespace", NAMESPACE, "--gateway", &choice]);
    let own: Vec<&str> = all
        .split("\n---\n")
        .filter(|document| document.contains("app.kubernetes.io/component: processor"))
        .filter(|document| document.contains(gateway))
        .collect();
    assert!(!own.is_empty(), "{choice} is rendered: {all}");
    apply(&own.join("\n---\n")).await;
}

/// What `render` prints.
pub(crate) fn rendered(arguments: &[&str]) -> String {
    let output = Command::new(tools::gateway()).arg("render").args(arguments).output();
    let output = output.expect("the program runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "render {arguments:?}: {errors}");
    String::from_utf8(output.stdout).expect("it is text")
}

/// Waits until one of our own Deployments is as it should be.
pub(crate) async fn rolled_out(deployment: &str) {
    let name = format!("deployment/{deployment}");
    kubectl(&["rollout", "status", &name, "-n", NAMESPACE, "--timeout=90s"]).await;
}
