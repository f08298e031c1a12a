//! Envoy as `up` runs it, and as `render envoy` prints it.
//!
//! Pure: [`bootstrap`] and [`clusters`] turn a configuration into Envoy's YAML. Waiting: [`cds`] replaces the file of
//! upstream clusters and awaits Envoy's word, [`admin`] speaks to Envoy's admin interface, [`child`] keeps the process
//! alive. Knows nothing of ext_proc messages.

pub mod admin;
pub mod binary;
pub mod bootstrap;
pub mod cds;
pub mod child;
pub mod clusters;
pub mod key;
mod log;
mod private;
mod process;
mod spawn;
mod template;

pub use admin::{Admin, AdminError, Stat, Stats};
pub use binary::{EnvoyMissing, find};
pub use bootstrap::{BodyMode, Clusters, RenderError, RenderOptions, render};
pub use cds::{CdsFile, NotInForce};
pub use child::Envoy;
pub use clusters::{render_clusters, system_roots};
pub use key::route_key;
pub use private::write_private;
pub use process::{ChildOptions, StartError};

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Where something listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A Unix socket.
    Socket(PathBuf),
    /// host:port
    Tcp(SocketAddr),
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => write!(formatter, "unix:{}", path.display()),
            Self::Tcp(address) => address.fmt(formatter),
        }
    }
}
