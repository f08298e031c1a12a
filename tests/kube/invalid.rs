//! Objects that cannot be served: each says why, and what mends it.

use super::harness::kubectl::{condition, get};
use super::harness::until;
use super::life::one_server;

/// Registrations that lead nowhere, and what they show.
const REFUSED: [(&str, &str, &str); 7] = [
    (
        "no-route",
        "{ targetRef: { name: nowhere }, prefix: a_ }",
        "RouteNotFound",
    ),
    (
        "no-grant",
        "{ targetRef: { name: one, namespace: default }, prefix: b_ }",
        "ReferenceGrantRequired",
    ),
    (
        "no-service",
        "{ targetRef: { name: no-service }, prefix: c_ }",
        "BackendNotFound",
    ),
    (
        "no-host",
        "{ targetRef: { name: no-host }, prefix: d_ }",
        "RouteInvalid",
    ),
    (
        "no-secret",
        "{ targetRef: { name: one }, prefix: e_, credentialRef: { name: nothing } }",
        "SecretNotFound",
    ),
    (
        "same-prefix",
        "{ targetRef: { name: one }, prefix: one_ }",
        "PrefixConflict",
    ),
    (
        "switched-off",
        "{ targetRef: { name: one }, prefix: g_, state: Disabled }",
        "Disabled",
    ),
];

const ROUTES: &str = r"
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: no-service, namespace: NAMESPACE }
spec:
  parentRefs: [{ name: gateway }]
  hostnames: [no-service.mcp.local]
  rules: [{ backendRefs: [{ name: nothing, port: 80 }] }]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: no-host, namespace: NAMESPACE }
spec:
  parentRefs: [{ name: gateway }]
  rules: [{ matches: [{ path: { value: /no-host } }], backendRefs: [{ name: one, port: 9090 }] }]
";

#[tokio::test]
async fn what_cannot_be_served_says_why_and_harms_nobody_else() {
    let served = one_server("invalid").await;
    served.namespace.apply(ROUTES).await;
    for (name, spec, _) in REFUSED {
        let object = format!(
            "apiVersion: mcp.kuadrant.io/v1\nkind: MCPServerRegistration\n\
             metadata: {{ name: {name}, namespace: NAMESPACE }}\nspec: {spec}\n"
        );
        served.namespace.apply(&object).await;
    }
    for (name, _, reason) in REFUSED {
        until(&format!("{name} says {reason}"), async || {
            let object = get("mcpsr", &served.namespace.name, name).await;
            let ready = condition(&object["status"]["conditions"], "Ready").clone();
            let told = ready["status"] == "False" && ready["reason"] == reason;
            let explained = ready["message"].as_str().is_some_and(|text| text.len() > 20);
            if told && explained {
                Ok(())
            } else {
                Err(ready.to_string())
            }
        })
        .await;
    }
    assert_eq!(served.ready("one").await["status"], "True");
    assert_eq!(served.client().await.tools().await.len(), 2);
}
