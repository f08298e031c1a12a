//! Where the backendRefs of a rule lead: Services with their addresses, or a name outside the cluster.

use crate::edge::kube::index::grants::{self, Sort};
use crate::edge::kube::index::object::place;
use crate::edge::kube::index::problem::{Problem, Why};
use crate::edge::kube::index::services;
use crate::edge::kube::index::store::Reader;
use crate::edge::kube::index::trust::{self, Tls};
use crate::edge::kube::plan::Place;
use crate::engine::config::Authority;
use gateway_api::httproutes::{HttpRoute, HttpRouteRules, HttpRouteRulesBackendRefs};
use std::net::SocketAddr;
use std::sync::Arc;
use url::Url;

/// Where calls go.
#[derive(Debug)]
pub(crate) struct Target {
    /// The name that finds it: cluster DNS, or public DNS.
    name: String,
    port: u16,
    tls: Option<Tls>,
    /// The system's roots count beside those of `tls`.
    system: bool,
    /// The first Service; `None`: outside the cluster.
    service: Option<Place>,
    /// Ready addresses.
    pub addresses: Vec<SocketAddr>,
    /// Envoy cannot reach it by the user's route; the processor calls it itself.
    pub direct: bool,
}

/// Follows the references of a rule in a route of `namespace`. Those with weight 0 do not count.
///
/// # Errors
/// `RouteInvalid`, `BackendNotFound`, `BackendUnsupported`, `ReferenceGrantRequired`, and those of TLS.
pub(crate) fn resolve(reader: &mut Reader<'_>, namespace: &Arc<str>, rule: &HttpRouteRules) -> Result<Target, Problem> {
    let references = rule.backend_refs.iter().flatten().filter(|one| one.weight != Some(0));
    let mut whole: Option<Target> = None;
    for reference in references {
        let target = one(reader, namespace, reference)?;
        match &mut whole {
            None => whole = Some(target),
            Some(first) => {
                first.addresses.extend(target.addresses);
                first.direct |= target.direct;
            }
        }
    }
    let mut target = whole.ok_or_else(|| {
        Problem::new(
            Why::RouteInvalid,
            "the rule of the HTTPRoute has no backendRef with a weight",
        )
    })?;
    target.addresses.sort_unstable();
    target.addresses.dedup();
    Ok(target)
}

fn one(
    reader: &mut Reader<'_>,
    namespace: &Arc<str>,
    reference: &HttpRouteRulesBackendRefs,
) -> Result<Target, Problem> {
    let group = reference.group.as_deref().unwrap_or_default();
    let kind = reference.kind.as_deref().unwrap_or("Service");
    match (group, kind) {
        ("", "Service") => service(reader, namespace, reference),
        // Istio's way to name a host outside the mesh, as Kuadrant's guides have it.
        ("networking.istio.io", "Hostname") => Ok(outside(&reference.name, port_number(reference).unwrap_or(443))),
        (_, _) => Err(Problem::new(
            Why::BackendUnsupported,
            format!(
                "backendRef {kind} {}: only Services can be resolved, not {group}/{kind}",
                reference.name
            ),
        )),
    }
}

fn port_number(reference: &HttpRouteRulesBackendRefs) -> Option<u16> {
    reference.port.and_then(|port| u16::try_from(port).ok())
}

fn outside(name: &str, port: u16) -> Target {
    let tls = Tls {
        hostname: name.to_ascii_lowercase(),
        ca: None,
    };
    Target {
        name: name.to_ascii_lowercase(),
        port,
        tls: (port == 443).then_some(tls),
        system: true,
        service: None,
        addresses: Vec::new(),
        direct: true,
    }
}

fn service(
    reader: &mut Reader<'_>,
    namespace: &Arc<str>,
    reference: &HttpRouteRulesBackendRefs,
) -> Result<Target, Problem> {
    let at = place(reference.namespace.as_deref().unwrap_or(namespace), &reference.name);
    if !grants::allowed(reader, Sort::ROUTE, namespace, Sort::SERVICE, &at) {
        let sentence = grants::missing(Sort::ROUTE, namespace, Sort::SERVICE, &at);
        return Err(Problem::new(Why::ReferenceGrantRequired, sentence));
    }
    let missing = |what: String| Problem::new(Why::BackendNotFound, what);
    let service = reader
        .service(&at)
        .ok_or_else(|| missing(format!("Service {at} does not exist")))?;
    let number =
        port_number(reference).ok_or_else(|| missing(format!("the backendRef to Service {at} has no port")))?;
    if let Some(name) = services::external_name(service) {
        return Ok(outside(name, number));
    }
    let port = services::port(service, i32::from(number))
        .ok_or_else(|| missing(format!("Service {at} has no port {number}")))?;
    Ok(Target {
        name: super::super::names::service(&at, &reader.settings().cluster_domain),
        port: number,
        tls: trust::tls(reader, &at, port)?,
        system: false,
        addresses: services::addresses(reader.slices(&at).into_iter().map(|slice| &**slice), port),
        service: Some(at),
        direct: false,
    })
}

impl Target {
    /// The registration's own authority, which means TLS even where no BackendTLSPolicy says so (Envoy knows nothing of
    /// that, so the processor makes the calls), and the extension's.
    pub(crate) fn trust(&mut self, own: Option<&str>, bundle: Option<&str>) {
        if own.is_some() && self.tls.is_none() {
            self.direct = true;
            self.tls = Some(Tls {
                hostname: self.name.clone(),
                ca: None,
            });
        }
        if let Some(tls) = &mut self.tls {
            // A BackendTLSPolicy that names authorities means these; else the system's count too, as with Kuadrant.
            self.system = tls.ca.is_none();
            let texts = [tls.ca.as_deref(), own, bundle].into_iter().flatten();
            let all: Vec<&str> = texts.collect();
            tls.ca = (!all.is_empty()).then(|| all.join("\n").into());
        }
    }

    /// Whom TLS trusts; `None`: the system's roots, or no TLS.
    #[must_use]
    pub(crate) fn ca(&self) -> Option<Authority> {
        let pem = self.tls.as_ref()?.ca.clone()?;
        Some(if self.system {
            Authority::Added(pem)
        } else {
            Authority::Pem(pem)
        })
    }

    /// The Service that has no ready address.
    #[must_use]
    pub(crate) fn idle(&self) -> Option<Place> {
        self.service.clone().filter(|_| self.addresses.is_empty())
    }

    /// `Host` towards the server, and its URL. The host is what the server would see if a client used the route: the
    /// route's, unless a filter rewrites it or TLS needs another.
    ///
    /// # Errors
    /// `Invalid`: no URL comes out.
    pub(crate) fn address(
        &self,
        route: &HttpRoute,
        rule: &HttpRouteRules,
        path: &str,
    ) -> Result<(String, Url), Problem> {
        let own = self.tls.as_ref().map(|tls| tls.hostname.clone());
        let usual = || rewritten(rule).or_else(|| first_host(route));
        let host = if self.direct { None } else { own.or_else(usual) };
        let (scheme, standard) = if self.tls.is_some() {
            ("https", 443)
        } else {
            ("http", 80)
        };
        let authority = match &host {
            Some(host) => host.clone(),
            None if self.port == standard => self.name.clone(),
            None => format!("{}:{}", self.name, self.port),
        };
        let path = path.strip_prefix('/').unwrap_or(path);
        let text = format!("{scheme}://{authority}/{path}");
        let url =
            Url::parse(&text).map_err(|error| Problem::new(Why::Invalid, format!("{text} is no URL: {error}")))?;
        Ok((host.unwrap_or_else(|| self.name.clone()), url))
    }
}

fn rewritten(rule: &HttpRouteRules) -> Option<String> {
    let mut rewrites = rule
        .filters
        .iter()
        .flatten()
        .filter_map(|filter| filter.url_rewrite.as_ref());
    rewrites.find_map(|rewrite| rewrite.hostname.clone())
}

fn first_host(route: &HttpRoute) -> Option<String> {
    let mut hosts = route.spec.hostnames.iter().flatten();
    hosts
        .find(|host| !host.starts_with('*'))
        .map(|host| host.to_ascii_lowercase())
}
