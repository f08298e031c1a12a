//! What only a real API server says, and what becomes of it in conditions.

use super::harness::kubectl::{condition, get, kubectl, kubectl_with};
use super::harness::until;
use super::life::one_server;
use serde_json::json;

/// Nobody makes routes to servers in this namespace.
const REFUSAL: &str = r#"
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: { name: NAMESPACE }
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
      - { apiGroups: [gateway.networking.k8s.io], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [httproutes] }
  validations: [{ expression: "!object.metadata.name.endsWith('.two')", message: two is not served here }]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: { name: NAMESPACE }
spec:
  policyName: NAMESPACE
  validationActions: [Deny]
  matchResources: { namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: NAMESPACE } } }
"#;

const ROUTE: &str = r"
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: any.two, namespace: NAMESPACE }
spec: { hostnames: [any.test] }
";

#[tokio::test]
async fn a_generated_object_that_is_refused_is_told_on_the_registration_and_made_when_it_may_be() {
    let served = one_server("refused").await;
    let name = served.namespace.name.clone();
    served.namespace.apply(REFUSAL).await;
    until("the policy is in force", async || {
        let route = ROUTE.replace("NAMESPACE", &name);
        let said = kubectl_with(&["apply", "--server-side", "--dry-run=server", "-f", "-"], &route).await;
        if said.success {
            Err("not yet".to_owned())
        } else {
            Ok(())
        }
    })
    .await;
    served.server("two", "two_", &["--tools", "1", "--bare"]).await;
    until("the refusal is told", async || {
        let ready = served.ready("two").await;
        let message = ready["message"].as_str().unwrap_or_default();
        let told = ready["reason"] == "ObjectRefused" && message.contains("two is not served here");
        told.then_some(()).ok_or_else(|| ready.to_string())
    })
    .await;
    assert_eq!(
        served.ready("one").await["status"],
        "True",
        "the other one is not harmed"
    );

    kubectl(&["delete", "validatingadmissionpolicybinding", &name]).await;
    served.until_ready_is("two", "True").await;
    kubectl(&["delete", "validatingadmissionpolicy", &name]).await;
}

#[tokio::test]
async fn a_bundle_of_authorities_is_followed_by_its_name() {
    let served = one_server("bundle").await;
    let name = &served.namespace.name;
    let patch = r#"{"spec": {"caCertBundleRef": {"name": "bundle"}}}"#;
    kubectl(&["patch", "mcpge", "extension", "-n", name, "--type=merge", "-p", patch]).await;
    let ready = async |wanted: &str| {
        until(&format!("the extension says {wanted}"), async || {
            let object = get("mcpge", name, "extension").await;
            let ready = condition(&object["status"]["conditions"], "Ready").clone();
            (ready["reason"] == wanted)
                .then_some(())
                .ok_or_else(|| ready.to_string())
        })
        .await;
    };
    ready("SecretNotFound").await;
    let authority = rcgen::generate_simple_self_signed(["authority.test".to_owned()]).expect("a certificate");
    let bundle = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "bundle", "namespace": name},
        "data": {"ca.crt": authority.cert.pem()}
    });
    served.namespace.apply(&bundle.to_string()).await;
    ready("ValidMCPGatewayExtension").await;
    served.delete("configmap", "bundle").await;
    ready("SecretNotFound").await;
}

#[tokio::test]
async fn experimental_fields_of_a_users_rule_are_in_the_generated_route() {
    let served = one_server("fields").await;
    let name = &served.namespace.name;
    let patch = r#"[{"op": "add", "path": "/spec/rules/0/retry", "value": {"attempts": 2, "codes": [503]}}]"#;
    kubectl(&["patch", "httproute", "one", "-n", name, "--type=json", "-p", patch]).await;
    until("the generated route has it", async || {
        let route = get("httproute", name, &format!("mcp-upstream.{name}.one")).await;
        let retry = &route["spec"]["rules"][0]["retry"];
        let kept = *retry == json!({"attempts": 2, "codes": [503]});
        kept.then_some(()).ok_or_else(|| route["spec"].to_string())
    })
    .await;
    assert_eq!(served.ready("one").await["status"], "True");
}
