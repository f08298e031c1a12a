//! How Envoy reaches the processor: its ext_proc service, and its port that answers 530 to what was not routed on.
//!
//! In an Envoy pod the service is a Unix socket. Envoy Gateway takes neither sockets nor loopback addresses as backends
//! of routes, so the fallback is a name that resolves to loopback without a name server (RFC 6761, 6.3).

use super::names::{self, Purpose};
use super::{BACKEND, GRANT, Make, Object, POLICY, ROUTE};
use crate::edge::kube::plan::{Place, Processor};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Where the processor in an Envoy pod serves ext_proc.
pub const EXT_PROC_SOCKET: &str = "/var/run/mcp-manifold/ext-proc.sock";
/// Where a processor of its own pod serves ext_proc.
pub const EXT_PROC_PORT: u16 = 9002;
/// Where a processor answers 530; in an Envoy pod on loopback only.
pub const FALLBACK_PORT: u16 = 9003;
/// The name of that loopback address.
pub const FALLBACK_HOST: &str = "mcp-manifold.localhost";

/// What the policies of a namespace name where processors are in the Envoy pods.
pub(super) fn backend(make: &Make<'_>, namespace: &Arc<str>) -> Option<Object> {
    let spec = json!({
        "endpoints": [{"unix": {"path": EXT_PROC_SOCKET}}],
        "appProtocols": ["gateway.envoyproxy.io/h2c"],
    });
    in_envoy_pods(make).then(|| make.shared(&BACKEND, Purpose::Processor, backend_place(make, namespace), spec))
}

/// The `backendRefs` of the policies in this namespace.
pub(super) fn backend_refs(make: &Make<'_>, namespace: &Arc<str>) -> Value {
    match make.gateway.processor {
        Processor::Sidecar => local_backend(&backend_place(make, namespace)),
        Processor::Deployment => service_port(make, EXT_PROC_PORT),
    }
}

/// What public routes of a namespace name where processors are in the Envoy pods.
pub(super) fn fallback(make: &Make<'_>, namespace: &Arc<str>) -> Option<Object> {
    let spec = json!({"endpoints": [{"fqdn": {"hostname": FALLBACK_HOST, "port": FALLBACK_PORT}}]});
    let place = fallback_place(make, namespace);
    in_envoy_pods(make).then(|| make.shared(&BACKEND, Purpose::Processor, place, spec))
}

/// The `backendRefs` of public routes in this namespace.
pub(super) fn fallback_refs(make: &Make<'_>, namespace: &Arc<str>) -> Value {
    match make.gateway.processor {
        Processor::Sidecar => local_backend(&fallback_place(make, namespace)),
        Processor::Deployment => service_port(make, FALLBACK_PORT),
    }
}

/// Lets public routes of these namespaces, and policies of those, name the processors' Service.
pub(super) fn grant(make: &Make<'_>, routes: &BTreeSet<Arc<str>>, policies: &BTreeSet<Arc<str>>) -> Option<Object> {
    let own = &make.settings.namespace;
    let from = |kind: &super::Kind, namespaces: &BTreeSet<Arc<str>>| -> Vec<Value> {
        let others = namespaces.iter().filter(|namespace| *namespace != own);
        let from = others.map(|namespace| json!({"group": kind.group, "kind": kind.kind, "namespace": &**namespace}));
        from.collect()
    };
    let from = [from(&ROUTE, routes), from(&POLICY, policies)].concat();
    if in_envoy_pods(make) || from.is_empty() {
        return None;
    }
    let to = json!({"group": "", "kind": "Service", "name": &*service(make).name});
    let spec = json!({"from": from, "to": [to]});
    Some(make.shared(&GRANT, Purpose::Processor, fallback_place(make, own), spec))
}

fn in_envoy_pods(make: &Make<'_>) -> bool {
    match make.gateway.processor {
        Processor::Sidecar => true,
        Processor::Deployment => false,
    }
}

fn local_backend(place: &Place) -> Value {
    json!([{"group": BACKEND.group, "kind": BACKEND.kind, "name": &*place.name}])
}

fn service_port(make: &Make<'_>, port: u16) -> Value {
    let Place { namespace, name } = service(make);
    json!([{"name": &*name, "namespace": &*namespace, "port": port}])
}

fn backend_place(make: &Make<'_>, namespace: &Arc<str>) -> Place {
    names::of_gateway("mcp-processor", &make.gateway.place, namespace)
}

fn fallback_place(make: &Make<'_>, namespace: &Arc<str>) -> Place {
    names::of_gateway("mcp-fallback", &make.gateway.place, namespace)
}

fn service(make: &Make<'_>) -> Place {
    names::deployment(&make.gateway.place, &make.settings.namespace)
}
