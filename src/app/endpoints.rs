//! What is to be served, as the writer takes it. Pure.

use crate::engine::config::{self, Config};
use crate::engine::session::Keys;
use crate::engine::snapshot::Routing;
use crate::engine::snapshot::fold::EndpointSettings;
use std::sync::Arc;

/// One endpoint to serve.
#[derive(Debug)]
pub(super) struct Draft {
    /// Everything but its upstreams.
    pub(super) settings: EndpointSettings,
    /// In the order that decides who owns a name.
    pub(super) upstreams: Vec<Arc<config::Upstream>>,
}

/// The only endpoint of a configuration file.
pub(super) fn of_file(config: &Arc<Config>, keys: Keys, route_key: &str) -> Draft {
    Draft {
        settings: EndpointSettings {
            id: "default".into(),
            routes: Vec::new(),
            routing: Routing::Cluster,
            keys,
            route_key: route_key.into(),
            config: Arc::clone(config),
        },
        upstreams: config.upstreams.iter().cloned().map(Arc::new).collect(),
    }
}
