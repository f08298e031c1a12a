//! The arguments of `controller`. Each may come from the environment: a Deployment sets most of them so.

use crate::app::options::ControllerOptions;
use clap::Args;
use std::net::SocketAddr;

pub(super) const EXAMPLES: &str = "Examples:
  mcp-manifold controller --namespace mcp-system
  KUBECONFIG=~/.kube/config mcp-manifold controller --namespace mcp-system --identity laptop
  mcp-manifold controller --watch-namespace team-a --watch-namespace team-b";

/// `controller`
#[derive(Debug, Args)]
pub(super) struct ControllerArguments {
    /// Its own namespace, for the Lease, keys and shared objects; default: that of the service account or kubeconfig
    #[arg(long, value_name = "NAMESPACE", env = "MCP_MANIFOLD_NAMESPACE")]
    namespace: Option<String>,
    /// Its name among the replicas, such as the pod's; default: the host's, with something random
    #[arg(long, value_name = "NAME", env = "MCP_MANIFOLD_IDENTITY")]
    identity: Option<String>,
    /// Where processors follow (gRPC, mutual TLS)
    #[arg(
        long,
        value_name = "ADDR",
        env = "MCP_MANIFOLD_REGISTRY_LISTEN",
        default_value = "0.0.0.0:9443"
    )]
    listen: SocketAddr,
    /// Where /healthz, /readyz and /metrics are
    #[arg(
        long,
        value_name = "ADDR",
        env = "MCP_MANIFOLD_ADMIN_LISTEN",
        default_value = "0.0.0.0:8080"
    )]
    admin: SocketAddr,
    /// Service by which processors reach it; its DNS names stand in the certificate
    #[arg(
        long,
        value_name = "NAME",
        env = "MCP_MANIFOLD_SERVICE",
        default_value = "mcp-manifold-controller"
    )]
    service: String,
    /// Namespace of Envoy Gateway's proxies, where processors run as sidecars
    #[arg(long, value_name = "NAMESPACE", env = "MCP_MANIFOLD_PROCESSOR_NAMESPACE")]
    #[arg(default_value = "envoy-gateway-system")]
    processor_namespace: String,
    /// Only objects of this namespace count; may be given several times. Default: those of all namespaces
    #[arg(
        long = "watch-namespace",
        value_name = "NAMESPACE",
        env = "MCP_MANIFOLD_WATCH_NAMESPACES"
    )]
    #[arg(value_delimiter = ',')]
    watched: Vec<String>,
}

impl ControllerArguments {
    pub(super) fn into_options(self) -> ControllerOptions {
        // An empty environment variable counts as an absent one.
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        ControllerOptions {
            namespace: given(self.namespace),
            identity: given(self.identity),
            listen: self.listen,
            admin: self.admin,
            service: self.service,
            processor_namespace: self.processor_namespace,
            watched: self.watched.into_iter().filter(|name| !name.is_empty()).collect(),
        }
    }
}
