//! What is served in the transcripts. Folded once: the contract plays thousands of times.

use crate::engine::catalog::{Item, Kind};
use crate::engine::config::Transparent;
use crate::engine::config::credential_files::ApiKey;
use crate::engine::policy::{Callers, Credentials};
use crate::engine::snapshot::fold::Folder;
use crate::engine::snapshot::{Routing, Snapshot, testing};
use sha2::{Digest, Sha256};
use std::sync::{Arc, LazyLock};

pub(super) static TWO: LazyLock<Arc<Snapshot>> = LazyLock::new(testing::two_upstreams);
pub(super) static PROBING: LazyLock<Arc<Snapshot>> = LazyLock::new(|| {
    let mk = |name| {
        let listing = testing::mk_listing(&["a"]).stateless();
        testing::mk_upstream(name).legacy(listing).probe()
    };
    testing::mk_snapshot(&[mk("one"), mk("two")])
});

pub(super) static DIRECT: LazyLock<Arc<Snapshot>> = LazyLock::new(|| {
    let github = testing::mk_upstream("github")
        .direct()
        .credential(Some("Bearer secret"))
        .config(|config| config.headers = vec![("x-team".into(), "tools".into())])
        .legacy(testing::mk_listing(&["search"]))
        .modern(testing::mk_modern(&["search"]));
    testing::mk_snapshot(&[github, testing::mk_upstream("files")])
});

/// `github` with all there is, `files` without a prefix and with `resources.probe`, both of 2026-07-28 alone.
pub(super) static MODERN: LazyLock<Arc<Snapshot>> = LazyLock::new(|| {
    let schema = r#"{"name":"locate","inputSchema":{"type":"object","properties":{"zone":{"type":"string","x-mcp-header":"Zone"}}}}"#;
    let github = testing::mk_modern(&["search"])
        .prompts(&["review"])
        .resources(&["github://readme"])
        .with(|listing| listing.tools.extend(Item::read(Kind::Tools, schema)));
    testing::mk_snapshot(&[
        testing::mk_upstream("github").modern(github).probe(),
        testing::mk_upstream("files")
            .modern(testing::mk_modern(&["read"]))
            .prefix("")
            .probe(),
    ])
});

/// `app` and `files` rewrite URIs and have one in common.
pub(super) static REWRITING: LazyLock<Arc<Snapshot>> = LazyLock::new(|| {
    let shown = r#"{"name":"show","_meta":{"ui":{"resourceUri":"ui://page"},"ui/resourceUri":"ui:\/\/page"}}"#;
    let app = |listing: testing::ListingBuilder| {
        let listing = listing.resources(&["file:///a.txt"]).templates(&["note://{id}"]);
        listing.with(|listing| listing.tools.extend(Item::read(Kind::Tools, shown)))
    };
    let files = |listing: testing::ListingBuilder| listing.resources(&["file:///a.txt"]);
    testing::mk_snapshot(&[
        testing::mk_upstream("app")
            .legacy(app(testing::mk_listing(&[])))
            .modern(app(testing::mk_modern(&[])))
            .rewrite(),
        testing::mk_upstream("files")
            .legacy(files(testing::mk_listing(&[])).stateless())
            .modern(files(testing::mk_modern(&[])))
            .rewrite(),
    ])
});

pub(super) static LEGACY: LazyLock<Arc<Snapshot>> = LazyLock::new(|| {
    let listing = testing::mk_listing(&["ask"]).prompts(&["say"]).resources(&["old://a"]);
    testing::mk_snapshot(&[testing::mk_upstream("old").legacy(listing)])
});

/// `mcp.example.com` with `github`, and everything below `example.org` with `files`, each on an HTTPRoute of its own.
pub(super) static ROUTED: LazyLock<Arc<Snapshot>> = LazyLock::new(|| {
    let mut settings = testing::mk_settings();
    settings.routing = Routing::Route;
    let mut endpoint = |id: &str, host: &str, tools: &[&str]| {
        settings.id = id.into();
        settings.routes = vec![format!("team/mcp-{id}").into()];
        let config = Arc::make_mut(&mut settings.config);
        config.hosts = vec![host.into()];
        let upstream = testing::mk_upstream(id).legacy(testing::mk_listing(tools));
        let inputs = testing::mk_inputs(&[upstream]);
        Folder::default().fold(&settings, &inputs).0
    };
    Arc::new(Snapshot {
        generation: 1,
        endpoints: vec![
            endpoint("default", "mcp.example.com", &["search"]),
            endpoint("files", "*.example.org", &["read"]),
        ],
    })
});

/// Each caller may make two calls of a tool and three requests in all; `github_search` costs both calls.
pub(super) static LIMITED: LazyLock<Arc<Snapshot>> = LazyLock::new(|| {
    let text = "rateLimits: [{name: calls, per: [ip, tool], limit: 2/min, cost: {github_search: 2}}, \
                {name: all, per: [session, method], limit: 3/min}]\nupstreams: [{name: a, url: 'http://a/'}]";
    let folder = std::path::Path::new("/");
    let limits = crate::engine::config::file::parse(text, folder, folder)
        .expect("valid")
        .rate_limits;
    let mut settings = testing::mk_settings();
    Arc::make_mut(&mut settings.config).rate_limits = limits;
    Arc::make_mut(&mut settings.config).limits.calls_per_session = Some(2);
    let upstream = testing::mk_upstream("github").legacy(testing::mk_listing(&["search"]));
    let inputs = testing::mk_inputs(&[upstream]);
    Arc::new(Snapshot {
        generation: 1,
        endpoints: vec![Folder::default().fold(&settings, &inputs).0],
    })
});

pub(super) static GUARDED: LazyLock<Arc<Snapshot>> = LazyLock::new(|| {
    let text = "policies: {rules: [{name: no-deletes, deny: \"tool.name.endsWith('_delete')\"}, \
                {name: few-pages, deny: \"tool.name == 'github_search' && arguments.pages > 10\"}]}\n\
                upstreams: [{name: a, url: 'http://a/'}]";
    let folder = std::path::Path::new("/");
    let policies = crate::engine::config::file::parse(text, folder, folder)
        .expect("valid")
        .policies;
    let mut settings = testing::mk_settings();
    Arc::make_mut(&mut settings.config).policies = policies;
    let upstream = testing::mk_upstream("github").legacy(testing::mk_listing(&["search", "delete"]));
    let inputs = testing::mk_inputs(&[upstream]);
    testing::mk_alone(Folder::default().fold(&settings, &inputs).0)
});

/// What `github` and `direct` are called with is exchanged for the token of their caller; `key` is kept for each.
pub(super) static DELEGATED: LazyLock<Arc<Snapshot>> = LazyLock::new(|| {
    let exchange = "exchange: {tokenUrl: 'https://idp.test/token', clientId: g, clientSecret: {env: X}}";
    let text = format!(
        "authentication: {{jwt: [{{issuer: i, audiences: [a], jwks: {{file: k}}}}]}}\nupstreams:\n\
         - {{name: github, url: 'http://a/', headers: {{x-user: '{{claims.sub}}'}}, credential: {{{exchange}}}}}\n\
         - {{name: key, url: 'http://a/', credential: {{perPrincipal: {{dir: keys}}}}}}"
    );
    let folder = std::path::Path::new("/");
    let config = crate::engine::config::file::parse(&text, folder, folder).expect("valid");
    let mut settings = testing::mk_settings();
    let authentication = config.authentication.as_ref().expect("given");
    let callers = crate::engine::policy::Callers::new(authentication, "http://gateway/mcp", &Default::default());
    settings.callers = Some(Arc::new(callers));
    let mk = |name: &str, like: usize| {
        let upstream = testing::mk_upstream(name).legacy(testing::mk_listing(&["search"]));
        upstream.config(|own| own.delegated = config.upstreams[like].delegated.clone())
    };
    let upstreams = [mk("github", 0), mk("direct", 0).direct(), mk("key", 1)];
    testing::mk_alone(Folder::default().fold(&settings, &testing::mk_inputs(&upstreams)).0)
});

/// `mine` shows every caller something else; `files` does not. Who has the key `the key` is `key:ci`.
pub(super) static OWN: LazyLock<Arc<Snapshot>> = LazyLock::new(|| {
    let text = "authentication: {required: false, apiKeys: {header: x-api-key, file: keys.yaml}}\n\
                upstreams: [{name: mine, url: 'http://mine.test/mcp', listing: perPrincipal, \
                credential: {perPrincipal: {dir: keys}}}]";
    let folder = std::path::Path::new("/");
    let config = crate::engine::config::file::parse(text, folder, folder).expect("valid");
    let credentials = Credentials {
        keys: vec![ApiKey {
            name: "ci".into(),
            digest: Sha256::digest(b"the key").into(),
            roles: vec![],
        }],
        passwords: vec![],
    };
    let mut settings = testing::mk_settings();
    let authentication = config.authentication.expect("given");
    settings.callers = Some(Arc::new(Callers::new(
        &authentication,
        "http://127.0.0.1:8001/mcp",
        &credentials,
    )));
    let [mine] = <[_; 1]>::try_from(config.upstreams).expect("one");
    let mine = testing::mk_upstream("mine").config(|config| *config = mine);
    let files = testing::mk_upstream("files").legacy(testing::mk_listing(&["read"]));
    testing::mk_alone(Folder::default().fold(&settings, &testing::mk_inputs(&[mine, files])).0)
});

/// `/mcp` leads to `github`, which nobody lists.
pub(super) fn transparent(opaque: bool) -> Arc<Snapshot> {
    let mut settings = testing::mk_settings();
    settings.transparent = Some(Arc::new(Transparent {
        path: "/mcp".into(),
        upstream: "github".into(),
        input_headers: vec!["x-tenant".into()],
        opaque,
    }));
    let upstream = testing::mk_upstream("github")
        .prefix("")
        .credential(Some("Bearer secret"));
    let upstream = upstream.config(|config| config.headers = vec![("x-team".into(), "tools".into())]);
    testing::mk_alone(Folder::default().fold(&settings, &testing::mk_inputs(&[upstream])).0)
}
