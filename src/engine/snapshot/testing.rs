//! Builders for tests: listings, upstreams, whole snapshots. What a test does not say is sensible.

use super::fold::{EndpointSettings, Folder, UpstreamInput};
use super::{Endpoint, Routing, Snapshot};
use crate::engine::catalog::{Catalog, Item, Kind, Listing};
use crate::engine::config::{
    Audit, Config, Credential, EnvoySettings, Eras, IpFilter, Limits, Lists, Protocol, Secret, SessionSettings,
    Timeouts, Upstream, Via,
};
use crate::engine::mcp::Version;
use crate::engine::mcp::capabilities::ServerFlags;
use crate::engine::session::Keys;
use std::sync::Arc;
use std::time::Duration;

/// `github` (prefix `github_`; legacy with sessions, modern) and `files` (prefix `files_`; legacy without sessions,
/// modern), with tools, prompts, resources and templates.
pub(crate) fn two_upstreams() -> Arc<Snapshot> {
    let github = |listing: ListingBuilder| {
        listing
            .prompts(&["review"])
            .resources(&["github://readme"])
            .instructions("Search before you fetch.")
    };
    let files = |listing: ListingBuilder| listing.resources(&["file:///a.txt"]).templates(&["file:///{+path}"]);
    mk_snapshot(&[
        mk_upstream("github")
            .legacy(github(mk_listing(&["search", "fetch"])))
            .modern(github(mk_modern(&["search", "fetch"]))),
        mk_upstream("files")
            .legacy(files(mk_listing(&["read", "write"])).stateless())
            .modern(files(mk_modern(&["read", "write"]))),
    ])
}

/// The snapshot of one fold.
pub(crate) fn mk_snapshot(upstreams: &[UpstreamBuilder]) -> Arc<Snapshot> {
    let (endpoint, _) = Folder::default().fold(&mk_settings(), &mk_inputs(upstreams));
    mk_alone(endpoint)
}

/// A snapshot with this endpoint only.
pub(crate) fn mk_alone(endpoint: Arc<Endpoint>) -> Arc<Snapshot> {
    Arc::new(Snapshot {
        generation: 1,
        endpoints: vec![endpoint],
    })
}

/// What [`Folder::fold`] takes.
pub(crate) fn mk_inputs(upstreams: &[UpstreamBuilder]) -> Vec<UpstreamInput> {
    upstreams.iter().map(|upstream| upstream.0.clone()).collect()
}

/// The endpoint `default`, on loopback, with a fixed key.
pub(crate) fn mk_settings() -> EndpointSettings {
    EndpointSettings {
        id: "default".into(),
        routes: Vec::new(),
        routing: Routing::Cluster,
        keys: Keys::derive(&[b"a secret of the tests".to_vec()]).expect("there is one secret"),
        route_key: "route-key".into(),
        callers: None,
        views: || Arc::new(super::view::NoViews),
        transparent: None,
        config: Arc::new(mk_config()),
    }
}

/// The defaults of a configuration file without upstreams; the host `mcp.example.com` is accepted.
pub(crate) fn mk_config() -> Config {
    Config {
        listen: "127.0.0.1:8001".parse().expect("an address"),
        tls: None,
        path: "/mcp".into(),
        public_url: "http://127.0.0.1:8001/mcp".into(),
        hosts: vec!["mcp.example.com".into()],
        origins: vec!["https://app.example.com".into()],
        admin: "127.0.0.1:8002".parse().expect("an address"),
        admin_token: None,
        state_dir: "state".into(),
        session: SessionSettings {
            keys: vec![],
            idle: Duration::from_secs(30 * 60),
            lifetime: Duration::from_secs(30 * 24 * 3600),
            parked: Duration::from_secs(600),
        },
        limits: Limits {
            body: 4 << 20,
            bodies: 256 << 20,
            receive: Duration::from_secs(30),
            replay: 256 << 20,
            depth: 128,
            streams: 10_000,
            sessions: 100_000,
            sessions_per_principal: 100,
            calls_per_session: None,
            calls_per_principal: None,
            streams_per_principal: None,
            headers: 32 << 10,
        },
        lists: Lists {
            first: Duration::from_secs(2),
            keep_last_good: Duration::from_secs(600),
            refresh: Duration::from_secs(300),
            principals: 1000,
            principal_age: Duration::from_secs(300),
        },
        envoy: EnvoySettings {
            concurrency: 2,
            admin: crate::engine::config::truth::EnvoyAdmin::Socket(None),
            response_phase: true,
            metadata: true,
            access_log: crate::engine::config::truth::AccessLog::Off,
            routes: vec![],
        },
        audit: Audit::DEFAULT,
        telemetry: None,
        cors: None,
        ip_filter: IpFilter::default(),
        security_headers: false,
        authentication: None,
        rate_limits: vec![],
        policies: None,
        transparent: vec![],
        rate_limit_service: None,
        upstreams: vec![],
    }
}

/// One upstream of a fold.
#[derive(Clone, Debug)]
pub(crate) struct UpstreamBuilder(UpstreamInput);

/// Enabled, prefix `<name>_`, not listed in any era.
pub(crate) fn mk_upstream(name: &str) -> UpstreamBuilder {
    UpstreamBuilder(UpstreamInput {
        config: Arc::new(Upstream {
            name: name.into(),
            url: format!("http://{name}.test/mcp").parse().expect("a URL"),
            prefix: format!("{name}_"),
            credential: None,
            headers: vec![],
            timeout: Timeouts {
                connect: Duration::from_secs(5),
                call: Duration::from_secs(60),
                list: Duration::from_secs(10),
            },
            ca: None,
            enabled: true,
            resources_rewrite: false,
            resources_probe: false,
            via: Via::Envoy,
            protocol: Protocol::Streamable,
            eras: Eras::Both,
            merge: true,
            addresses: Vec::new(),
            protection: crate::engine::config::Protection::default(),
            delegated: crate::engine::config::Delegated::default(),
            listing: crate::engine::config::Listing::Shared,
        }),
        credential: None,
        catalog: Catalog::default(),
    })
}

/// Legacy, with a tool `x` whose argument `region` is mirrored into a header.
pub(crate) fn mk_mirroring(name: &str) -> UpstreamBuilder {
    let schema = r#"{"properties":{"region":{"type":"string","x-mcp-header":"Region"}}}"#;
    let tool = Item::read(Kind::Tools, &format!(r#"{{"name":"x","inputSchema":{schema}}}"#)).expect("it has its key");
    mk_upstream(name).legacy(mk_listing(&[]).with(|listing| listing.tools = vec![tool]))
}

/// Its tool `x` can begin tasks, in both eras.
pub(crate) fn mk_tasks(name: &str) -> UpstreamBuilder {
    let tasks = |listing: ListingBuilder| {
        listing.with(|listing| {
            listing.flags.tasks = true;
            listing.flags.tasks_list = true;
        })
    };
    mk_upstream(name)
        .legacy(tasks(mk_listing(&["x"])))
        .modern(tasks(mk_modern(&["x"])))
}

impl UpstreamBuilder {
    /// Changes anything else of its configuration.
    pub(crate) fn config(mut self, change: impl FnOnce(&mut Upstream)) -> Self {
        change(Arc::make_mut(&mut self.0.config));
        self
    }

    pub(crate) fn prefix(self, prefix: &str) -> Self {
        self.config(|config| config.prefix = prefix.into())
    }

    pub(crate) fn disabled(self) -> Self {
        self.config(|config| config.enabled = false)
    }

    pub(crate) fn direct(self) -> Self {
        self.config(|config| config.via = Via::Direct)
    }

    pub(crate) fn probe(self) -> Self {
        self.config(|config| config.resources_probe = true)
    }

    pub(crate) fn rewrite(self) -> Self {
        self.config(|config| config.resources_rewrite = true)
    }

    /// With an `authorization` header; `None`: the secret is missing.
    pub(crate) fn credential(mut self, value: Option<&str>) -> Self {
        self.0.credential = Some(value.map(Arc::from).ok_or(()));
        self.config(|config| {
            config.credential = Some(Credential {
                header: "authorization".into(),
                value: Secret::Env("TOKEN".into()),
            });
        })
    }

    pub(crate) fn legacy(mut self, listing: impl Into<Arc<Listing>>) -> Self {
        self.0.catalog.legacy = Some(listing.into());
        self
    }

    pub(crate) fn modern(mut self, listing: impl Into<Arc<Listing>>) -> Self {
        self.0.catalog.modern = Some(listing.into());
        self
    }
}

/// What one upstream said in one era.
#[derive(Clone, Debug)]
pub(crate) struct ListingBuilder(Listing);

/// A legacy server with sessions and these tools.
pub(crate) fn mk_listing(tools: &[&str]) -> ListingBuilder {
    ListingBuilder(Listing {
        version: Version::NEWEST_LEGACY,
        stateful: true,
        capabilities: r#"{"tools":{"listChanged":true}}"#.into(),
        flags: ServerFlags {
            tools: true,
            list_changed: true,
            ..ServerFlags::default()
        },
        instructions: None,
        tools: mk_items(Kind::Tools, tools),
        prompts: vec![],
        resources: vec![],
        templates: vec![],
        ttl_ms: 0,
        public: false,
    })
}

/// A modern server with these tools, fresh for a minute for everybody.
pub(crate) fn mk_modern(tools: &[&str]) -> ListingBuilder {
    let ListingBuilder(listing) = mk_listing(tools);
    ListingBuilder(Listing {
        version: Version::NEWEST,
        stateful: false,
        ttl_ms: 60_000,
        public: true,
        ..listing
    })
}

impl ListingBuilder {
    /// Changes anything else.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Listing)) -> Self {
        change(&mut self.0);
        self
    }

    pub(crate) fn stateless(self) -> Self {
        self.with(|listing| listing.stateful = false)
    }

    pub(crate) fn prompts(self, names: &[&str]) -> Self {
        self.with(|listing| listing.prompts = mk_items(Kind::Prompts, names))
    }

    pub(crate) fn resources(self, uris: &[&str]) -> Self {
        self.with(|listing| listing.resources = mk_items(Kind::Resources, uris))
    }

    pub(crate) fn templates(self, templates: &[&str]) -> Self {
        self.with(|listing| listing.templates = mk_items(Kind::Templates, templates))
    }

    pub(crate) fn instructions(self, text: &str) -> Self {
        self.with(|listing| listing.instructions = Some(text.into()))
    }
}

impl From<ListingBuilder> for Arc<Listing> {
    fn from(ListingBuilder(listing): ListingBuilder) -> Self {
        Self::new(listing)
    }
}

fn mk_items(kind: Kind, keys: &[&str]) -> Vec<Item> {
    keys.iter().map(|key| mk_item(kind, key)).collect()
}

/// An item with more members than we know, in odd white space.
pub(crate) fn mk_item(kind: Kind, key: &str) -> Item {
    let (word, token) = (kind.key(), serde_json::to_string(key).expect("a string"));
    let schema = r#""inputSchema":{"type":"object","maximum":90071992547409931}"#;
    let raw = format!(
        r#"{{ "{word}" : {token}, "description":"Does {}.",{schema},"_meta":{{"x":1.0000000000000000000001}} }}"#,
        kind.noun()
    );
    Item::read(kind, &raw).expect("it has its key")
}
