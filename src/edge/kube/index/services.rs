//! Services: which of them labels select, and at which addresses one of their ports is served.
//!
//! Pure: what EndpointSlices say is taken as it stands, nothing is looked up.

use k8s_openapi::api::core::v1::{Service, ServicePort};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

/// The label by which an EndpointSlice names its Service.
pub const SERVICE_OF_SLICE: &str = "kubernetes.io/service-name";

/// Labels of an object.
pub type Labels = BTreeMap<String, String>;

/// Whether labels satisfy every requirement; an empty selector takes all, one with an unknown operator none.
#[must_use]
pub fn selects(selector: &LabelSelector, labels: Option<&Labels>) -> bool {
    let value = |key: &str| labels.and_then(|labels| labels.get(key)).map(String::as_str);
    let equal = selector.match_labels.iter().flatten();
    let asked = selector.match_expressions.iter().flatten();
    equal
        .map(|(key, wanted)| value(key) == Some(wanted))
        .chain(asked.map(|requirement| meets(requirement, value(&requirement.key))))
        .all(|met| met)
}

fn meets(requirement: &LabelSelectorRequirement, value: Option<&str>) -> bool {
    let listed = || {
        let mut values = requirement.values.iter().flatten();
        value.is_some_and(|value| values.any(|one| one == value))
    };
    match requirement.operator.as_str() {
        "In" => listed(),
        "NotIn" => !listed(),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        _ => false,
    }
}

/// The port of a Service by its number.
#[must_use]
pub fn port(service: &Service, number: i32) -> Option<&ServicePort> {
    let spec = service.spec.as_ref()?;
    spec.ports.iter().flatten().find(|port| port.port == number)
}

/// What `ExternalName` says, if the Service is one: it has no addresses, its name is looked up.
#[must_use]
pub fn external_name(service: &Service) -> Option<&str> {
    let spec = service.spec.as_ref()?;
    let external = spec.type_.as_deref() == Some("ExternalName");
    spec.external_name.as_deref().filter(|_| external)
}

/// Where a port of a Service is served by pods that are ready; sorted.
#[must_use]
pub fn addresses<'a>(slices: impl IntoIterator<Item = &'a EndpointSlice>, port: &ServicePort) -> Vec<SocketAddr> {
    let mut found = BTreeSet::new();
    for slice in slices {
        let numbers: Vec<u16> = slice
            .ports
            .iter()
            .flatten()
            .filter_map(|served| number(served, port))
            .collect();
        let ready = slice.endpoints.iter().flatten().filter(|endpoint| is_ready(endpoint));
        for address in ready.filter_map(address) {
            found.extend(numbers.iter().map(|number| SocketAddr::new(address, *number)));
        }
    }
    found.into_iter().collect()
}

/// A slice's port is a Service's port if both have the same name; an unnamed one is written in two ways.
fn number(served: &EndpointPort, port: &ServicePort) -> Option<u16> {
    let same = served.name.as_deref().unwrap_or_default() == port.name.as_deref().unwrap_or_default();
    served
        .port
        .filter(|_| same)
        .and_then(|number| u16::try_from(number).ok())
}

/// Absent conditions count as ready.
fn is_ready(endpoint: &Endpoint) -> bool {
    endpoint
        .conditions
        .as_ref()
        .is_none_or(|conditions| conditions.ready != Some(false))
}

/// All addresses of one endpoint lead to the same pod; names (`addressType: FQDN`) are left out.
fn address(endpoint: &Endpoint) -> Option<IpAddr> {
    endpoint.addresses.first()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    }

    fn selector(value: serde_json::Value) -> LabelSelector {
        serde_json::from_value(value).expect("a selector")
    }

    #[test]
    fn an_empty_selector_takes_all() {
        assert!(selects(&LabelSelector::default(), None));
        assert!(selects(&LabelSelector::default(), Some(&labels(&[("app", "a")]))));
    }

    #[test]
    fn every_label_and_every_expression_must_match() {
        let selector = selector(json!({
            "matchLabels": {"app": "mcp"},
            "matchExpressions": [
                {"key": "tier", "operator": "In", "values": ["front", "back"]},
                {"key": "team", "operator": "NotIn", "values": ["red"]},
                {"key": "stage", "operator": "Exists"},
                {"key": "hidden", "operator": "DoesNotExist"}
            ]
        }));
        let good = [("app", "mcp"), ("tier", "back"), ("stage", "x")];
        assert!(selects(&selector, Some(&labels(&good))));
        for (key, value) in [("app", "other"), ("tier", "side"), ("team", "red"), ("hidden", "")] {
            let mut changed = labels(&good);
            changed.insert(key.to_owned(), value.to_owned());
            assert!(!selects(&selector, Some(&changed)), "{key}={value}");
        }
        assert!(!selects(&selector, None));
    }

    #[test]
    fn an_operator_of_the_future_selects_nothing() {
        let selector = selector(json!({"matchExpressions": [{"key": "a", "operator": "Like", "values": ["x"]}]}));
        assert!(!selects(&selector, Some(&labels(&[("a", "x")]))));
    }

    #[test]
    fn addresses_are_those_of_ready_pods_at_the_port_of_that_name() {
        let slice = |addresses: [&str; 3]| -> EndpointSlice {
            serde_json::from_value(json!({
                "addressType": "IPv4",
                "ports": [{"name": "mcp", "port": 3001}, {"name": "metrics", "port": 9090}],
                "endpoints": [
                    {"addresses": [addresses[0]], "conditions": {"ready": true}},
                    {"addresses": [addresses[1]], "conditions": {"ready": false}},
                    {"addresses": [addresses[2]]},
                    {"addresses": ["not.an.address"]}
                ]
            }))
            .expect("a slice")
        };
        let slices = [
            slice(["10.0.0.9", "10.0.0.2", "10.0.0.3"]),
            slice(["10.0.0.1", "10.0.0.4", "10.0.0.9"]),
        ];
        let port = ServicePort {
            name: Some("mcp".to_owned()),
            port: 80,
            ..ServicePort::default()
        };
        let found: Vec<String> = addresses(&slices, &port).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["10.0.0.1:3001", "10.0.0.3:3001", "10.0.0.9:3001"]);
    }

    #[test]
    fn an_unnamed_port_is_the_slices_unnamed_port() {
        let slice: EndpointSlice = serde_json::from_value(json!({
            "addressType": "IPv6", "ports": [{"name": "", "port": 8080}], "endpoints": [{"addresses": ["fd00::1"]}]
        }))
        .expect("a slice");
        let found = addresses(
            [&slice],
            &ServicePort {
                port: 80,
                ..ServicePort::default()
            },
        );
        assert_eq!(found, ["[fd00::1]:8080".parse().expect("an address")]);
    }
}
