//! What the controller made is edited or deleted by others, is not wanted any more, or holds an old credential.

use super::harness::kubectl::{get, kubectl};
use super::harness::until;
use super::life::one_server;
use serde_json::json;

const OURS: &str = "app.kubernetes.io/managed-by=mcp-manifold";

/// The uids of what was generated of a kind.
async fn uids(kind: &str, namespace: &str) -> String {
    let only = "jsonpath={.items[*].metadata.uid}";
    kubectl(&["get", kind, "-n", namespace, "-l", OURS, "-o", only]).await
}

#[tokio::test]
async fn what_others_edit_or_delete_is_mended_and_what_they_add_stays() {
    let served = one_server("mended").await;
    let client = served.client().await;
    let namespace = &served.namespace.name;
    let route = format!("mcp-upstream.{namespace}.one");
    kubectl(&["annotate", "httproute", &route, "-n", namespace, "theirs/note=kept"]).await;
    let edit = r#"[{"op":"replace","path":"/spec/rules/0/matches/0/path/value","value":"/theirs"}]"#;
    kubectl(&["patch", "httproute", &route, "-n", namespace, "--type=json", "-p", edit]).await;
    let mended = until("the route is as it was", async || {
        let found = get("httproute", namespace, &route).await;
        let path = &found["spec"]["rules"][0]["matches"][0]["path"]["value"];
        if *path == "/mcp" {
            Ok(found)
        } else {
            Err(path.to_string())
        }
    })
    .await;
    assert_eq!(mended["metadata"]["annotations"]["theirs/note"], "kept", "{mended}");
    for kind in ["backendtrafficpolicies", "referencegrants"] {
        let before = uids(kind, namespace).await;
        assert!(!before.is_empty(), "there are {kind}");
        kubectl(&["delete", kind, "-n", namespace, "-l", OURS]).await;
        until(&format!("{kind} are made again"), async || {
            let now = uids(kind, namespace).await;
            let made = now.split(' ').count() == before.split(' ').count() && now != before;
            if made { Ok(()) } else { Err(now) }
        })
        .await;
    }
    assert!(!client.text_of("one_generated_0", &json!({})).await.is_empty());
}

#[tokio::test]
async fn what_is_not_wanted_any_more_is_deleted_and_nothing_of_the_users() {
    let served = one_server("unwanted").await;
    let namespace = &served.namespace.name;
    served.delete("mcpge", "extension").await;
    until("nothing generated is left", async || {
        let label = format!("mcp-manifold/gateway={namespace}.gateway");
        let kinds =
            "httproutes,backends.gateway.envoyproxy.io,envoyextensionpolicies,backendtrafficpolicies,referencegrants";
        let left = kubectl(&["get", kinds, "-A", "-l", &label, "-o", "name"]).await;
        if left.trim().is_empty() { Ok(()) } else { Err(left) }
    })
    .await;
    let theirs = get("httproute", namespace, "one").await;
    assert_eq!(
        theirs["spec"]["hostnames"][0], "one.mcp.local",
        "the user's route stays"
    );
}

/// The Secret of a server, with this token.
fn credential(token: &str) -> String {
    format!(
        "
apiVersion: v1
kind: Secret
metadata: {{ name: credential, namespace: NAMESPACE, labels: {{ mcp.kuadrant.io/secret: 'true' }} }}
stringData: {{ token: 'Bearer {token}' }}
"
    )
}

#[tokio::test]
async fn a_credential_that_is_replaced_is_used_at_once() {
    let served = one_server("credential").await;
    let namespace = &served.namespace;
    namespace.apply(&credential("first")).await;
    let server = |token| ["--bare", "--tools", "1", "--token", token];
    served.server("two", "two_", &server("first")).await;
    let names_it = r#"{"spec":{"credentialRef":{"name":"credential"}}}"#;
    let patch = ["patch", "mcpsr", "two", "-n", &namespace.name, "--type=merge", "-p"];
    kubectl(&[&patch[..], &[names_it]].concat()).await;
    served.until_ready_is("two", "True").await;

    namespace.fixture("two", &server("second")).await;
    namespace.apply(&credential("second")).await;
    let client = served.client().await;
    until("the new token is used", async || {
        let message = client.call("two_generated_0", &json!({})).await;
        match message["result"]["content"][0]["text"].is_string() {
            true => Ok(()),
            false => Err(message.to_string()),
        }
    })
    .await;
    served.until_ready_is("two", "True").await;
}
