//! What `render crds` and `render manifests` print, judged by the API server.

use super::harness::kubectl::{Said, get, kubectl, kubectl_with};
use super::harness::namespace::Namespace;
use serde_json::{Value, json};
use tokio::process::Command;

/// What the program prints.
async fn rendered(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_mcp-manifold"))
        .arg("render")
        .args(arguments)
        .output()
        .await
        .expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// Our custom resources, as other tests and the controller have them too.
async fn defined() {
    let applied = kubectl_with(&["apply", "--server-side", "-f", "-"], &rendered(&["crds"]).await).await;
    assert!(applied.success, "{}", applied.err);
    let wait = ["wait", "--for=condition=Established", "--timeout=30s"];
    kubectl(
        &[
            &wait[..],
            &[
                "crd/mcpserverregistrations.mcp.kuadrant.io",
                "crd/backends.gateway.kgateway.dev",
            ],
        ]
        .concat(),
    )
    .await;
}

/// What the API server says of documents that it does not keep. Unknown fields are errors.
async fn judged(documents: &str) -> Said {
    let arguments = [
        "apply",
        "--server-side",
        "--dry-run=server",
        "--validate=strict",
        "-f",
        "-",
    ];
    kubectl_with(&arguments, documents).await
}

async fn accepted(documents: &str) {
    let said = judged(documents).await;
    assert!(said.success, "{}\n{documents}", said.err);
    assert!(!said.err.contains("Warning"), "{}\n{documents}", said.err);
}

fn mk_object(namespace: &Namespace, version: &str, kind: &str, spec: &str) -> String {
    let name = &namespace.name;
    format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: a, namespace: {name}}}\nspec: {spec}\n")
}

#[tokio::test]
async fn the_definitions_are_accepted_and_explain_mistakes() {
    defined().await;
    let namespace = Namespace::new("definitions").await;
    let registration = "MCPServerRegistration";
    let mistakes = [
        (
            registration,
            "{targetRef: {name: r}, prefix: My-}",
            "must start with a lower-case letter",
        ),
        (
            registration,
            "{targetRef: {name: r}, prefix: a_, toolPrefix: b_}",
            "must not differ",
        ),
        (
            registration,
            "{targetRef: {name: r}, userSpecificList: Enabled}",
            "userSpecificList needs a prefix",
        ),
        (registration, "{targetRef: {name: r}, path: mcp}", "must start with /"),
        (
            registration,
            "{targetRef: {name: r, kind: Service}}",
            "supported values: \"HTTPRoute\"",
        ),
        (registration, "{tagetRef: {name: r}}", "tagetRef"),
        (
            "MCPGatewayExtension",
            "{targetRef: {name: g}}",
            "sectionName: Required value",
        ),
        ("MCPVirtualServer", "{tools: []}", "should have at least 1 items"),
    ];
    for (kind, spec, explained) in mistakes {
        let said = judged(&mk_object(&namespace, "mcp.kuadrant.io/v1", kind, spec)).await;
        assert!(
            !said.success && said.err.contains(explained),
            "{kind} {spec}: {}",
            said.err
        );
    }
    let mistakes = [
        ("[{name: a}]", "either a selector or static"),
        ("[{name: a, static: {port: 1}}]", "either a host or a backendRef"),
        ("[{name: a, static: {host: h}}]", "port: Required value"),
        ("[{name: a, selector: {}}]", "at least 1 properties"),
        ("[]", "at least 1 items"),
    ];
    for (targets, explained) in mistakes {
        for (version, kind) in [
            ("agentgateway.dev/v1alpha1", "AgentgatewayBackend"),
            ("gateway.kgateway.dev/v1alpha1", "Backend"),
        ] {
            let spec = format!("{{mcp: {{targets: {targets}}}}}");
            let said = judged(&mk_object(&namespace, version, kind, &spec)).await;
            assert!(
                !said.success && said.err.contains(explained),
                "{kind} {targets}: {}",
                said.err
            );
        }
    }
}

#[tokio::test]
async fn a_registration_is_the_same_in_both_versions_and_keeps_its_prefix() {
    defined().await;
    let namespace = Namespace::new("versions").await;
    let older = mk_object(
        &namespace,
        "mcp.kuadrant.io/v1alpha1",
        "MCPServerRegistration",
        "{targetRef: {name: r}, toolPrefix: a_}",
    );
    let applied = kubectl_with(&["apply", "-f", "-"], &older).await;
    assert!(applied.success, "{}", applied.err);
    let object = get("mcpsr.v1.mcp.kuadrant.io", &namespace.name, "a").await;
    assert_eq!(object["spec"]["toolPrefix"], "a_");
    assert_eq!(object["spec"]["path"], "/mcp");
    let changed = kubectl_with(&["apply", "-f", "-"], &older.replace("a_", "b_")).await;
    assert!(changed.err.contains("cannot be changed"), "{}", changed.err);
}

#[tokio::test]
async fn what_is_not_ours_in_a_backend_is_kept() {
    defined().await;
    let namespace = Namespace::new("others").await;
    let spec = "{type: AWS, aws: {region: x, lambda: {functionName: f}}}";
    let object = mk_object(&namespace, "gateway.kgateway.dev/v1alpha1", "Backend", spec);
    let applied = kubectl_with(&["apply", "-f", "-"], &object).await;
    assert!(applied.success, "{}", applied.err);
    let object = get("backends.gateway.kgateway.dev", &namespace.name, "a").await;
    assert_eq!(
        object["spec"],
        json!({"type": "AWS", "aws": {"region": "x", "lambda": {"functionName": "f"}}})
    );
}

#[tokio::test]
async fn every_manifest_fits_the_api_servers_schema_and_the_strictest_pod_security() {
    let namespace = Namespace::new("manifests").await;
    let home = namespace.name.as_str();
    let strict = "pod-security.kubernetes.io/warn=restricted";
    kubectl(&["label", "namespace", home, strict]).await;
    let sidecar = format!("{home}/main");
    let deployment = format!("{home}/other=deployment");
    let namespaces = format!("watchNamespaces=[{home}]");
    let choices: [&[&str]; 4] = [
        &[],
        &["--gateway", &sidecar, "--gateway", &deployment],
        &["--set", &namespaces],
        &[
            "--set",
            "networkPolicy.enabled=false",
            "--set",
            "image.pullSecrets=[{name: registry}]",
            "--gateway",
            &sidecar,
        ],
    ];
    for choice in choices {
        let arguments = [&["manifests", "--no-crds", "--namespace", home], choice].concat();
        accepted(&rendered(&arguments).await).await;
    }
}

/// Envoy Gateway merges the patch into its own Deployment unseen by the API server's validation of the EnvoyProxy.
#[tokio::test]
async fn the_sidecar_fits_the_schema_of_a_pod() {
    let namespace = Namespace::new("sidecar").await;
    let home = namespace.name.as_str();
    kubectl(&["label", "namespace", home, "pod-security.kubernetes.io/warn=restricted"]).await;
    let gateway = format!("{home}/main");
    let text = rendered(&["manifests", "--no-crds", "--namespace", home, "--gateway", &gateway]).await;
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).expect("YAML");
    let proxy = documents
        .iter()
        .find(|document| document["kind"] == "EnvoyProxy")
        .expect("there is one");
    let mut spec = proxy["spec"]["provider"]["kubernetes"]["envoyDeployment"]["patch"]["value"]["spec"].clone();
    spec["selector"] = json!({"matchLabels": {"app": "envoy"}});
    spec["template"]["metadata"] = json!({"labels": {"app": "envoy"}});
    // As Envoy Gateway makes it.
    let secured = spec["template"]["spec"]["initContainers"][0]["securityContext"].clone();
    let envoy = &mut spec["template"]["spec"]["containers"][0];
    envoy["image"] = json!("envoy");
    envoy["securityContext"] = secured;
    let metadata = json!({"name": "envoy", "namespace": home});
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec});
    accepted(&deployment.to_string()).await;
}
