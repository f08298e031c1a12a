//! What `up` and `serve` may be asked, as plain values; the command line makes them.

use crate::edge::config_file::ConfigSource;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What `up` was asked.
#[derive(Clone, Debug, PartialEq)]
pub struct UpOptions {
    /// The configuration; loaded again when its file changes.
    pub source: ConfigSource,
    /// `--envoy` or `$MCP_MANIFOLD_ENVOY`; `None`: `envoy` in PATH.
    pub envoy: Option<PathBuf>,
}

/// What `serve` was asked.
#[derive(Clone, Debug, PartialEq)]
pub struct ServeOptions {
    /// Who says what is served.
    pub from: ServeFrom,
    /// `None`: `ext-proc.sock` in the state folder.
    pub listen: Option<Listen>,
    /// Where requests are refused that were sent nowhere else; `None`: nowhere.
    pub fallback: Option<Listen>,
}

/// Who says what is served.
#[derive(Clone, Debug, PartialEq)]
pub enum ServeFrom {
    /// The configuration; loaded again when its file changes.
    File(ConfigSource),
    /// A controller.
    Registry(Box<RegistryOptions>),
}

/// How to get assignments.
#[derive(Clone, Debug, PartialEq)]
pub struct RegistryOptions {
    /// `https://host:port` of the controller.
    pub url: url::Url,
    /// The folder with `ca.crt`, `tls.crt` and `tls.key`.
    pub certs: PathBuf,
    /// `namespace/name` of the Gateway.
    pub gateway: String,
    /// What this processor is called in reports.
    pub name: String,
    /// Settings that no assignment has; its file may be `None`.
    pub settings: ConfigSource,
    /// Instead of the settings'.
    pub admin: Option<SocketAddr>,
    /// Instead of the settings'.
    pub state_dir: Option<PathBuf>,
}

/// What `drain` was asked.
#[derive(Clone, Debug, PartialEq)]
pub struct DrainOptions {
    /// What the processor runs with, for its state folder.
    pub source: ConfigSource,
    /// Instead of the configuration's.
    pub state_dir: Option<PathBuf>,
    /// Whoever asks is kept for so long, once the processor has heard.
    pub wait: Duration,
}

/// What `controller` was asked.
#[derive(Clone, Debug, PartialEq)]
pub struct ControllerOptions {
    /// Its own namespace; `None`: the service account's, or that of the kubeconfig's context.
    pub namespace: Option<String>,
    /// Its name among the replicas; `None`: the host's, with something random.
    pub identity: Option<String>,
    /// Where processors follow.
    pub listen: SocketAddr,
    /// Health, readiness, metrics.
    pub admin: SocketAddr,
    /// Name of the Service by which processors reach it.
    pub service: String,
    /// Namespace of the proxies, with the sidecars in them.
    pub processor_namespace: String,
    /// The only namespaces whose objects count; empty: all.
    pub watched: Vec<String>,
}

/// Where the processor listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// `unix:/path`
    Unix(PathBuf),
    /// `host:port`
    Tcp(SocketAddr),
}

impl std::str::FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix("unix:") {
            Some("") => Err("no path after unix:".to_owned()),
            Some(path) => Ok(Self::Unix(path.into())),
            None => text.parse().map(Self::Tcp).map_err(|_| {
                "write unix:/path or IP:port, such as unix:/run/mcp-manifold.sock or 127.0.0.1:9002".to_owned()
            }),
        }
    }
}
