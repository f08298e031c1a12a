//! Listeners take the routes that Gateway API says they take.

use super::*;
use crate::edge::kube::index::object::place;
use serde_json::json;

fn mk_gateway(listeners: &serde_json::Value) -> Gateway {
    let gateway = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
        "metadata": {"name": "edge", "namespace": "infra"},
        "spec": {"gatewayClassName": "eg", "listeners": listeners},
    });
    serde_json::from_value(gateway).expect("a Gateway")
}

fn mk_parent(section: Option<&str>) -> Parent {
    Parent {
        gateway: place("infra", "edge"),
        section: section.map(Into::into),
        port: None,
    }
}

fn names(gateway: &Gateway, section: Option<&str>, namespace: &str, hosts: &[&str]) -> Result<Vec<String>, String> {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let labels: Labels = [("team".to_owned(), namespace.to_owned())].into();
    let guest = Guest {
        namespace,
        labels: Some(&labels),
        hosts: &hosts,
    };
    match taking(gateway, &mk_parent(section), &guest) {
        Ok(found) => Ok(found.iter().map(|listener| listener.name.clone()).collect()),
        Err(problem) => Err(problem.to_string()),
    }
}

#[test]
fn a_listener_takes_routes_of_its_own_namespace_unless_it_says_more() {
    let gateway = mk_gateway(&json!([{"name": "http", "port": 80, "protocol": "HTTP"}]));
    assert_eq!(
        names(&gateway, None, "infra", &[]).as_deref(),
        Ok(["http".to_owned()].as_slice())
    );
    let refused = names(&gateway, None, "team", &[]).unwrap_err();
    assert!(
        refused.contains("ListenerNotAllowed") && refused.contains("allowedRoutes"),
        "{refused}"
    );
}

#[test]
fn a_selector_reads_the_labels_of_the_namespace() {
    let gateway = mk_gateway(
        &json!([{"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes":
        {"namespaces": {"from": "Selector", "selector": {"matchLabels": {"team": "a"}}}}}]),
    );
    assert!(names(&gateway, None, "a", &[]).is_ok());
    assert!(names(&gateway, None, "b", &[]).is_err());
}

#[test]
fn the_host_chooses_among_the_listeners_of_a_gateway() {
    let all = json!({"namespaces": {"from": "All"}});
    let gateway = mk_gateway(&json!([
        {"name": "mcp", "port": 8080, "protocol": "HTTP", "hostname": "mcp.example.com", "allowedRoutes": all},
        {"name": "mcps", "port": 8080, "protocol": "HTTP", "hostname": "*.mcp.local", "allowedRoutes": all},
        {"name": "raw", "port": 9000, "protocol": "TCP", "allowedRoutes": all},
    ]));
    let expected = Ok(["mcps".to_owned()].as_slice().to_vec());
    assert_eq!(names(&gateway, None, "team", &["weather.mcp.local"]), expected);
    assert!(names(&gateway, Some("mcp"), "team", &["weather.mcp.local"]).is_err());
    assert!(
        names(&gateway, Some("gone"), "team", &[])
            .unwrap_err()
            .contains("no listener named")
    );
    assert!(names(&gateway, Some("raw"), "team", &[]).is_err(), "not HTTP");
}

#[test]
fn wildcards_stand_for_names_below_them() {
    let cases = [
        ("a.example.com", "a.example.com", true),
        ("*.example.com", "a.example.com", true),
        ("*.example.com", "a.b.example.com", true),
        ("*.example.com", "example.com", false),
        ("*.example.com", "aexample.com", false),
        ("*.example.com", "*.b.example.com", true),
        ("*.a.com", "*.b.com", false),
        ("A.example.com", "a.Example.com", true),
    ];
    for (one, other, expected) in cases {
        assert_eq!(overlap(one, other), expected, "{one} {other}");
        assert_eq!(overlap(other, one), expected, "{other} {one}");
    }
}
