//! The objects that make one configuration file a gateway on Envoy Gateway, without our controller. Pure: a configuration
//! in, documents out.
//!
//! ```text
//! listener   GatewayClass, Gateway, ClientTrafficPolicy     who comes in, and with what
//! pods       ConfigMap, Secret, EnvoyProxy                  the processor beside Envoy, with its part of the file
//! backends   Backend                                        processor, fallback, servers, issuers of tokens
//! policies   EnvoyExtensionPolicy                           the processor in the routes
//! security   SecurityPolicy                                 cors, addresses, tokens: before the processor
//! traffic    BackendTrafficPolicy                           rate limits by address; breakers and outliers of each server
//! routes     HTTPRoute                                      ways in, and the way to each server
//! ```
//! That is also the order in which they must be created: a route without its policy is an open door. What Envoy Gateway
//! cannot express is a [`Remark`] that names the key: one that stops, or one that is told.

mod backends;
mod listener;
mod paths;
mod pods;
mod policies;
mod print;
mod routes;
mod security;
mod settings;
mod traffic;

use super::objects::names;
use super::plan::Place;
use crate::engine::config::{Config, Protocol, Transparent, Upstream, Via};
use serde_json::{Value, json};
use settings::Settings;
use std::path::{Path, PathBuf};
use std::time::Duration;
use url::Host;

/// Stands in the objects where the route key is to be filled in.
pub const KEY_PLACEHOLDER: &str = "REPLACE-WITH-THE-ROUTE-KEY";
/// Label of everything that is rendered for one Gateway; its value is the Gateway's.
const RENDERED: &str = "mcp-manifold/file-of";

/// What the configuration does not say.
pub struct Site<'a> {
    /// The Gateway that is made; nearly everything stands in its namespace.
    pub gateway: &'a Place,
    /// A GatewayClass that is there already; `None`: one is made.
    pub class: Option<&'a str>,
    /// Values of the chart, see [`super::manifests::values`]: image, processor, namespace of Envoy's pods.
    pub values: &'a Value,
    /// Value of `x-mcp-route-key`; `None`: [`KEY_PLACEHOLDER`] stands in its place.
    pub route_key: Option<&'a str>,
    /// Reads what is no secret: certificates of authorities, public keys.
    pub read: &'a dyn Fn(&Path) -> std::io::Result<String>,
}

/// Everything that is to be printed.
pub struct Rendered {
    /// In the order of creation.
    pub documents: Vec<Value>,
    /// The Secrets that the documents name, and that somebody has to make.
    pub secrets: Vec<SecretWanted>,
    /// What comes out otherwise than the file says.
    pub remarks: Vec<Remark>,
}

/// A Secret that the objects name.
pub struct SecretWanted {
    /// Where it stands.
    pub place: Place,
    /// What it must hold.
    pub entries: Vec<(String, Source)>,
    /// Its type.
    pub kind: SecretKind,
    /// Value of the label of all objects.
    label: String,
}

/// Type of a Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretKind {
    /// Anything.
    Opaque,
    /// Certificate and key.
    Tls,
}

/// Where the value of a Secret's key is found on the operator's side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// An environment variable.
    Env(String),
    /// A file.
    File(PathBuf),
    /// The route key.
    RouteKey,
}

/// Something about one key of the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {message}")]
pub struct Remark {
    /// `upstreams[2].url`
    pub key: String,
    /// In one line.
    pub message: String,
}

/// Renders what `config` asks for; `tree` is the same file as it was written, `folder` the one that its relative paths
/// start at.
///
/// # Errors
/// Every key that Envoy Gateway cannot express, where leaving it out would be wrong.
pub fn render(config: &Config, tree: &Value, folder: &Path, site: &Site<'_>) -> Result<Rendered, Vec<Remark>> {
    let mut remarks = Remarks::default();
    let mut make = Make {
        config,
        site,
        label: names::gateway_label(site.gateway),
        settings: Settings::default(),
    };
    make.settings = settings::of(&make, tree, folder, &mut remarks);
    settings::remarks(config, tree, &mut remarks);
    let documents = [
        pods::all(&make, &mut remarks),
        listener::all(&make, &mut remarks),
        backends::all(&make, &mut remarks),
        policies::all(&make),
        security::all(&make, &mut remarks),
        traffic::all(&make, &mut remarks),
        routes::all(&make, &mut remarks),
    ]
    .concat();
    let secrets = [Some(pods::secret(&make)), listener::secret(&make)];
    match remarks.stops.is_empty() {
        true => Ok(Rendered {
            documents,
            secrets: secrets.into_iter().flatten().collect(),
            remarks: remarks.told,
        }),
        false => Err(remarks.stops),
    }
}

/// What was found out on the way.
#[derive(Default)]
struct Remarks {
    stops: Vec<Remark>,
    told: Vec<Remark>,
}

impl Remarks {
    fn stop(&mut self, key: impl Into<String>, message: impl Into<String>) {
        self.stops.push(Remark {
            key: key.into(),
            message: message.into(),
        });
    }

    fn tell(&mut self, key: impl Into<String>, message: impl Into<String>) {
        self.told.push(Remark {
            key: key.into(),
            message: message.into(),
        });
    }
}

/// What every object is made from.
struct Make<'a> {
    config: &'a Config,
    site: &'a Site<'a>,
    /// Value of the label [`RENDERED`].
    label: String,
    settings: Settings,
}

/// A kind of object.
struct Kind {
    version: &'static str,
    kind: &'static str,
}

const GATEWAY_API: &str = "gateway.networking.k8s.io";
const ENVOY_GATEWAY: &str = "gateway.envoyproxy.io";
const CONFIG_MAP: Kind = kind("v1", "ConfigMap");
const CLASS: Kind = kind("gateway.networking.k8s.io/v1", "GatewayClass");
const GATEWAY: Kind = kind("gateway.networking.k8s.io/v1", "Gateway");
const ROUTE: Kind = kind("gateway.networking.k8s.io/v1", "HTTPRoute");
const PROXY: Kind = kind("gateway.envoyproxy.io/v1alpha1", "EnvoyProxy");
const BACKEND: Kind = kind("gateway.envoyproxy.io/v1alpha1", "Backend");
const CLIENTS: Kind = kind("gateway.envoyproxy.io/v1alpha1", "ClientTrafficPolicy");
const EXTENSION: Kind = kind("gateway.envoyproxy.io/v1alpha1", "EnvoyExtensionPolicy");
const SECURITY: Kind = kind("gateway.envoyproxy.io/v1alpha1", "SecurityPolicy");
const TRAFFIC: Kind = kind("gateway.envoyproxy.io/v1alpha1", "BackendTrafficPolicy");

const fn kind(version: &'static str, kind: &'static str) -> Kind {
    Kind { version, kind }
}

/// What a route is for; policies select routes by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// Clients come in.
    Public,
    /// The same, and what servers answer passes the processor too.
    Inspected,
    /// Clients come in, and bodies are nobody's business.
    Opaque,
    /// The way to a server.
    Upstream,
}

impl Purpose {
    const ALL: [Self; 4] = [Self::Public, Self::Inspected, Self::Opaque, Self::Upstream];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Inspected => "inspected",
            Self::Opaque => "opaque",
            Self::Upstream => "upstream",
        }
    }
}

impl<'a> Make<'a> {
    fn gateway(&self) -> &'a str {
        &self.site.gateway.name
    }

    fn namespace(&self) -> &'a str {
        &self.site.gateway.namespace
    }

    /// The namespace of Envoy's pods.
    fn pods(&self) -> &'a str {
        self.site.values["proxyNamespace"].as_str().unwrap_or_default()
    }

    /// `<gateway>-<what>`, the name of an object beside the Gateway.
    fn name(&self, what: &str) -> String {
        format!("{}-{what}", self.gateway())
    }

    /// An object beside the Gateway.
    fn object(&self, kind: &Kind, name: &str, spec: &Value) -> Value {
        let mut body = self.bare(kind, Some(self.namespace()), name);
        body["spec"] = spec.clone();
        body
    }

    /// A route that policies find by its purpose.
    fn route(&self, purpose: Purpose, name: &str, spec: &Value) -> Value {
        let mut body = self.object(&ROUTE, name, spec);
        body["metadata"]["labels"][names::PURPOSE] = purpose.as_str().into();
        body
    }

    /// Without its content.
    fn bare(&self, kind: &Kind, namespace: Option<&str>, name: &str) -> Value {
        let mut body = json!({
            "apiVersion": kind.version,
            "kind": kind.kind,
            "metadata": {"name": name, "labels": {RENDERED: &self.label}},
        });
        if let Some(namespace) = namespace {
            body["metadata"]["namespace"] = namespace.into();
        }
        body
    }

    /// Selects the routes with this purpose.
    fn selector(&self, purpose: Purpose) -> Value {
        json!({
            "group": GATEWAY_API,
            "kind": ROUTE.kind,
            "matchLabels": {RENDERED: &self.label, names::PURPOSE: purpose.as_str()},
        })
    }

    /// The Gateway, as policies name it.
    fn target(&self) -> Value {
        json!({"group": GATEWAY_API, "kind": GATEWAY.kind, "name": self.gateway()})
    }

    fn route_key(&self) -> &'a str {
        self.site.route_key.unwrap_or(KEY_PLACEHOLDER)
    }

    /// Whether there is a merged endpoint: also where there is nothing at all.
    fn merges(&self) -> bool {
        self.config.transparent.is_empty() || self.config.upstreams.iter().any(|upstream| upstream.merge)
    }

    /// Upstreams that Envoy reaches by a route of the merged endpoint, with their place in the file.
    fn routed(&self) -> impl Iterator<Item = (usize, &'a Upstream)> {
        let all = self.config.upstreams.iter().enumerate();
        all.filter(|(_, upstream)| {
            upstream.merge && upstream.via == Via::Envoy && upstream.protocol == Protocol::Streamable
        })
    }

    /// Transparent paths and their upstream.
    fn transparent(&self) -> impl Iterator<Item = (&'a Transparent, &'a Upstream)> {
        let config = self.config;
        let all = config.transparent.iter();
        all.filter_map(|entry| {
            let mut upstreams = config.upstreams.iter();
            Some((entry, upstreams.find(|upstream| upstream.name == entry.upstream)?))
        })
    }

    /// Upstreams that Envoy reaches by any route.
    fn reached(&self) -> impl Iterator<Item = (usize, &'a Upstream)> {
        let by_path = |name: &str| self.config.transparent.iter().any(|entry| entry.upstream == name);
        let routed: Vec<usize> = self.routed().map(|(at, _)| at).collect();
        let all = self.config.upstreams.iter().enumerate();
        all.filter(move |(at, upstream)| routed.contains(at) || by_path(&upstream.name))
    }
}

/// As the Gateway API writes durations: at most five digits of a unit.
fn span(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    let (seconds, rest) = (milliseconds / 1000, milliseconds % 1000);
    if rest == 0 && seconds <= 99_999 {
        return format!("{seconds}s");
    }
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let units = [(hours.min(99_999), "h"), (minutes, "m"), (seconds, "s"), (rest, "ms")];
    let units = units.into_iter().filter(|(count, _)| *count > 0);
    units.map(|(count, unit)| format!("{count}{unit}")).collect()
}

/// Whether a host is the pod itself, where nothing of the operator's machine runs.
fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => {
            let name = name.trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost")
        }
        Host::Ipv4(address) => address.is_loopback() || address.is_unspecified(),
        Host::Ipv6(address) => address.is_loopback() || address.is_unspecified(),
    }
}

#[cfg(test)]
mod tests;
