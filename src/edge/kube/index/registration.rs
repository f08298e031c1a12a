//! What a registration comes to: an upstream of the endpoint on whose Gateway its HTTPRoute is.
//!
//! Prefixes that two registrations want are not its matter: that is seen when an endpoint is assembled.

mod binding;
mod credential;
mod rule;
mod target;

use super::grants::{self, Sort};
use super::names;
use super::object::{Age, Object, age, place, place_of};
use super::problem::{Problem, Why};
use super::store::Reader;
use crate::edge::kube::plan::{self, Owner, Place};
use crate::edge::kube::resources::{Registration, Route};
use crate::engine::config::{Eras, Protocol, Timeouts, Upstream, Via};
use gateway_api::httproutes::HttpRouteRules;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use binding::Binding;
pub use rule::DIRECT_ACCESS;

/// Time for a call where the route says none.
const CALL: Duration = Duration::from_secs(60);
/// Time to connect.
const CONNECT: Duration = Duration::from_secs(5);
/// Time for a page of a list.
const LIST: Duration = Duration::from_secs(10);

/// What a registration came to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    /// The registration.
    pub owner: Owner,
    /// The generation that was looked at.
    pub generation: Option<i64>,
    /// Decides who comes first.
    pub age: Age,
    /// The prefix it asks for.
    pub prefix: String,
    /// The path it asks for.
    pub path: String,
    /// The HTTPRoute it names.
    pub route: Place,
    /// Whether it is to be served.
    pub enabled: bool,
    /// The upstream and its endpoint.
    pub made: Result<Made, Problem>,
    /// Fields without effect.
    pub ignored: Vec<&'static str>,
}

/// A registration that can be served.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Made {
    /// The endpoint it belongs to.
    pub binding: Binding,
    /// The upstream.
    pub upstream: Arc<plan::Upstream>,
    /// The Service that has no ready address.
    pub idle: Option<Place>,
}

impl Answer {
    /// Whether it is served by this extension, if by any.
    pub(crate) fn is_bound_to(&self, extension: &Place) -> bool {
        self.made
            .as_ref()
            .is_ok_and(|made| made.binding.extension == *extension)
    }
}

/// Resolves it.
pub(crate) fn resolve(reader: &mut Reader<'_>, registration: &Arc<Registration>) -> Answer {
    Answer {
        owner: Object::Registration(Arc::clone(registration)).owner(),
        generation: registration.metadata.generation,
        age: age(&registration.metadata),
        prefix: registration.spec.effective_prefix().to_owned(),
        path: registration.spec.effective_path().to_owned(),
        route: target(registration),
        enabled: registration.spec.enabled(),
        made: make(reader, registration),
        ignored: registration.spec.ignored(),
    }
}

fn make(reader: &mut Reader<'_>, registration: &Arc<Registration>) -> Result<Made, Problem> {
    let own = place_of(&registration.metadata);
    let prefix = prefix(registration)?;
    let route = route(reader, registration, &own)?;
    let binding = binding::of(reader, route)?;
    let path = registration.spec.effective_path();
    let rule = rule::serving(route, path)?;
    let credential = match &registration.spec.credential_ref {
        None => None,
        Some(reference) => Some(credential::read(reader, &own.namespace, reference)?),
    };
    let trusted = match &registration.spec.ca_cert_secret_ref {
        None => None,
        Some(reference) => Some(credential::authority(reader, &own.namespace, reference)?),
    };
    let mut target = target::resolve(reader, &place_of(&route.metadata).namespace, rule)?;
    target.trust(trusted.as_deref(), binding.ca.as_deref());
    let (host, url) = target.address(route, rule, path)?;
    let assigned = Upstream {
        name: name(&own),
        url,
        prefix,
        credential,
        headers: Vec::new(),
        timeout: timeouts(rule),
        ca: target.ca(),
        enabled: registration.spec.enabled(),
        resources_rewrite: false,
        resources_probe: false,
        via: if target.direct { Via::Direct } else { Via::Envoy },
        protocol: Protocol::Streamable,
        eras: Eras::Both,
        merge: true,
        addresses: target.addresses.clone(),
        protection: crate::engine::config::Protection::default(),
        delegated: crate::engine::config::Delegated::default(),
        listing: crate::engine::config::Listing::Shared,
    };
    let upstream = plan::Upstream {
        assigned: Arc::new(assigned),
        owner: Object::Registration(Arc::clone(registration)).owner(),
        namespace: place_of(&route.metadata).namespace,
        rule: (!target.direct).then(|| Arc::clone(&rule.whole)),
        host: Some(host.into()),
        path: path.into(),
        guard: rule::guard(route, rule),
    };
    Ok(Made {
        binding,
        upstream: Arc::new(upstream),
        idle: target.idle(),
    })
}

/// Unique in the cluster: a namespace has no dots, and a name with dots, which may look like a backend object's target,
/// ends in a hash.
fn name(own: &Place) -> String {
    let (namespace, name) = (&*own.namespace, &*own.name);
    if name.contains('.') {
        let hash = names::hash(&["registration", namespace, name]);
        names::upstream(&[namespace, name, &hash])
    } else {
        names::upstream(&[namespace, name])
    }
}

fn prefix(registration: &Registration) -> Result<String, Problem> {
    let spec = &registration.spec;
    if let (Some(prefix), Some(older)) = (&spec.prefix, &spec.tool_prefix)
        && prefix != older
    {
        let message = format!("prefix is {prefix:?} and toolPrefix is {older:?}: give one of them");
        return Err(Problem::new(Why::Invalid, message));
    }
    let prefix = spec.effective_prefix();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if prefix.bytes().all(plain) {
        Ok(prefix.to_owned())
    } else {
        let message = format!("prefix {prefix:?}: only letters, digits, _ and - may stand in tool names");
        Err(Problem::new(Why::Invalid, message))
    }
}

fn target(registration: &Registration) -> Place {
    let reference = &registration.spec.target_ref;
    let own = registration.metadata.namespace.as_deref().unwrap_or_default();
    let namespace = reference.namespace.as_deref().filter(|name| !name.is_empty());
    place(namespace.unwrap_or(own), &reference.name)
}

fn route<'a>(reader: &mut Reader<'a>, registration: &Registration, own: &Place) -> Result<&'a Arc<Route>, Problem> {
    let at = target(registration);
    if !grants::allowed(reader, Sort::REGISTRATION, &own.namespace, Sort::ROUTE, &at) {
        let sentence = grants::missing(Sort::REGISTRATION, &own.namespace, Sort::ROUTE, &at);
        return Err(Problem::new(Why::ReferenceGrantRequired, sentence));
    }
    reader
        .route(&at)
        .ok_or_else(|| Problem::new(Why::RouteNotFound, format!("HTTPRoute {at} does not exist")))
}

/// Time for calls by this rule.
pub(crate) fn timeouts(rule: &HttpRouteRules) -> Timeouts {
    let given = rule.timeouts.as_ref().and_then(|timeouts| timeouts.request.as_deref());
    let call = given
        .and_then(|text| gateway_api::Duration::from_str(text).ok())
        .map(|duration| Duration::new(duration.as_secs(), duration.subsec_nanos()));
    Timeouts {
        connect: CONNECT,
        // 0s means no limit in Gateway API; a call here always has one.
        call: call.filter(|call| !call.is_zero()).unwrap_or(CALL),
        list: LIST,
    }
}
