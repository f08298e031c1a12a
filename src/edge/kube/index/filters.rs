//! Whether Envoy's authorization filter stands before the processor, so that it also covers what the processor answers.
//!
//! The order is the operator's: an EnvoyProxy that the Gateway or its class refers to. Here it is only looked at.

use super::conditions::{Truth, Verdict};
use super::object::{Key, Kind, Object, place, place_of};
use super::store::Reader;
use crate::edge::kube::plan::Place;
use gateway_api::gateways::Gateway;
use serde_json::Value;

/// The condition: a SecurityPolicy's authorization does not see what the processor answers.
pub(crate) const NOT_COVERED: &str = "AuthorizationNotCovered";
const GROUP: &str = "gateway.envoyproxy.io";
const PROCESSOR: &str = "envoy.filters.http.ext_proc";
const AUTHORIZATION: &str = "envoy.filters.http.rbac";

/// A warning, if authorization comes too late on this Gateway.
pub(crate) fn order(reader: &mut Reader<'_>, gateway: &Gateway) -> Option<Verdict> {
    if let Some(at) = parameters(reader, gateway) {
        // One that does not exist is Envoy Gateway's to complain about.
        let Object::EnvoyProxy(proxy) = reader.object(Key::new(Kind::EnvoyProxy, at))? else {
            return None;
        };
        if covers(&proxy.data) {
            return None;
        }
    }
    let message = format!(
        "a SecurityPolicy's authorization is not asked about requests that the processor answers: in an EnvoyProxy for this \
         Gateway set filterOrder: [{{name: {PROCESSOR}, after: {AUTHORIZATION}}}]"
    );
    Some(Verdict::new(NOT_COVERED, Truth::True, "FilterOrder", message))
}

/// The EnvoyProxy of the Gateway, else of its class.
fn parameters(reader: &mut Reader<'_>, gateway: &Gateway) -> Option<Place> {
    let own = gateway
        .spec
        .infrastructure
        .as_ref()
        .and_then(|one| one.parameters_ref.as_ref());
    if let Some(own) = own.filter(|own| own.group == GROUP && own.kind == "EnvoyProxy") {
        return Some(place(&place_of(&gateway.metadata).namespace, &own.name));
    }
    let class = reader.gateway_class(&place("", &gateway.spec.gateway_class_name))?;
    let reference = class.spec.parameters_ref.as_ref()?;
    let ours = reference.group == GROUP && reference.kind == "EnvoyProxy";
    ours.then(|| place(reference.namespace.as_deref().unwrap_or_default(), &reference.name))
}

fn covers(proxy: &Value) -> bool {
    let orders = proxy.pointer("/spec/filterOrder").and_then(Value::as_array);
    let says = |order: &Value, name: &str, relation: &str, other: &str| {
        order.get("name").and_then(Value::as_str) == Some(name)
            && order.get(relation).and_then(Value::as_str) == Some(other)
    };
    orders
        .into_iter()
        .flatten()
        .any(|order| says(order, PROCESSOR, "after", AUTHORIZATION) || says(order, AUTHORIZATION, "before", PROCESSOR))
}
