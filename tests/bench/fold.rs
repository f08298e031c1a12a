//! What does one changed upstream among 1,000 of 100 tools cost? (at most 50 ms of processor time)

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use mcp_manifold::engine::catalog::{Catalog, Item, Kind, Listing};
use mcp_manifold::engine::config::{Config, file};
use mcp_manifold::engine::mcp::Version;
use mcp_manifold::engine::mcp::capabilities::ServerFlags;
use mcp_manifold::engine::session::Keys;
use mcp_manifold::engine::snapshot::Routing;
use mcp_manifold::engine::snapshot::fold::{EndpointSettings, Folder, UpstreamInput};
use std::path::Path;
use std::sync::Arc;

const UPSTREAMS: usize = 1000;
const TOOLS: usize = 100;
/// The one that changes.
const CHANGING: usize = UPSTREAMS / 2;

fn fold(criterion: &mut Criterion) {
    let (settings, mut inputs) = mk_gateway();
    let mut folder = Folder::default();
    let mut generation = 0;
    let mut change = |id: &str, names_change: bool| {
        criterion.bench_function(id, |bencher| {
            bencher.iter_batched(
                || {
                    generation += 1;
                    mk_catalog(CHANGING, if names_change { generation } else { 0 })
                },
                |catalog| {
                    if let Some(input) = inputs.get_mut(CHANGING) {
                        input.catalog = catalog;
                    }
                    folder.fold(&settings, &inputs)
                },
                BatchSize::PerIteration,
            );
        });
    };
    change("fold/descriptions of one upstream of 1000 change", false);
    change("fold/names of one upstream of 1000 change", true);
}

fn mk_gateway() -> (EndpointSettings, Vec<UpstreamInput>) {
    let upstream = |place| format!("  - {{ name: up{place}, url: \"http://127.0.0.1:9000/mcp/{place}\" }}\n");
    let yaml: String = (0..UPSTREAMS).map(upstream).collect();
    let config = mk_config(&format!("upstreams:\n{yaml}"));
    let inputs = config
        .upstreams
        .iter()
        .enumerate()
        .map(|(place, config)| UpstreamInput {
            config: Arc::new(config.clone()),
            credential: None,
            catalog: mk_catalog(place, 0),
        });
    let inputs = inputs.collect();
    let settings = EndpointSettings {
        id: "default".into(),
        routes: Vec::new(),
        routing: Routing::Cluster,
        keys: Keys::derive(&[b"a secret of the bench".to_vec()]).expect("there is one secret"),
        route_key: "route-key".into(),
        callers: None,
        views: || std::sync::Arc::new(mcp_manifold::engine::snapshot::view::NoViews),
        transparent: None,
        config: Arc::new(config),
    };
    (settings, inputs)
}

fn mk_config(yaml: &str) -> Config {
    file::parse(yaml, Path::new("/"), Path::new("/state")).expect("the configuration is valid")
}

/// Both eras, 250 bytes a tool.
fn mk_catalog(place: usize, first: usize) -> Catalog {
    let [legacy, modern] = [Version::NEWEST_LEGACY, Version::NEWEST].map(|version| Listing {
        version,
        stateful: false,
        capabilities: "{}".into(),
        flags: ServerFlags::default(),
        instructions: None,
        tools: (first..first + TOOLS).map(|number| mk_tool(place, number)).collect(),
        prompts: vec![],
        resources: vec![],
        templates: vec![],
        ttl_ms: 0,
        public: true,
    });
    Catalog {
        legacy: Some(Arc::new(legacy)),
        modern: Some(Arc::new(modern)),
    }
}

fn mk_tool(place: usize, number: usize) -> Item {
    let description = "Does what its name says. ".repeat(6);
    let schema = r#""inputSchema":{"type":"object","properties":{"text":{"type":"string"}}}"#;
    let raw = format!(r#"{{"name":"tool_{number}_of_{place}","description":"{description}",{schema}}}"#);
    Item::read(Kind::Tools, &raw).expect("it has a name")
}

criterion_group!(benches, fold);
criterion_main!(benches);
