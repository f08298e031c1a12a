//! Where the pods of Envoy listen for a Gateway: found by the labels of their EndpointSlices.

use crate::edge::kube::controller::settings::Reach;
use crate::edge::kube::plan::Place;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Client;
use kube::api::{Api, ListParams};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

/// So many pods of Envoy are asked; they all are told the same.
const PODS: usize = 3;
/// For the list of pods.
const LISTING: Duration = Duration::from_secs(5);

/// By port of the Gateway's listeners; where they cannot be listed there are none.
pub(super) async fn pods(
    client: &Client,
    reach: &Reach,
    gateway: &Place,
    ports: Vec<i32>,
) -> HashMap<i32, Vec<SocketAddr>> {
    let slices: Api<EndpointSlice> = match reach {
        Reach::Everything => Api::all(client.clone()),
        Reach::Namespace(namespace) => Api::namespaced(client.clone(), namespace),
    };
    let Place { namespace, name } = gateway;
    let owner = "gateway.envoyproxy.io/owning-gateway";
    let labels = format!("{owner}-namespace={namespace},{owner}-name={name}");
    let parameters = ListParams::default().labels(&labels);
    let listed = tokio::time::timeout(LISTING, slices.list(&parameters)).await;
    let slices = match listed {
        Ok(Ok(list)) => list.items,
        Ok(Err(_)) | Err(_) => Vec::new(),
    };
    let at = |port: i32| {
        (
            port,
            slices
                .iter()
                .flat_map(|slice| addresses(slice, port))
                .take(PODS)
                .collect(),
        )
    };
    ports.into_iter().map(at).collect()
}

/// Ready addresses for a listener's port: Envoy Gateway names ports of its Services `<protocol>-<port>`.
fn addresses(slice: &EndpointSlice, port: i32) -> Vec<SocketAddr> {
    let meant = |name: &str| {
        name.rsplit_once('-')
            .is_some_and(|(_, number)| number.parse() == Ok(port))
    };
    let ports = slice.ports.iter().flatten();
    let numbers: Vec<u16> = ports
        .filter(|one| one.name.as_deref().is_some_and(meant))
        .filter_map(|one| u16::try_from(one.port?).ok())
        .collect();
    let ready = slice.endpoints.iter().flatten().filter(|endpoint| {
        let conditions = endpoint.conditions.as_ref();
        conditions.and_then(|conditions| conditions.ready).unwrap_or(true)
    });
    let hosts = ready
        .flat_map(|endpoint| &endpoint.addresses)
        .filter_map(|host| host.parse().ok());
    hosts
        .flat_map(|host| numbers.iter().map(move |number| SocketAddr::new(host, *number)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ports_of_envoy_are_found_by_their_names() {
        let slice: EndpointSlice = serde_json::from_value(json!({
            "addressType": "IPv4",
            "ports": [{"name": "http-80", "port": 10080}, {"name": "https-8443", "port": 8443}],
            "endpoints": [
                {"addresses": ["10.0.0.1"], "conditions": {"ready": true}},
                {"addresses": ["10.0.0.2"], "conditions": {"ready": false}},
            ],
        }))
        .unwrap();
        assert_eq!(addresses(&slice, 80), ["10.0.0.1:10080".parse().unwrap()]);
        assert_eq!(addresses(&slice, 8443), ["10.0.0.1:8443".parse().unwrap()]);
        assert!(addresses(&slice, 443).is_empty());
    }
}
