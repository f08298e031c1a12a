//! TLS towards a Service, as a BackendTLSPolicy has it, and the authorities that it trusts.

use super::object::place;
use super::problem::{Problem, Why};
use super::store::Reader;
use crate::edge::kube::plan::Place;
use gateway_api::backendtlspolicies::BackendTlsPolicy;
use k8s_openapi::api::core::v1::ServicePort;
use std::sync::Arc;

/// The key of a certificate authority in a ConfigMap or Secret, as Gateway API has it.
pub(crate) const CA_KEY: &str = "ca.crt";
/// Larger bundles are refused.
const MAX_CA: usize = 256 * 1024;

/// TLS towards a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tls {
    /// What the certificate must be for, and SNI.
    pub hostname: String,
    /// PEM; `None`: the system's roots.
    pub ca: Option<Arc<str>>,
}

/// TLS towards a port of the Service; `None`: plain HTTP.
///
/// # Errors
/// `SecretNotFound`, `SecretInvalid`: the authority that the policy names cannot be read.
pub(crate) fn tls(reader: &mut Reader<'_>, service: &Place, port: &ServicePort) -> Result<Option<Tls>, Problem> {
    let policies = reader.tls_policies(service);
    let Some(policy) = policies
        .into_iter()
        .filter_map(|policy| Some((precision(policy, service, port)?, policy)))
        .min_by_key(|(precision, policy)| (*precision, super::object::age(&policy.metadata)))
        .map(|(_, policy)| policy)
    else {
        return Ok(None);
    };
    let validation = &policy.spec.validation;
    let mut bundle = String::new();
    for reference in validation.ca_certificate_refs.iter().flatten() {
        let at = place(&service.namespace, &reference.name);
        bundle.push_str(&authority(reader, &reference.group, &reference.kind, &at, CA_KEY)?);
        bundle.push('\n');
    }
    Ok(Some(Tls {
        hostname: validation.hostname.to_ascii_lowercase(),
        ca: (!bundle.is_empty()).then(|| bundle.into()),
    }))
}

/// 0: names the port; 1: the whole Service. `None`: another port.
fn precision(policy: &BackendTlsPolicy, service: &Place, port: &ServicePort) -> Option<u8> {
    let targets = policy.spec.target_refs.iter();
    let ours =
        targets.filter(|target| target.group.is_empty() && target.kind == "Service" && *target.name == *service.name);
    let precise = ours.filter_map(|target| match (&target.section_name, &port.name) {
        (None, _) => Some(1),
        (Some(section), Some(name)) if section == name => Some(0),
        (Some(_), _) => None,
    });
    precise.min()
}

/// A PEM bundle out of a ConfigMap or Secret.
///
/// # Errors
/// The object or key does not exist, or holds no certificate.
pub(crate) fn authority(
    reader: &mut Reader<'_>,
    group: &str,
    kind: &str,
    at: &Place,
    key: &str,
) -> Result<String, Problem> {
    let shown = format!("{kind} {}/{}", at.namespace, at.name);
    let missing = || {
        Problem::new(
            Why::SecretNotFound,
            format!("{shown} with a certificate authority does not exist"),
        )
    };
    let text = match (group, kind) {
        ("", "ConfigMap") => reader
            .config_map(at)
            .ok_or_else(missing)?
            .data
            .as_ref()
            .and_then(|data| data.get(key).cloned()),
        ("", "Secret") => {
            let data = reader.secret(at).ok_or_else(missing)?.data.as_ref();
            data.and_then(|data| String::from_utf8(data.get(key)?.0.clone()).ok())
        }
        (_, _) => None,
    };
    match text {
        Some(text) if text.len() <= MAX_CA && text.contains("-----BEGIN CERTIFICATE-----") => Ok(text),
        Some(text) if text.len() > MAX_CA => Err(Problem::new(
            Why::SecretInvalid,
            format!("{shown} key {key:?} is larger than {MAX_CA} bytes"),
        )),
        Some(_) | None => Err(Problem::new(
            Why::SecretInvalid,
            format!("{shown} has no PEM certificate under the key {key:?}"),
        )),
    }
}
