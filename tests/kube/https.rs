//! A Gateway with an HTTPS listener: routes are probed there too, and clients come in.

use super::harness::gateway::programmed;
use super::harness::install::Processor;
use super::harness::kubectl::{condition, get};
use super::harness::namespace::Namespace;
use super::harness::served::Served;
use super::harness::until;
use serde_json::{Value, json};
use tokio::process::Command;

const HOST: &str = "mcp.https.test";
const LISTENERS: &str = "{ name: mcp, hostname: mcp.https.test, port: 443, protocol: HTTPS, \
                         tls: { certificateRefs: [{ name: certificate }] } }, \
                         { name: mcps, hostname: '*.mcp.local', port: 443, protocol: HTTPS, \
                         tls: { certificateRefs: [{ name: certificate }] } }";

#[tokio::test]
async fn a_server_behind_an_https_listener_is_verified_and_served() {
    let namespace = Namespace::new("https").await;
    let names = [HOST.to_owned(), "*.mcp.local".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {"name": "certificate", "namespace": namespace.name},
        "stringData": {"tls.crt": made.cert.pem(), "tls.key": made.signing_key.serialize_pem()}
    });
    namespace.apply(&secret.to_string()).await;
    let served = Served::with(namespace, Processor::Sidecar, LISTENERS, "").await;
    served.server("one", "one_", &["--tools", "2", "--bare"]).await;
    served.until_ready_is("one", "True").await;
    let object = get("mcpsr", &served.namespace.name, "one").await;
    let conditions = &object["status"]["conditions"];
    assert_eq!(
        *condition(conditions, "RouteUnverified"),
        Value::Null,
        "the probes got through: {conditions}"
    );
    let extension = get("mcpge", &served.namespace.name, "extension").await;
    assert_eq!(extension["status"]["mcpEndpoint"], format!("https://{HOST}/mcp"));
    let address = programmed(&served.namespace.name, "gateway", 443).await;
    until("a client comes in", async || {
        let resolve = format!("{HOST}:443:{}", address.ip());
        let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
        let arguments = ["-sk", "--resolve", &resolve, "-H", "content-type: application/json"];
        let more = ["-H", "accept: application/json, text/event-stream", "-d", body];
        let url = format!("https://{HOST}/mcp");
        let output = Command::new("curl").args(arguments).args(more).arg(&url).output().await;
        let text = String::from_utf8_lossy(&output.expect("curl runs").stdout).into_owned();
        text.contains("one_generated_1").then_some(()).ok_or(text)
    })
    .await;
}
