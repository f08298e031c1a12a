//! The policies: one EnvoyExtensionPolicy for each purpose brings the processor into the routes, one
//! BackendTrafficPolicy for each namespace keeps a session at its address.
//!
//! A policy that is new to a listener, or changes, changes the listener's filters: Envoy drains it, and cuts every stream
//! a minute later. So they are made once per Gateway, select routes by label, and what comes and goes with upstreams
//! stays out of them.

use super::names::{self, Purpose};
use super::{GRANT, Make, Object, POLICY, ROUTE, TRAFFIC, processor};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Steps of `messageTimeout`, in seconds: it follows the largest call timeout, and every change drains listeners.
const MESSAGE_TIMEOUTS: [u64; 3] = [600, 3_600, 86_400];
/// What the processor needs beyond the call itself.
const BEYOND_THE_CALL: Duration = Duration::from_secs(30);

/// Lets the policies select routes of this namespace. Without it these routes are open, and nothing tells.
pub(super) fn grant(make: &Make<'_>, namespace: &Arc<str>) -> Option<Object> {
    let own = &make.settings.namespace;
    (namespace != own).then(|| {
        let spec = json!({
            "from": [{"group": POLICY.group, "kind": POLICY.kind, "namespace": &**own}],
            "to": [{"group": ROUTE.group, "kind": ROUTE.kind}],
        });
        let place = names::of_gateway("mcp-policies", &make.gateway.place, namespace);
        make.shared(&GRANT, Purpose::Processor, place, spec)
    })
}

/// The policy of routes that users made for clients to come in, in one namespace. Their responses are not inspected: the
/// processor makes those calls itself.
pub(super) fn of_own_routes(make: &Make<'_>, namespace: &Arc<str>, routes: &BTreeSet<Arc<str>>) -> Object {
    let target = |name: &Arc<str>| json!({"group": ROUTE.group, "kind": ROUTE.kind, "name": &**name});
    let targets: Vec<Value> = routes.iter().map(target).collect();
    let spec = json!({"targetRefs": targets, "extProc": [ext_proc(make, Purpose::Public, namespace)]});
    let place = names::of_gateway("mcp-own", &make.gateway.place, namespace);
    make.shared(&POLICY, Purpose::Public, place, spec)
}

/// One policy for all routes of each purpose.
pub(super) fn all(make: &Make<'_>) -> impl Iterator<Item = Object> {
    [Purpose::Public, Purpose::Inspected, Purpose::Upstream]
        .into_iter()
        .map(|purpose| policy(make, purpose))
}

fn policy(make: &Make<'_>, purpose: Purpose) -> Object {
    let mut selector = selector(make, purpose);
    selector["namespaces"] = json!({"from": "All"});
    let own = &make.settings.namespace;
    let spec = json!({"targetSelectors": [selector], "extProc": [ext_proc(make, purpose, own)]});
    let prefix = format!("mcp-{}", purpose.as_str());
    let place = names::of_gateway(&prefix, &make.gateway.place, own);
    make.shared(&POLICY, purpose, place, spec)
}

fn selector(make: &Make<'_>, purpose: Purpose) -> Value {
    json!({
        "group": ROUTE.group,
        "kind": ROUTE.kind,
        "matchLabels": {
            names::GATEWAY: names::gateway_label(&make.gateway.place),
            names::PURPOSE: purpose.as_str(),
        },
    })
}

fn ext_proc(make: &Make<'_>, purpose: Purpose, namespace: &Arc<str>) -> Value {
    let upstreams = make.gateway.endpoints.iter().flat_map(|endpoint| &endpoint.upstreams);
    let longest = upstreams.map(|upstream| upstream.assigned.timeout.call).max();
    let mut settings = processing(
        &processor::backend_refs(make, namespace),
        &message_timeout(longest.unwrap_or_default()),
    );
    if purpose == Purpose::Inspected {
        settings["processingMode"]["response"]["body"] = json!("FullDuplexStreamed");
    }
    settings
}

/// How Envoy asks the processor, where request bodies pass it and those of responses do not.
pub(in crate::edge::kube) fn processing(backends: &Value, message_timeout: &str) -> Value {
    json!({
        "backendRefs": backends,
        // Fails closed.
        "failOpen": false,
        "statusOnError": 503,
        "messageTimeout": message_timeout,
        "processingMode": {
            "request": {"body": "FullDuplexStreamed", "attributes": ["source.address", "xds.route_name"]},
            "response": {"attributes": ["response.code_details", "upstream.address"]},
        },
        "metadata": {
            "accessibleNamespaces": ["envoy.filters.http.jwt_authn"],
            "writableNamespaces": ["mcp.manifold"],
        },
        "backendSettings": {
            // A stream is an exchange: Envoy's default of 1,024 would be the gateway's.
            "circuitBreaker": {"maxConnections": 100_000, "maxPendingRequests": 100_000, "maxParallelRequests": 100_000},
            // No timeout ends what waits for a processor that hangs; this does.
            "http2": {"connectionKeepalive": {"interval": "3s", "timeout": "2s"}},
            "timeout": {"tcp": {"connectTimeout": "1s"}},
        },
    })
}

/// Beyond the largest call timeout: it also runs while the processor replays a call.
pub(in crate::edge::kube) fn message_timeout(longest_call: Duration) -> String {
    let wanted = longest_call + BEYOND_THE_CALL;
    let step = MESSAGE_TIMEOUTS
        .into_iter()
        .find(|step| wanted <= Duration::from_secs(*step));
    match step {
        Some(seconds) => format!("{seconds}s"),
        // More than five digits are no duration to Gateway API.
        None => format!("{}h", wanted.as_secs().div_ceil(3_600).min(99_999)),
    }
}

/// How the upstreams of a namespace are called: what is said of them here holds beside the Gateway's own policy.
pub(super) fn traffic(make: &Make<'_>, namespace: &Arc<str>) -> Object {
    let spec = json!({
        "targetSelectors": [selector(make, Purpose::Upstream)],
        "mergeType": "StrategicMerge",
        // The processor names the address that opened the session, or none.
        "loadBalancer": {"type": "RoundRobin", "endpointOverride": {"extractFrom": [{"header": "x-mcp-endpoint"}]}},
        // Below the 5 s of common servers: a connection that they close just then fails a call.
        "timeout": {"http": {"connectionIdleTimeout": "4s"}},
    });
    let place = names::of_gateway("mcp-upstream", &make.gateway.place, namespace);
    make.shared(&TRAFFIC, Purpose::Upstream, place, spec)
}
