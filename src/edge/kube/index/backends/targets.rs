//! Which MCP servers the targets of a backend object are: those it names, and the Services that its selectors find.
//!
//! As agentgateway discovers them: every port with an MCP `appProtocol` of every selected Service is a target. Otherwise
//! than there, one Service with a mistake is left out for itself, and of two with one name the older stays.

use super::super::object::{Age, Kind, Object, age, place, place_of};
use super::super::services;
use super::super::store::Reader;
use super::names;
use crate::edge::kube::plan::Place;
use crate::edge::kube::resources::{Mcp, McpTarget, Selector, StaticProtocol, StaticTarget};
use crate::engine::config::Protocol;
use k8s_openapi::api::core::v1::{Service, ServicePort};
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

/// The name of a Service's targets.
const TARGET_NAME: &str = "agentgateway.dev/mcp-target-name";
/// The path of a Service's MCP endpoint, in both groups.
const PATHS: [&str; 2] = ["agentgateway.dev/mcp-path", "kgateway.dev/mcp-path"];
/// What a Service's port may speak.
const PROTOCOLS: [(&str, Protocol); 4] = [
    ("agentgateway.dev/mcp", Protocol::Streamable),
    ("kgateway.dev/mcp", Protocol::Streamable),
    ("agentgateway.dev/mcp-sse", Protocol::Sse),
    ("kgateway.dev/mcp-sse", Protocol::Sse),
];

/// The longest path that an HTTPRoute may rewrite to.
const MAX_PATH: usize = 1024;
/// What is wrong with a path.
const NO_PATH: &str = "path must begin with / and be a path of a URL, without a query";

/// One MCP server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// Unique in its backend object.
    pub name: String,
    /// Where it is.
    pub at: At,
    /// The port there.
    pub port: u16,
    /// `:path` of its MCP endpoint.
    pub path: String,
    /// How it is spoken to.
    pub protocol: Protocol,
}

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// A Service of the cluster.
    Service(Place),
    /// A host that DNS knows, or an address.
    Host {
        /// The name or address.
        host: String,
        /// By TLS, for this name.
        tls: Option<String>,
    },
}

/// The targets, and what came to none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// In the order that decides who owns a name: those of the object itself, then Services, the oldest first. So one
    /// that comes later never takes a name away.
    pub targets: Vec<Target>,
    /// A sentence for each that was left out.
    pub left_out: Vec<String>,
}

/// Finds them.
pub(crate) fn find(reader: &mut Reader<'_>, own: &Place, mcp: &Mcp) -> Found {
    let mut found = Found::default();
    let mut selected = BTreeMap::new();
    for entry in &mcp.targets {
        match (&entry.fixed, &entry.selector) {
            (Some(fixed), None) => match named(own, entry, fixed) {
                Ok(target) => found.targets.push(target),
                Err(sentence) => found.left_out.push(sentence),
            },
            (None, Some(selector)) => selected.extend(select(reader, own, selector)),
            (Some(_), Some(_)) | (None, None) => {
                let sentence = format!("target {:?} needs either selector or static", entry.name);
                found.left_out.push(sentence);
            }
        }
    }
    for service in selected.values() {
        served(service, &mut found);
    }
    unique(&mut found);
    found
}

/// A server that the object names itself.
fn named(own: &Place, entry: &McpTarget, fixed: &StaticTarget) -> Result<Target, String> {
    let wrong = |what: &str| format!("target {:?}: {what}", entry.name);
    let port = u16::try_from(fixed.port).ok().filter(|port| *port > 0);
    let path = fixed.effective_path();
    if !names::is_subdomain(&entry.name) {
        return Err(wrong("its name must be a DNS subdomain"));
    }
    if !is_path(path) {
        return Err(wrong(NO_PATH));
    }
    let port = port.ok_or_else(|| wrong("port must be a number from 1 to 65535"))?;
    let at = match (fixed.host.as_deref(), &fixed.backend_ref) {
        (Some(host), None) if is_host(host) => host_of(host, port, fixed).map_err(|what| wrong(&what))?,
        (Some(_), None) => {
            return Err(wrong(
                "host must be a name or an address, without scheme, port and path",
            ));
        }
        (None, Some(reference)) => At::Service(place(&own.namespace, &reference.name)),
        (Some(_) | None, Some(_) | None) => return Err(wrong("static needs either host or backendRef")),
    };
    Ok(Target {
        name: entry.name.clone(),
        at,
        port,
        path: path.to_owned(),
        protocol: match fixed.protocol {
            Some(StaticProtocol::Sse) => Protocol::Sse,
            Some(StaticProtocol::StreamableHTTP | StaticProtocol::Other) | None => Protocol::Streamable,
        },
    })
}

/// Whether a generated HTTPRoute may rewrite to it.
fn is_path(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@%".contains(&byte);
    text.starts_with('/') && text.len() <= MAX_PATH && text.bytes().all(plain)
}

fn is_host(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    text.parse::<IpAddr>().is_ok() || (!text.is_empty() && text.bytes().all(plain))
}

/// Port 443 means TLS, and so does a policy that says so. A name is looked up and shown to the server alike; only at an
/// address it can be another one.
fn host_of(host: &str, port: u16, fixed: &StaticTarget) -> Result<At, String> {
    let policy = fixed.rest.get("policies").and_then(|policies| policies.get("tls"));
    let sni = policy.and_then(|tls| tls.get("sni")?.as_str());
    if let Some(sni) = sni.filter(|sni| host.parse::<IpAddr>().is_err() && !sni.eq_ignore_ascii_case(host)) {
        return Err(format!(
            "policies.tls.sni is {sni:?} and host is the name {host:?}: set host to {sni:?}, or to the server's address"
        ));
    }
    let tls = policy.is_some() || port == 443;
    Ok(At::Host {
        host: host.to_owned(),
        tls: tls.then(|| sni.unwrap_or(host).to_owned()),
    })
}

/// The Services of one selector, by age.
fn select<'a>(reader: &mut Reader<'a>, own: &Place, selector: &Selector) -> Vec<(Age, &'a Arc<Service>)> {
    let namespaces: Vec<Arc<str>> = match &selector.namespaces {
        None => vec![Arc::clone(&own.namespace)],
        Some(chosen) => {
            let all = reader.all(Kind::Namespace).into_iter();
            let fitting = all.filter(|object| services::selects(chosen, object.meta().labels.as_ref()));
            fitting.map(|object| object.key().place.name).collect()
        }
    };
    let mut found = Vec::new();
    for namespace in namespaces {
        for object in reader.within(Kind::Service, &namespace) {
            let Object::Service(service) = object else { continue };
            let labels = service.metadata.labels.as_ref();
            if selector
                .services
                .as_ref()
                .is_none_or(|wanted| services::selects(wanted, labels))
            {
                found.push((age(&service.metadata), service));
            }
        }
    }
    found
}

/// Every MCP port of a selected Service.
fn served(service: &Arc<Service>, found: &mut Found) {
    let at = place_of(&service.metadata);
    let annotation = |key: &str| {
        service
            .metadata
            .annotations
            .as_ref()
            .and_then(|all| all.get(key))
            .map(String::as_str)
    };
    let given_path = PATHS.into_iter().find_map(annotation).filter(|path| !path.is_empty());
    let given_name = annotation(TARGET_NAME).filter(|name| !name.is_empty());
    for (port, protocol) in mcp_ports(service) {
        if let Some(name) = given_name.filter(|name| !names::is_subdomain(name)) {
            let sentence = format!("Service {at}: annotation {TARGET_NAME} must be a DNS subdomain, it is {name:?}");
            found.left_out.push(sentence);
            return;
        }
        let usual = if protocol == Protocol::Sse { "/sse" } else { "/mcp" };
        let path = given_path.unwrap_or(usual);
        if !is_path(path) {
            found.left_out.push(format!("Service {at}: annotated {NO_PATH}"));
            return;
        }
        let Ok(number) = u16::try_from(port.port) else { continue };
        found.targets.push(Target {
            name: given_name.map_or_else(|| names::of_port(&at.name, port), str::to_owned),
            at: At::Service(at.clone()),
            port: number,
            path: path.to_owned(),
            protocol,
        });
    }
}

fn mcp_ports(service: &Service) -> impl Iterator<Item = (&ServicePort, Protocol)> {
    let ports = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
    ports.filter_map(|port| {
        let said = port.app_protocol.as_deref()?;
        let (_, protocol) = PROTOCOLS.into_iter().find(|(name, _)| *name == said)?;
        Some((port, protocol))
    })
}

/// Of several with one name the first stays.
fn unique(found: &mut Found) {
    let mut first: HashMap<String, String> = HashMap::new();
    let left_out = &mut found.left_out;
    found.targets.retain(|target| {
        let here = target.describe();
        match first.get(&target.name) {
            None => {
                first.insert(target.name.clone(), here);
                true
            }
            Some(other) => {
                left_out.push(format!(
                    "{here}: the name {:?} belongs to {other}; annotate one of them with {TARGET_NAME}",
                    target.name
                ));
                false
            }
        }
    });
}

impl Target {
    /// For messages.
    #[must_use]
    pub(crate) fn describe(&self) -> String {
        match &self.at {
            At::Service(service) => format!("port {} of Service {service}", self.port),
            At::Host { host, tls: _ } => format!("{host}:{}", self.port),
        }
    }
}
