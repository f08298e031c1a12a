//! What a cluster says, read back as YAML.

use super::*;
use crate::engine::config::file::parse;
use serde_json::{Value, json};

fn mk_upstreams(yaml: &str) -> Vec<Upstream> {
    let text = format!("upstreams:\n{yaml}");
    let config = parse(&text, Path::new("/base"), Path::new("/state")).expect("the test's upstreams are right");
    config.upstreams
}

fn mk_shared() -> Shared {
    Shared {
        streams: 7,
        roots: Some("/roots.pem".into()),
    }
}

fn rendered(yaml: &str) -> Value {
    let text = render_clusters(&mk_upstreams(yaml), &mk_shared(), "g1").expect("rendered");
    assert!(!text.contains("${"), "nothing is left open: {text}");
    serde_saphyr::from_str(&text).expect("it is YAML")
}

#[test]
fn a_name_is_looked_up_and_an_address_is_not() {
    let file = rendered("- { name: a, url: 'http://a.example:8080/mcp' }\n- { name: b, url: 'http://[::1]:81/mcp' }");
    assert_eq!(file["version_info"], "g1");
    let [a, b] = [&file["resources"][0], &file["resources"][1]];
    assert_eq!(
        (&a["cluster_type"]["name"], &b["type"]),
        (&json!("envoy.cluster.dns"), &json!("STATIC"))
    );
    let endpoint = |cluster: &Value| cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"].clone();
    let socket = |address, port| json!({ "socket_address": { "address": address, "port_value": port } });
    assert_eq!(
        endpoint(a),
        json!({ "hostname": "a.example:8080", "address": socket("a.example", 8080) })
    );
    assert_eq!(
        endpoint(b),
        json!({ "hostname": "[::1]:81", "address": socket("::1", 81) })
    );
}

#[test]
fn a_default_port_is_not_part_of_the_host_header() {
    let file = rendered("- { name: a, url: 'https://a.example/mcp' }");
    let endpoint = &file["resources"][0]["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"];
    assert_eq!(endpoint["hostname"], "a.example");
    assert_eq!(endpoint["address"]["socket_address"]["port_value"], 443);
}

#[test]
fn tls_is_verified_against_roots_and_name() {
    let file = rendered(
        "- { name: a, url: 'https://a.example./mcp' }\n- { name: b, url: 'https://10.0.0.1/mcp', tls: { ca: { file: own.pem } } }",
    );
    let tls = |at: usize| file["resources"][at]["transport_socket"]["typed_config"].clone();
    let validation = |at: usize| tls(at)["common_tls_context"]["validation_context"].clone();
    assert_eq!(tls(0)["sni"], "a.example", "a server name has no closing dot");
    assert_eq!(validation(0)["trusted_ca"]["filename"], "/roots.pem");
    assert_eq!(
        validation(0)["match_typed_subject_alt_names"],
        json!([{ "san_type": "DNS", "matcher": { "exact": "a.example" } }])
    );
    assert_eq!(tls(1).get("sni"), None, "an address is no server name");
    assert_eq!(validation(1)["trusted_ca"]["filename"], "/base/own.pem");
    assert_eq!(
        validation(1)["match_typed_subject_alt_names"],
        json!([{ "san_type": "IP_ADDRESS", "matcher": { "exact": "10.0.0.1" } }])
    );
}

#[test]
fn https_without_roots_is_refused_rather_than_unverified() {
    let upstreams = mk_upstreams("- { name: a, url: 'https://a.example/mcp' }");
    let shared = Shared {
        roots: None,
        ..mk_shared()
    };
    let error = render_clusters(&upstreams, &shared, "g1").expect_err("refused");
    assert_eq!(error, RenderError::NoRoots("a".to_owned()));
}

#[test]
fn a_disabled_upstream_has_no_cluster() {
    let file = rendered("- { name: a, url: 'http://a.example/mcp', enabled: false }");
    assert_eq!(file["resources"], json!([]));
}

#[test]
fn durations_keep_their_fractions() {
    assert_eq!(seconds(Duration::from_millis(1_500)), "1.500000000s");
    assert_eq!(seconds(Duration::from_secs(60)), "60s");
}
