//! What do rules cost? A call under 100 rules (at most 10 us where 5 of them can match), and a list of 1,000 tools for an
//! audience that was seen before (as much as the whole list).

use criterion::{Criterion, criterion_group, criterion_main};
use mcp_manifold::edge::store::MemoryViews;
use mcp_manifold::engine::catalog::{Catalog, Item, Kind, Listing};
use mcp_manifold::engine::config::{Config, file};
use mcp_manifold::engine::mcp::capabilities::ServerFlags;
use mcp_manifold::engine::mcp::{Era, Version};
use mcp_manifold::engine::policy::{self, Asked, Caller, Identity, NoHeaders, Policy, Tool, Verdict};
use mcp_manifold::engine::session::Keys;
use mcp_manifold::engine::snapshot::fold::{EndpointSettings, Folder, UpstreamInput};
use mcp_manifold::engine::snapshot::{Endpoint, Routing};
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

const RULES: usize = 100;
const MATCHING: usize = 5;
const TOOLS: usize = 1000;

criterion_group!(benches, call, list);
criterion_main!(benches);

fn call(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("what do 100 rules cost a call");
    let about = |name: &str, at: usize| format!("tool.name == '{name}' && {}", condition(at));
    let some: Vec<String> = (0..RULES)
        .map(|at| match at % (RULES / MATCHING) {
            0 => about("bank_pay", at),
            _ => about(&format!("tool_{at}"), at),
        })
        .collect();
    let all: Vec<String> = (0..RULES).map(condition).collect();
    let none: Vec<String> = (0..RULES).map(|at| about(&format!("tool_{at}"), at)).collect();
    for (name, rules) in [("5 can match", some), ("all can match", all), ("none can match", none)] {
        let policy = Policy::new(&mk_config(&rules).policies.expect("given"));
        let identity = mk_identity();
        let asked = Asked {
            method: "tools/call",
            item: policy::Item::Tool(Tool {
                name: "bank_pay",
                upstream: "bank",
                upstream_name: "pay",
                raw: None,
            }),
            arguments: Some(r#"{"amount":100,"to":"DE02120300000000202051","text":"rent","tags":["a","b"]}"#),
            caller: mk_caller(&identity),
            headers: &NoHeaders,
        };
        assert_eq!(
            policy.judge(&asked),
            Verdict::Allowed { rule: None },
            "each rule is evaluated"
        );
        group.bench_function(name, |bencher| bencher.iter(|| policy.judge(black_box(&asked))));
    }
    group.finish();
}

/// Not true of the call; half of them read its arguments, the other half its caller.
fn condition(at: usize) -> String {
    match at % 2 {
        0 => format!("arguments.amount > {}", 1000 + at),
        _ => format!("'role{at}' in roles"),
    }
}

fn list(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("what does a list of 1,000 tools cost");
    let rules = ["tool.name.endsWith('7') && !('admin' in roles)".to_owned()];
    let (open, guarded) = (mk_endpoint(&[]), mk_endpoint(&rules));
    let identity = mk_identity();
    let caller = mk_caller(&identity);
    for (name, endpoint) in [("no rules", &open), ("an audience that was seen", &guarded)] {
        let view = || {
            endpoint
                .view(Era::Legacy, Kind::Tools, true, black_box(&caller))
                .segments
                .to_vec()
        };
        view();
        group.bench_function(name, |bencher| bencher.iter(view));
    }
    // Outside: every sample of the bench goes on where the last one ended.
    let mut number = 0;
    group.bench_function("an audience that was never seen", |bencher| {
        bencher.iter(|| {
            number += 1;
            let mut other = mk_identity();
            other.roles.push(format!("r{number}").into());
            guarded.view(Era::Legacy, Kind::Tools, true, &mk_caller(&other)).len
        });
    });
    group.finish();
}

fn mk_identity() -> Identity {
    Identity {
        principal: Some("ann".into()),
        roles: ["user", "team-red", "eu"].map(Arc::from).to_vec(),
        scopes: ["mcp:tools"].map(Arc::from).to_vec(),
        ..Identity::default()
    }
}

fn mk_caller(identity: &Identity) -> Caller<'_> {
    Caller {
        identity,
        client_name: "bench",
        client_version: "1",
        ip: "127.0.0.1",
    }
}

fn mk_config(rules: &[String]) -> Config {
    let rule = |(at, rule): (usize, &String)| format!("    - {{ name: rule{at}, deny: \"{rule}\" }}\n");
    let rules: String = rules.iter().enumerate().map(rule).collect();
    let section = match rules.as_str() {
        "" => String::new(),
        rules => format!("policies:\n  rules:\n{rules}"),
    };
    let yaml = format!("upstreams: [{{ name: up, url: \"http://127.0.0.1:9000/mcp\" }}]\n{section}");
    file::parse(&yaml, Path::new("/"), Path::new("/state")).expect("the configuration is valid")
}

fn mk_endpoint(rules: &[String]) -> Arc<Endpoint> {
    let config = mk_config(rules);
    let tool = |number| {
        let description = "Does what its name says. ".repeat(6);
        let schema = r#""inputSchema":{"type":"object","properties":{"text":{"type":"string"}}}"#;
        let raw = format!(r#"{{"name":"tool_{number}","description":"{description}",{schema}}}"#);
        Item::read(Kind::Tools, &raw).expect("it has a name")
    };
    let listing = Listing {
        version: Version::NEWEST_LEGACY,
        stateful: false,
        capabilities: "{}".into(),
        flags: ServerFlags::default(),
        instructions: None,
        tools: (0..TOOLS).map(tool).collect(),
        prompts: vec![],
        resources: vec![],
        templates: vec![],
        ttl_ms: 0,
        public: true,
    };
    let inputs: Vec<UpstreamInput> = config
        .upstreams
        .iter()
        .map(|upstream| UpstreamInput {
            config: Arc::new(upstream.clone()),
            credential: None,
            catalog: Catalog {
                legacy: Some(Arc::new(listing.clone())),
                modern: None,
            },
        })
        .collect();
    let settings = EndpointSettings {
        id: "default".into(),
        routes: Vec::new(),
        routing: Routing::Cluster,
        keys: Keys::derive(&[b"a secret of the bench".to_vec()]).expect("there is one secret"),
        route_key: "route-key".into(),
        views: MemoryViews::make,
        callers: None,
        transparent: None,
        config: Arc::new(config),
    };
    Folder::default().fold(&settings, &inputs).0
}
