//! The routes: ways in, which lead nowhere but to the processor, and the way to each server, which only the processor can
//! choose. Of two routes for the same path Envoy Gateway takes the one with more exact headers.

use super::{GATEWAY, Make, Purpose, Remarks, backends, paths};
use crate::engine::config::{Config, Upstream};
use serde_json::{Value, json};
use url::{Host, Url};

/// The mark at the head of ids of sessions whose clients take requests.
const INSPECTED_SESSION: &str = r"^mi1\..*";
/// What no server is to see. Never `x-mcp-endpoint`: without it the session's address is not found.
const OURS: [&str; 2] = ["x-mcp-upstream", "x-mcp-route-key"];
const OF_TRANSPARENT: &str = "x-mcp-transparent";
/// What tells a server of the way behind it.
const OF_THE_WAY: [&str; 8] = [
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-envoy-external-address",
    "x-envoy-internal",
    "x-envoy-original-host",
];

pub(super) fn all(make: &Make<'_>, remarks: &mut Remarks) -> Vec<Value> {
    let mut all = Vec::new();
    if make.merges() {
        all.extend([public(make), inspected(make)]);
        for (at, upstream) in make.routed() {
            all.push(upstream_route(make, at, upstream, remarks));
        }
    }
    let slugs = paths::slugs(&make.config.transparent);
    for ((entry, upstream), slug) in make.transparent().zip(&slugs) {
        let purpose = if entry.opaque { Purpose::Opaque } else { Purpose::Public };
        let rules = json!([way_in(make, &[json!({"path": exact(&entry.path)})])]);
        all.push(make.route(purpose, &self::slug(make, slug), &spec(make, &rules)));
        let matched = [
            (OURS[0], upstream.name.as_str()),
            (OURS[1], make.route_key()),
            (OF_TRANSPARENT, "1"),
        ];
        let at = make
            .config
            .upstreams
            .iter()
            .position(|other| other.name == upstream.name);
        let rule = way_out(&entry.path, &matched, at.unwrap_or_default(), upstream, make, remarks);
        all.push(make.route(Purpose::Upstream, &out(make, slug), &spec(make, &json!([rule]))));
    }
    all
}

/// `namespace/name` of every route on which clients come in.
pub(super) fn ways_in(make: &Make<'_>) -> Vec<String> {
    let merged = ["public", "inspected"].map(|what| make.name(what));
    let merged = merged.into_iter().filter(|_| make.merges());
    let slugs = paths::slugs(&make.config.transparent);
    let transparent = slugs.iter().map(|slug| self::slug(make, slug));
    let all = merged.chain(transparent);
    all.map(|name| format!("{}/{name}", make.namespace())).collect()
}

/// The host of `publicUrl`.
pub(super) fn public_host(config: &Config) -> Option<String> {
    let url = Url::parse(&config.public_url).ok()?;
    Some(url.host_str()?.to_owned())
}

/// Name of the route to a server of the merged endpoint.
pub(super) fn to_upstream(make: &Make<'_>, upstream: &str) -> String {
    make.name(&format!("upstream.{upstream}"))
}

/// Name of the way in of a transparent path.
fn slug(make: &Make<'_>, slug: &str) -> String {
    make.name(&format!("transparent.{slug}"))
}

/// Name of the way out of a transparent path.
pub(super) fn out(make: &Make<'_>, slug: &str) -> String {
    make.name(&format!("transparent-upstream.{slug}"))
}

fn public(make: &Make<'_>) -> Value {
    let mut rules = vec![way_in(make, &[json!({"path": exact(&make.config.path)})])];
    if make.config.authentication.is_some() {
        // Where tokens come from (RFC 9728): answered by the processor.
        let metadata = json!({"type": "PathPrefix", "value": "/.well-known/oauth-protected-resource"});
        rules.push(way_in(make, &[json!({"path": metadata})]));
    }
    make.route(Purpose::Public, &make.name("public"), &spec(make, &rules.into()))
}

fn inspected(make: &Make<'_>) -> Value {
    let marked = json!({"name": "mcp-session-id", "type": "RegularExpression", "value": INSPECTED_SESSION});
    let rule = way_in(make, &[json!({"path": exact(&make.config.path), "headers": [marked]})]);
    make.route(Purpose::Inspected, &make.name("inspected"), &spec(make, &json!([rule])))
}

fn upstream_route(make: &Make<'_>, at: usize, upstream: &Upstream, remarks: &mut Remarks) -> Value {
    let matched = [(OURS[0], upstream.name.as_str()), (OURS[1], make.route_key())];
    let rule = way_out(&make.config.path, &matched, at, upstream, make, remarks);
    let name = to_upstream(make, &upstream.name);
    make.route(Purpose::Upstream, &name, &spec(make, &json!([rule])))
}

fn way_in(make: &Make<'_>, matches: &[Value]) -> Value {
    json!({
        "matches": matches,
        // Else a stream of server-sent events ends after 15 s.
        "timeouts": {"request": "0s"},
        "backendRefs": [backends::reference(&make.name("fallback"))],
    })
}

/// The path stays as it came until this route is chosen, by these headers.
fn way_out(
    path: &str,
    matched: &[(&str, &str)],
    at: usize,
    upstream: &Upstream,
    make: &Make<'_>,
    remarks: &mut Remarks,
) -> Value {
    let headers = matched
        .iter()
        .map(|(name, value)| json!({"name": name, "type": "Exact", "value": value}));
    let ours = matched.iter().map(|(name, _)| *name);
    let removed: Vec<&str> = ours.chain(OF_THE_WAY).collect();
    json!({
        "matches": [{"path": exact(path), "headers": headers.collect::<Vec<Value>>()}],
        "filters": [
            {"type": "URLRewrite", "urlRewrite": rewrite(at, upstream, remarks)},
            {"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": removed}},
        ],
        "timeouts": {"request": "0s"},
        "backendRefs": [backends::reference(&backends::of_upstream(make, &upstream.name))],
    })
}

/// Host and path of the server.
fn rewrite(at: usize, upstream: &Upstream, remarks: &mut Remarks) -> Value {
    let key = format!("upstreams[{at}].url");
    if upstream.url.query().is_some() {
        remarks.stop(
            &key,
            "has a query, which Envoy Gateway cannot add: take it out, or say via: direct",
        );
    }
    let mut rewrite = json!({"path": {"type": "ReplaceFullPath", "replaceFullPath": upstream.url.path()}});
    match upstream.url.host() {
        Some(Host::Domain(name)) => rewrite["hostname"] = name.trim_end_matches('.').into(),
        Some(Host::Ipv4(_) | Host::Ipv6(_)) | None => {
            remarks.tell(
                &key,
                "is an address: the server gets the client's Host, Envoy Gateway writes names only",
            );
        }
    }
    rewrite
}

fn exact(path: &str) -> Value {
    json!({"type": "Exact", "value": path})
}

fn spec(make: &Make<'_>, rules: &Value) -> Value {
    let parent = json!({"group": super::GATEWAY_API, "kind": GATEWAY.kind, "name": make.gateway()});
    let mut spec = json!({"parentRefs": [parent], "rules": rules});
    let hosts = hosts(make.config);
    if !hosts.is_empty() {
        spec["hostnames"] = hosts.into();
    }
    spec
}

/// Names only: where one of the hosts is an address, any host is taken here, and the processor checks.
fn hosts(config: &Config) -> Vec<String> {
    let mut hosts: Vec<String> = Vec::new();
    for host in public_host(config).into_iter().chain(config.hosts.iter().cloned()) {
        match Host::parse(&host) {
            Ok(Host::Domain(_)) if hosts.contains(&host) => {}
            Ok(Host::Domain(_)) => hosts.push(host),
            Ok(Host::Ipv4(_) | Host::Ipv6(_)) | Err(_) => return Vec::new(),
        }
    }
    hosts
}
