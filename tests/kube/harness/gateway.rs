//! Gateways of Envoy Gateway and where they listen.

use super::kubectl::{condition, get, kubectl};
use super::until;
use std::net::{IpAddr, SocketAddr};

/// Waits until a Gateway is programmed; its address, with that port.
pub(crate) async fn programmed(namespace: &str, name: &str, port: u16) -> SocketAddr {
    until(&format!("Gateway {namespace}/{name} is programmed"), async || {
        let gateway = get("gateway", namespace, name).await;
        let status = &gateway["status"];
        if condition(&status["conditions"], "Programmed")["status"] != "True" {
            return Err(status.to_string());
        }
        let address = status["addresses"][0]["value"].as_str().unwrap_or_default();
        let address: IpAddr = address.parse().map_err(|_| status.to_string())?;
        Ok(SocketAddr::new(address, port))
    })
    .await
}

/// The pods of Envoy for one Gateway.
pub(crate) async fn envoys(namespace: &str, name: &str) -> Vec<String> {
    let selector = format!(
        "gateway.envoyproxy.io/owning-gateway-name={name},gateway.envoyproxy.io/owning-gateway-namespace={namespace}"
    );
    let arguments = [
        "get",
        "pods",
        "-n",
        "envoy-gateway-system",
        "-l",
        &selector,
        "-o",
        "name",
    ];
    kubectl(&arguments).await.lines().map(str::to_owned).collect()
}
