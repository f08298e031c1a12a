//! kubectl, as people use it.

use serde_json::Value;
use std::process::Stdio;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// What a command said.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) success: bool,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs kubectl with this standard input.
pub(crate) async fn kubectl_with(arguments: &[&str], input: &str) -> Said {
    let mut child = Command::new("kubectl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("kubectl is in PATH: run `make test-kube`");
    let mut stdin = child.stdin.take().expect("piped above");
    let write = async {
        let _closed = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
    };
    let ((), output) = tokio::join!(write, child.wait_with_output());
    let output = output.expect("kubectl runs");
    Said {
        success: output.status.success(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs kubectl; its standard output. Panics where it fails.
pub(crate) async fn kubectl(arguments: &[&str]) -> String {
    let said = kubectl_with(arguments, "").await;
    assert!(said.success, "kubectl {arguments:?}: {}", said.err);
    said.out
}

/// Applies YAML documents, server-side. Panics where that fails.
pub(crate) async fn apply(yaml: &str) {
    let said = kubectl_with(&["apply", "--server-side", "--force-conflicts", "-f", "-"], yaml).await;
    assert!(said.success, "kubectl apply: {}\n{yaml}", said.err);
}

/// One object; `null` where it does not exist.
pub(crate) async fn get(kind: &str, namespace: &str, name: &str) -> Value {
    let arguments = ["get", kind, name, "-n", namespace, "-o", "json", "--ignore-not-found"];
    let text = kubectl(&arguments).await;
    serde_json::from_str(&text).unwrap_or(Value::Null)
}

/// The condition of this type among `conditions`; `null` where it is missing.
pub(crate) fn condition<'a>(conditions: &'a Value, kind: &str) -> &'a Value {
    let mut all = conditions.as_array().into_iter().flatten();
    all.find(|condition| condition["type"] == kind).unwrap_or(&Value::Null)
}
