//! What `up` and `serve` may be asked, as plain values; the command line makes them.

use crate::edge::config_file::ConfigSource;
use std::net::SocketAddr;
use std::path::PathBuf;

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
    /// The configuration; loaded again when its file changes.
    pub source: ConfigSource,
    /// `None`: `ext-proc.sock` in the state folder.
    pub listen: Option<Listen>,
    /// Where requests are refused that were sent nowhere else; `None`: nowhere.
    pub fallback: Option<Listen>,
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
