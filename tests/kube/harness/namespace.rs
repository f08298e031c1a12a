//! A Kubernetes namespace for one test, and servers that run in it.

use super::kubectl::{apply, kubectl};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// Deleted, not awaited, when dropped.
pub(crate) struct Namespace {
    pub(crate) name: String,
}

impl Namespace {
    /// A fresh one, its name begins with `what`.
    pub(crate) async fn new(what: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{what}-{}-{number}", std::process::id());
        kubectl(&["create", "namespace", &name]).await;
        Self { name }
    }

    /// Applies documents; `NAMESPACE` in them stands for this one's name.
    pub(crate) async fn apply(&self, yaml: &str) {
        apply(&yaml.replace("NAMESPACE", &self.name)).await;
    }

    /// Runs the fixture server (`tests/upstreams`) with these arguments as Deployment and Service of that name, port
    /// 9090, and waits until it is ready.
    pub(crate) async fn fixture(&self, name: &str, arguments: &[&str]) {
        self.apply(&fixture(name, arguments, 1)).await;
        self.rolled_out(name).await;
    }

    /// Waits until a Deployment is as its newest description wants it.
    pub(crate) async fn rolled_out(&self, deployment: &str) {
        let name = format!("deployment/{deployment}");
        kubectl(&["rollout", "status", &name, "-n", &self.name, "--timeout=60s"]).await;
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _gone = Command::new("kubectl")
            .args(["delete", "namespace", &self.name, "--wait=false"])
            .output();
    }
}

/// Deployment and Service of a fixture server.
pub(crate) fn fixture(name: &str, arguments: &[&str], replicas: u32) -> String {
    let more: String = arguments.iter().map(|argument| format!(", '{argument}'")).collect();
    format!(
        r"
apiVersion: apps/v1
kind: Deployment
metadata: {{ name: {name}, namespace: NAMESPACE, labels: {{ app: {name} }} }}
spec:
  replicas: {replicas}
  selector: {{ matchLabels: {{ app: {name} }} }}
  template:
    metadata: {{ labels: {{ app: {name} }} }}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: server
          image: mcp-manifold/upstream:test
          args: [--host, 0.0.0.0, --port, '9090'{more}]
          ports: [{{ containerPort: 9090 }}]
          readinessProbe: {{ tcpSocket: {{ port: 9090 }} }}
---
apiVersion: v1
kind: Service
metadata: {{ name: {name}, namespace: NAMESPACE, labels: {{ app: {name} }} }}
spec:
  selector: {{ app: {name} }}
  ports: [{{ name: mcp, port: 9090, targetPort: 9090 }}]
"
    )
}
