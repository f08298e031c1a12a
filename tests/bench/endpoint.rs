//! What the engine's benches make endpoints of.

use mcp_manifold::engine::catalog::{Catalog, Item, Listing};
use mcp_manifold::engine::config::{Config, Upstream};
use mcp_manifold::engine::mcp::Version;
use mcp_manifold::engine::mcp::capabilities::ServerFlags;
use mcp_manifold::engine::session::Keys;
use mcp_manifold::engine::snapshot::Routing;
use mcp_manifold::engine::snapshot::fold::{EndpointSettings, UpstreamInput};
use mcp_manifold::engine::snapshot::view::NoViews;
use std::sync::Arc;

/// Of plain Envoy, for everybody.
pub(crate) fn settings(config: Arc<Config>) -> EndpointSettings {
    EndpointSettings {
        id: "default".into(),
        routes: Vec::new(),
        routing: Routing::Cluster,
        keys: Keys::derive(&[b"a secret of the bench".to_vec()]).expect("there is one secret"),
        route_key: "9f8e7d6c5b4a39281706f5e4d3c2b1a0".into(),
        callers: None,
        views: || Arc::new(NoViews),
        transparent: None,
        config,
    }
}

/// A legacy upstream with sessions that lists these tools.
pub(crate) fn input(config: &Upstream, tools: Vec<Item>) -> UpstreamInput {
    let listing = Listing {
        version: Version::NEWEST_LEGACY,
        stateful: true,
        capabilities: r#"{"tools":{}}"#.into(),
        flags: ServerFlags::default(),
        instructions: None,
        tools,
        prompts: vec![],
        resources: vec![],
        templates: vec![],
        ttl_ms: 0,
        public: true,
    };
    UpstreamInput {
        config: Arc::new(config.clone()),
        credential: None,
        catalog: Catalog {
            legacy: Some(Arc::new(listing)),
            modern: None,
        },
    }
}
