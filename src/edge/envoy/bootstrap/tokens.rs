//! The filter that verifies callers' tokens, and the clusters that their issuers' public keys are fetched from.

use super::RenderError;
use crate::edge::envoy::clusters::{self, seconds};
use crate::edge::envoy::template::Fill;
use crate::engine::config::{Authority, Config, Issuer, Jwks};
use serde_json::{Value, json};
use std::path::Path;
use url::Url;

/// The filter; empty: no tokens are asked for.
pub(super) fn filter(config: &Config) -> String {
    let issuers = issuers(config);
    if issuers.is_empty() {
        return String::new();
    }
    let providers = numbered(issuers).map(|(at, issuer)| provider(&name(at), issuer, config));
    let verified = numbered(issuers).map(|(at, _)| json!({ "provider_name": name(at) }));
    let requirements: Vec<Value> = verified.chain([json!({ "allow_missing_or_failed": {} })]).collect();
    Fill::default()
        .block("providers", providers.collect::<String>())
        .value("requirements", requirements)
        .fill(include_str!("../template/jwt_authn.yaml"))
}

fn provider(name: &str, issuer: &Issuer, config: &Config) -> String {
    Fill::default()
        .value("name", name)
        .value("issuer", &issuer.issuer)
        .value("audiences", issuer.audiences_or(&config.public_url))
        .block("jwks", jwks(name, &issuer.jwks))
        .fill(include_str!("../template/jwt_provider.yaml"))
}

fn jwks(cluster: &str, jwks: &Jwks) -> String {
    match jwks {
        Jwks::Url { url, refresh, .. } => Fill::default()
            .value("uri", url.as_str())
            .value("cluster", cluster)
            .inline("refresh", seconds(*refresh))
            .fill(include_str!("../template/jwks_remote.yaml")),
        Jwks::File(file) => Fill::default()
            .value("file", file.to_string_lossy())
            .fill("local_jwks: { filename: ${file} }"),
    }
}

/// The clusters; empty: nothing is fetched.
///
/// # Errors
/// An `https` URL without any certificate authority, or one without a host.
pub(super) fn clusters(config: &Config, roots: Option<&Path>) -> Result<String, RenderError> {
    let mut all = String::new();
    for (at, issuer) in numbered(issuers(config)) {
        if let Jwks::Url { url, ca, .. } = &issuer.jwks {
            let roots = ca.as_ref().and_then(Authority::file).or(roots);
            all.push_str(&cluster(&name(at), &issuer.issuer, url, roots)?);
        }
    }
    Ok(if all.is_empty() {
        all
    } else {
        include_str!("../template/jwks_cluster_comment.yaml").to_owned() + &all
    })
}

fn cluster(name: &str, issuer: &str, url: &Url, roots: Option<&Path>) -> Result<String, RenderError> {
    let peer = clusters::Peer::of(url).ok_or_else(|| RenderError::NoHost(issuer.to_owned()))?;
    let transport_socket = match (url.scheme(), roots) {
        ("https", None) => return Err(RenderError::NoRoots(issuer.to_owned())),
        ("https", Some(roots)) => peer.tls(roots),
        (_, _) => String::new(),
    };
    Ok(Fill::default()
        .value("name", name)
        .block("discovery", peer.discovery())
        .value("address", &peer.address)
        .value("port", peer.port)
        .block("transport_socket", transport_socket)
        .fill(include_str!("../template/jwks_cluster.yaml")))
}

fn issuers(config: &Config) -> &[Issuer] {
    config
        .authentication
        .as_ref()
        .map_or(&[], |authentication| &authentication.jwt)
}

fn numbered(issuers: &[Issuer]) -> impl Iterator<Item = (usize, &Issuer)> {
    issuers.iter().enumerate()
}

/// Of provider and cluster. No upstream can take it: theirs have no underscore.
fn name(at: usize) -> String {
    format!("mcp_manifold_issuer_{at}")
}
