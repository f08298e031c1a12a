//! The chart as Helm itself reads it: lint, and the same manifests as `render manifests` prints without Helm.

use super::harness::install::rendered;
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::Command;

const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/chart");
const HOME: &str = "mcp-manifold-system";

/// What may be chosen, as files of values: both programs take them with `--values`.
const CHOICES: [&str; 5] = [
    "{}",
    "gateways: [{namespace: team, name: edge}]",
    "gateways: [{namespace: team, name: edge.example, processor: deployment, replicas: 2, serviceType: ClusterIP}]",
    "{watchNamespaces: [one, two], proxyNamespace: proxies}",
    "{networkPolicy: {enabled: false}, image: {tag: 1.2.3, pullSecrets: [{name: registry}]},
      controller: {replicas: 1, logLevel: debug, nodeSelector: {disk: fast}}, gateways: [{namespace: a, name: b}]}",
];

fn helm(arguments: &[&str]) -> String {
    let home = tempfile::tempdir().expect("a folder");
    let folders = ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"].map(|name| (name, home.path()));
    let output = Command::new("helm").args(arguments).envs(folders).output();
    let output = output.expect("helm is in PATH: run `make test-kube`");
    let (out, errors) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "helm {arguments:?}: {out}{errors}");
    out.into_owned()
}

/// Runs with the path of each choice.
fn for_each_choice(test: impl Fn(&str)) {
    let folder = tempfile::tempdir().expect("a folder");
    for (number, choice) in CHOICES.iter().enumerate() {
        let file = folder.path().join(format!("{number}.yaml"));
        std::fs::write(&file, choice).expect("a file");
        test(file.to_str().expect("text"));
    }
}

/// Documents by kind, namespace and name. The namespace itself is made by `helm install --create-namespace`.
fn documents(text: &str) -> BTreeMap<String, Value> {
    let all: Vec<Value> = serde_saphyr::from_multiple(text).expect("YAML");
    let full = all
        .into_iter()
        .filter(|document| !document.is_null() && document["kind"] != "Namespace");
    let named = full.map(|document| {
        let metadata = &document["metadata"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let name = [&document["kind"], &metadata["namespace"], &metadata["name"]]
            .map(text)
            .join("/");
        (name, document)
    });
    named.collect()
}

#[test]
fn helm_has_nothing_against_the_chart() {
    for_each_choice(|values| {
        let said = helm(&["lint", "--strict", CHART, "--namespace", HOME, "--values", values]);
        assert!(said.contains("0 chart(s) failed"), "{said}");
        assert!(!said.contains("[WARNING]") && !said.contains("[ERROR]"), "{said}");
    });
}

#[test]
fn helm_and_render_make_the_same_manifests_of_the_chart() {
    for_each_choice(|values| {
        let theirs = helm(&[
            "template",
            "mcp-manifold",
            CHART,
            "--namespace",
            HOME,
            "--values",
            values,
        ]);
        let theirs = documents(&theirs);
        let ours = documents(&rendered(&[
            "manifests",
            "--no-crds",
            "--namespace",
            HOME,
            "--values",
            values,
        ]));
        assert!(theirs.len() > 5, "{:?}", theirs.keys());
        let [names, our_names] = [&theirs, &ours].map(|all| all.keys().collect::<Vec<_>>());
        assert_eq!(names, our_names, "{values}");
        for (name, document) in &theirs {
            assert_eq!(Some(document), ours.get(name), "{values}: {name}");
        }
    });
}

#[test]
fn helm_installs_the_definitions_that_render_prints() {
    let arguments = ["template", "mcp-manifold", CHART, "--namespace", HOME, "--include-crds"];
    let theirs = documents(&helm(&arguments));
    let ours = documents(&rendered(&["crds"]));
    assert!(!ours.is_empty());
    for (name, ours) in &ours {
        assert_eq!(theirs.get(name), Some(ours), "{name}");
    }
}
