//! What the types read, and that the definitions and the types agree.

use super::*;
use serde_json::{Value, json};

fn mk_definition(kind: Kind) -> Value {
    serde_saphyr::from_str(&definition(kind)).expect("it is YAML")
}

fn mk_registration(spec: &Value) -> Registration {
    let object = json!({
        "apiVersion": "mcp.kuadrant.io/v1alpha1", "kind": "MCPServerRegistration",
        "metadata": {"name": "a", "namespace": "b"}, "spec": spec,
    });
    serde_json::from_value(object).expect("it can be read")
}

fn mk_backend(mcp: &Value) -> Backend {
    let object = json!({
        "apiVersion": "gateway.kgateway.dev/v1alpha1", "kind": "Backend", "metadata": {}, "spec": {"mcp": mcp},
    });
    serde_json::from_value(object).expect("it can be read")
}

/// Property names below `spec` or `status` of the first version.
fn properties(kind: Kind, part: &str) -> Vec<String> {
    let definition = mk_definition(kind);
    let pointer = format!("/spec/versions/0/schema/openAPIV3Schema/properties/{part}/properties");
    let properties = definition
        .pointer(&pointer)
        .and_then(Value::as_object)
        .expect("there are some");
    properties.keys().cloned().collect()
}

#[test]
fn a_definition_says_what_its_kind_says() {
    for kind in Kind::ALL {
        let definition = mk_definition(kind);
        assert_eq!(
            definition["metadata"]["name"],
            format!("{}.{}", kind.plural(), kind.group())
        );
        assert_eq!(definition["spec"]["group"], kind.group());
        assert_eq!(definition["spec"]["names"]["kind"], kind.kind());
        assert_eq!(definition["spec"]["names"]["plural"], kind.plural());
        assert_eq!(definition["spec"]["names"]["singular"], kind.kind().to_lowercase());
        let versions = definition["spec"]["versions"].as_array().expect("a list");
        let names: Vec<&str> = versions.iter().filter_map(|version| version["name"].as_str()).collect();
        assert_eq!(names, kind.versions());
        let stored: Vec<bool> = versions
            .iter()
            .filter_map(|version| version["storage"].as_bool())
            .collect();
        assert_eq!(
            stored.iter().filter(|stored| **stored).count(),
            1,
            "{kind:?} is stored in one version"
        );
    }
}

#[test]
fn versions_of_a_kind_differ_in_nothing_else() {
    for kind in Kind::ALL {
        let definition = mk_definition(kind);
        let versions = definition["spec"]["versions"].as_array().expect("a list");
        let schemas: Vec<&Value> = versions.iter().map(|version| &version["schema"]).collect();
        assert!(
            schemas.windows(2).all(|pair| pair[0] == pair[1]),
            "{kind:?} needs no conversion"
        );
    }
}

#[test]
fn no_hole_is_left_open() {
    assert!(!definitions().contains("${"));
}

#[test]
fn mcpsr_prints_the_columns_of_the_guide() {
    let definition = mk_definition(Kind::Registration);
    for version in definition["spec"]["versions"].as_array().expect("a list") {
        let columns = version["additionalPrinterColumns"].as_array().expect("a list");
        let names: Vec<&str> = columns.iter().filter_map(|column| column["name"].as_str()).collect();
        assert_eq!(
            names,
            ["Prefix", "Target", "Path", "Ready", "Tools", "Credentials", "Age"]
        );
    }
}

#[test]
fn a_registration_reads_every_field_that_is_defined() {
    let spec = json!({
        "targetRef": {"group": "g", "kind": "k", "name": "n", "namespace": "m"},
        "prefix": "p_", "toolPrefix": "p_", "path": "/x", "state": "Disabled",
        "credentialRef": {"name": "s", "key": "k"}, "caCertSecretRef": {"name": "s", "key": "k"},
        "tokenURLElicitation": {"url": "https://x"}, "userSpecificList": "Enabled", "category": ["c"], "hint": "h",
        "tags": ["t"], "supportedProtocolVersions": ["v"],
    });
    let registration = mk_registration(&spec);
    assert_eq!(
        serde_json::to_value(&registration.spec).expect("JSON"),
        spec,
        "nothing is dropped"
    );
    let mut given: Vec<String> = spec.as_object().expect("an object").keys().cloned().collect();
    let mut defined = properties(Kind::Registration, "spec");
    given.sort();
    defined.sort();
    assert_eq!(given, defined);
}

#[test]
fn an_extension_reads_every_field_that_is_defined() {
    let spec = json!({
        "targetRef": {"group": "g", "kind": "k", "name": "n", "namespace": "m", "sectionName": "s"},
        "publicHost": "a", "privateHost": "b", "backendPingIntervalSeconds": 10,
        "trustedHeadersKey": {"secretName": "s", "generate": "Enabled"}, "httpRouteManagement": "Disabled",
        "logLevel": "debug", "sessionStore": {"secretName": "s"}, "urlElicitation": "Enabled",
        "oauthProtectedResource": {
            "authorizationServers": ["https://x"], "resourceName": "r", "resource": "u",
            "bearerMethodsSupported": ["header"], "scopesSupported": ["basic"],
        },
        "caCertBundleRef": {"name": "s", "key": "k"}, "maxBodyBytes": 1,
    });
    let read: ExtensionSpec = serde_json::from_value(spec.clone()).expect("it can be read");
    assert_eq!(serde_json::to_value(&read).expect("JSON"), spec, "nothing is dropped");
    let mut given: Vec<String> = spec.as_object().expect("an object").keys().cloned().collect();
    let mut defined = properties(Kind::Extension, "spec");
    given.sort();
    defined.sort();
    assert_eq!(given, defined);
    assert!(!read.manages_route());
}

#[test]
fn what_a_status_says_is_defined_or_the_api_server_would_drop_it() {
    let registration = RegistrationStatus {
        prefix: Some("p_".to_owned()),
        path: Some("/mcp".to_owned()),
        discovered_tools: Some(1),
        discovered_prompts: Some(2),
        discovered_resources: Some(3),
        protocol_version: Some("2025-11-25".to_owned()),
        conditions: Vec::new(),
    };
    let extension = ExtensionStatus {
        mcp_endpoint: Some("http://x/mcp".to_owned()),
        servers: Some(2),
        ready_servers: Some(1),
        conditions: Vec::new(),
    };
    let backend = BackendStatus {
        servers: Some(2),
        ready_servers: Some(1),
        discovered_tools: Some(3),
        conditions: Vec::new(),
    };
    let said = [
        (Kind::Registration, serde_json::to_value(registration)),
        (Kind::Extension, serde_json::to_value(extension)),
        (Kind::AgentgatewayBackend, serde_json::to_value(&backend)),
        (Kind::KgatewayBackend, serde_json::to_value(&backend)),
    ];
    for (kind, said) in said {
        let mut said: Vec<String> = said
            .expect("JSON")
            .as_object()
            .expect("an object")
            .keys()
            .cloned()
            .collect();
        said.push("conditions".to_owned());
        let mut defined = properties(kind, "status");
        said.sort();
        defined.sort();
        assert_eq!(said, defined, "{kind:?}");
    }
}

#[test]
fn either_name_gives_the_prefix() {
    let target = json!({"name": "r"});
    let of = |spec: Value| mk_registration(&spec).spec.effective_prefix().to_owned();
    assert_eq!(of(json!({"targetRef": target, "toolPrefix": "a_"})), "a_");
    assert_eq!(of(json!({"targetRef": target, "prefix": "b_"})), "b_");
    assert_eq!(of(json!({"targetRef": target})), "");
}

#[test]
fn what_is_set_without_effect_is_named() {
    let registration = mk_registration(&json!({
        "targetRef": {"name": "r"}, "userSpecificList": "Disabled", "category": ["uncategorised"], "hint": "h",
    }));
    assert_eq!(
        registration.spec.ignored(),
        ["hint"],
        "defaults of the originals are no wishes"
    );
    let backend = mk_backend(&json!({
        "failureMode": "FailClosed", "sessionIdleTtl": "1h",
        "targets": [{"name": "t", "static": {"host": "h", "port": 1, "policies": {}}}],
    }));
    let ignored = [
        "mcp.sessionIdleTtl",
        "mcp.failureMode",
        "mcp.targets[t].static.policies",
    ];
    assert_eq!(backend.spec.ignored(), ignored);
}

#[test]
fn values_of_later_versions_do_not_make_an_object_unreadable() {
    assert!(
        mk_registration(&json!({"targetRef": {"name": "r"}, "state": "Draining"}))
            .spec
            .enabled()
    );
    let backend = mk_backend(&json!({"prefixMode": "Sometimes", "targets": [{"name": "t", "later": {"a": 1}}]}));
    assert_eq!(
        backend.spec.mcp.expect("it is there").prefix_mode,
        Some(PrefixMode::Other)
    );
}

#[test]
fn both_groups_of_backends_are_one_type() {
    let backend = mk_backend(&json!({
        "targets": [{"name": "t", "selector": {"services": {"matchLabels": {"app": "x"}}}}],
    }));
    assert_eq!(backend.group(), Some("gateway.kgateway.dev"));
    let mcp = backend.spec.mcp.expect("it is there");
    assert!(
        mcp.targets[0]
            .selector
            .as_ref()
            .is_some_and(|selector| selector.namespaces.is_none())
    );
}

#[test]
fn a_backend_of_another_kind_keeps_its_parts() {
    let spec = json!({"type": "AWS", "aws": {"region": "x", "lambda": {"n": 1}}});
    let read: BackendSpec = serde_json::from_value(spec.clone()).expect("it can be read");
    assert!(read.mcp.is_none() && read.ignored().is_empty());
    assert_eq!(serde_json::to_value(&read).expect("JSON"), spec);
}

#[test]
fn an_object_without_a_spec_can_be_read() {
    let object = json!({"metadata": {"name": "x"}});
    assert!(serde_json::from_value::<Registration>(object).is_ok());
}
