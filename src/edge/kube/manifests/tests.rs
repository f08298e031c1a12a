//! What is installed, looked at as the API server gets it.

use super::*;

fn mk_documents(single: &[&str], gateways: &[&str]) -> Vec<Value> {
    let single: Vec<String> = single.iter().map(|text| (*text).to_owned()).collect();
    let gateways: Vec<GatewayChoice> = gateways.iter().map(|text| text.parse().expect("good")).collect();
    let values = values(&[], &single, &gateways).expect("good values");
    let text = manifests(&values, "home", Definitions::Without).expect("it can be rendered");
    serde_saphyr::from_multiple(&text).expect("it is YAML")
}

fn of_kind<'a>(documents: &'a [Value], kind: &str) -> Vec<&'a Value> {
    documents.iter().filter(|document| document["kind"] == kind).collect()
}

/// Every container of the documents, those of Envoy's patched Deployment included.
fn containers(documents: &[Value]) -> Vec<&Value> {
    let patched = "/spec/provider/kubernetes/envoyDeployment/patch/value/spec/template/spec/initContainers/0";
    let patched = documents.iter().filter_map(|document| document.pointer(patched));
    let own = documents
        .iter()
        .filter_map(|document| document.pointer("/spec/template/spec/containers/0"));
    own.chain(patched).collect()
}

#[test]
fn every_document_is_an_object_with_a_name() {
    for document in mk_documents(&[], &["infra/main", "infra/other=deployment"]) {
        assert!(
            document["apiVersion"].is_string() && document["kind"].is_string(),
            "{document}"
        );
        assert!(document["metadata"]["name"].is_string(), "{document}");
    }
}

#[test]
fn nothing_is_labelled_as_generated_or_the_controller_would_delete_it() {
    let documents = mk_documents(&[], &["infra/main", "infra/other=deployment"]);
    let labelled = |document: &&Value| !document["metadata"]["labels"]["app.kubernetes.io/managed-by"].is_null();
    assert_eq!(documents.iter().find(labelled), None);
}

#[test]
fn containers_run_without_rights_on_a_read_only_root() {
    let documents = mk_documents(&[], &["infra/main", "infra/other=deployment"]);
    let containers = containers(&documents);
    assert_eq!(containers.len(), 3, "controller, processor, sidecar");
    for container in containers {
        let security = &container["securityContext"];
        assert_eq!(security["readOnlyRootFilesystem"], true);
        assert_eq!(security["allowPrivilegeEscalation"], false);
        assert_eq!(security["capabilities"]["drop"][0], "ALL");
        assert!(!container["livenessProbe"].is_null() && !container["resources"]["limits"].is_null());
    }
}

#[test]
fn a_sidecar_never_keeps_its_pod_from_being_ready() {
    let documents = mk_documents(&[], &["infra/main"]);
    let proxies = of_kind(&documents, "EnvoyProxy");
    let pod = &proxies[0]["spec"]["provider"]["kubernetes"]["envoyDeployment"]["patch"]["value"]["spec"]["template"];
    let sidecar = &pod["spec"]["initContainers"][0];
    assert_eq!(sidecar["restartPolicy"], "Always");
    assert!(
        sidecar["readinessProbe"].is_null(),
        "other applications of the Gateway need no processor"
    );
    let certificate = &pod["spec"]["volumes"][2]["secret"];
    assert_eq!(certificate["secretName"], mk_name("infra", "main"));
    assert_eq!(certificate["optional"], true);
}

#[test]
fn what_the_processor_answers_is_authorised_in_either_kind() {
    let documents = mk_documents(&[], &["infra/main", "infra/other=deployment"]);
    let proxies = of_kind(&documents, "EnvoyProxy");
    assert_eq!(proxies.len(), 2);
    for proxy in proxies {
        assert_eq!(proxy["spec"]["filterOrder"][0]["after"], "envoy.filters.http.rbac");
    }
}

#[test]
fn a_deployment_serves_the_ports_that_generated_objects_name() {
    // Cut in the middle, and at a dash.
    let long = [format!("{}x", "other.".repeat(20)), format!("{}-other", "x".repeat(34))];
    for gateway in ["other.one", &long[0], &long[1]] {
        let documents = mk_documents(&[], &[&format!("infra/{gateway}=deployment")]);
        let services = of_kind(&documents, "Service");
        let name = mk_name("infra", gateway);
        let service = services.iter().find(|service| service["metadata"]["name"] == *name);
        let ports = service.unwrap_or_else(|| panic!("{name} in {services:?}"))["spec"]["ports"].as_array();
        let ports: Vec<&Value> = ports.expect("a list").iter().map(|port| &port["port"]).collect();
        assert_eq!(ports, [9002, 9003]);
    }
}

/// As the controller calls it.
fn mk_name(namespace: &str, name: &str) -> String {
    crate::edge::kube::objects::names::processors(&crate::edge::kube::plan::Place {
        namespace: namespace.into(),
        name: name.into(),
    })
}

#[test]
fn chosen_namespaces_are_the_only_ones_with_rights() {
    let documents = mk_documents(&["watchNamespaces=[a, b]"], &[]);
    assert!(of_kind(&documents, "ClusterRole").is_empty() && of_kind(&documents, "ClusterRoleBinding").is_empty());
    let mut spaces: Vec<&str> = of_kind(&documents, "Role")
        .iter()
        .filter_map(|role| role["metadata"]["namespace"].as_str())
        .collect();
    spaces.sort_unstable();
    assert_eq!(spaces, ["a", "b", "envoy-gateway-system", "home"]);
    assert_eq!(of_kind(&mk_documents(&[], &[]), "ClusterRole").len(), 1);
}

#[test]
fn rights_name_what_they_are_for() {
    for role in mk_documents(&[], &[]) {
        let rules = role["rules"].as_array().map(Vec::as_slice).unwrap_or_default();
        for rule in rules {
            assert!(!rule.to_string().contains('*'), "no wildcards: {rule}");
            let verbs = rule["verbs"].to_string();
            let secrets = rule["resources"].to_string().contains("secrets");
            let everywhere = role["kind"] == "ClusterRole";
            assert!(
                !(secrets && everywhere && verbs.contains("create")),
                "Secrets are written at home only"
            );
        }
    }
}

#[test]
fn definitions_come_first_where_they_are_wanted() {
    let values = values(&[], &[], &[]).expect("good values");
    let text = manifests(&values, "home", Definitions::With).expect("it can be rendered");
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).expect("it is YAML");
    assert_eq!(
        of_kind(&documents, "CustomResourceDefinition").len(),
        resources::Kind::ALL.len()
    );
    assert_eq!(documents[0]["kind"], "Namespace");
    assert_eq!(documents[1]["kind"], "CustomResourceDefinition");
}

#[test]
fn the_chart_has_the_programs_version_and_its_definitions() {
    let chart: Value = serde_saphyr::from_str(include_str!("../../../../deploy/chart/Chart.yaml")).expect("YAML");
    assert_eq!(chart["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
    let written = include_str!("../../../../deploy/chart/crds/crds.yaml");
    assert!(
        written == resources::definitions(),
        "run: mcp-manifold render crds > deploy/chart/crds/crds.yaml"
    );
}
