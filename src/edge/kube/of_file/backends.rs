//! Whom Envoy asks: the processor, the servers, the issuers of tokens.

use super::{BACKEND, CONFIG_MAP, Make, Remarks, is_loopback};
use crate::edge::kube::objects::{EXT_PROC_SOCKET, FALLBACK_HOST, FALLBACK_PORT};
use crate::engine::config::{Authority, Issuer, Jwks};
use serde_json::{Value, json};
use std::net::IpAddr;
use url::{Host, Url};

/// What a URL of the own machine is told.
pub(super) const LOOPBACK: &str = "is this machine, which is Envoy's pod there: name the host as the cluster knows it";

pub(super) fn all(make: &Make<'_>, remarks: &mut Remarks) -> Vec<Value> {
    let mut all = vec![processor(make), fallback(make)];
    for (at, upstream) in make.reached() {
        let peer = Peer {
            key: format!("upstreams[{at}].url"),
            url: &upstream.url,
            ca: upstream.ca.as_ref(),
        };
        all.extend(peer.objects(make, &of_upstream(make, &upstream.name), remarks));
    }
    for (at, issuer) in make.issuers() {
        if let Jwks::Url { url, ca, .. } = &issuer.jwks {
            let peer = Peer {
                key: format!("authentication.jwt[{at}].jwks.url"),
                url,
                ca: ca.as_ref(),
            };
            all.extend(peer.objects(make, &of_issuer(make, at), remarks));
        }
    }
    if let Some(telemetry) = &make.config.telemetry {
        let peer = Peer {
            key: "telemetry.otlp".to_owned(),
            url: &telemetry.otlp,
            ca: telemetry.ca.as_ref(),
        };
        let mut collector = peer.objects(make, &of_collector(make), remarks);
        // OTLP over gRPC.
        let backends = collector.iter_mut().filter(|body| body["kind"] == BACKEND.kind);
        let specs = backends.map(|body| &mut body["spec"]);
        specs.for_each(|spec| spec["appProtocols"] = json!(["gateway.envoyproxy.io/h2c"]));
        all.extend(collector);
    }
    all
}

/// Name of the Backend of the collector of spans.
pub(super) fn of_collector(make: &Make<'_>) -> String {
    make.name("collector")
}

/// Name of the Backend of a server.
pub(super) fn of_upstream(make: &Make<'_>, upstream: &str) -> String {
    make.name(&format!("upstream.{upstream}"))
}

/// Name of the Backend of an issuer's public keys.
pub(super) fn of_issuer(make: &Make<'_>, at: usize) -> String {
    make.name(&format!("issuer-{at}"))
}

/// How objects beside it name a Backend.
pub(super) fn reference(name: &str) -> Value {
    json!({"group": super::ENVOY_GATEWAY, "kind": BACKEND.kind, "name": name})
}

fn processor(make: &Make<'_>) -> Value {
    let spec = json!({
        "endpoints": [{"unix": {"path": EXT_PROC_SOCKET}}],
        "appProtocols": ["gateway.envoyproxy.io/h2c"],
    });
    make.object(&BACKEND, &make.name("processor"), &spec)
}

/// Where ways in lead: only what the processor did not send on gets there.
fn fallback(make: &Make<'_>) -> Value {
    let spec = json!({"endpoints": [{"fqdn": {"hostname": FALLBACK_HOST, "port": FALLBACK_PORT}}]});
    make.object(&BACKEND, &make.name("fallback"), &spec)
}

impl<'a> Make<'a> {
    /// Whose tokens count, with their place in the file.
    pub(super) fn issuers(&self) -> impl Iterator<Item = (usize, &'a Issuer)> {
        let authentication = self.config.authentication.iter();
        authentication.flat_map(|authentication| authentication.jwt.iter().enumerate())
    }
}

/// Somebody at a URL.
struct Peer<'a> {
    /// The key of the file that names it.
    key: String,
    url: &'a Url,
    ca: Option<&'a Authority>,
}

impl Peer<'_> {
    fn objects(&self, make: &Make<'_>, name: &str, remarks: &mut Remarks) -> Vec<Value> {
        let key = self.key.clone();
        let (Some(host), Some(port)) = (self.url.host(), self.url.port_or_known_default()) else {
            remarks.stop(key, "has no host or port");
            return Vec::new();
        };
        if is_loopback(&host) {
            remarks.stop(&key, LOOPBACK);
        }
        let address = |address: IpAddr| json!({"ip": {"address": address.to_string(), "port": port}});
        let endpoint = match &host {
            Host::Domain(domain) => json!({"fqdn": {"hostname": domain.trim_end_matches('.'), "port": port}}),
            Host::Ipv4(found) => address((*found).into()),
            Host::Ipv6(found) => address((*found).into()),
        };
        let mut spec = json!({"endpoints": [endpoint]});
        let authority = self.ca.map(|_| format!("{name}-ca"));
        if self.url.scheme() == "https" {
            spec["tls"] = self.tls(&key, &host, authority.as_deref(), remarks);
        }
        let backend = make.object(&BACKEND, name, &spec);
        let certificates = authority.map(|authority| self.certificates(make, &authority, remarks));
        certificates.into_iter().chain([backend]).collect()
    }

    /// Envoy compares the certificate with the name that it asked for: without `sni` it would take anybody's.
    fn tls(&self, key: &str, host: &Host<&str>, authority: Option<&str>, remarks: &mut Remarks) -> Value {
        let name = match host {
            Host::Domain(name) => name.trim_end_matches('.'),
            Host::Ipv4(_) | Host::Ipv6(_) => {
                remarks.stop(
                    key,
                    "is https by address: Envoy Gateway compares certificates with names only",
                );
                ""
            }
        };
        match authority {
            Some(authority) => {
                json!({"sni": name, "caCertificateRefs": [{"group": "", "kind": CONFIG_MAP.kind, "name": authority}]})
            }
            None => json!({"sni": name, "wellKnownCACertificates": "System"}),
        }
    }

    fn certificates(&self, make: &Make<'_>, name: &str, remarks: &mut Remarks) -> Value {
        let text = match self.ca {
            Some(Authority::File(file)) => (make.site.read)(file).unwrap_or_else(|error| {
                remarks.stop(self.key.clone(), format!("{}: {error}", file.display()));
                String::new()
            }),
            Some(Authority::Pem(text) | Authority::Added(text)) => text.as_ref().to_owned(),
            None => String::new(),
        };
        let mut body = make.bare(&CONFIG_MAP, Some(make.namespace()), name);
        body["data"] = json!({"ca.crt": text});
        body
    }
}
