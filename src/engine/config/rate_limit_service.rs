//! `rateLimitService:`: counts for several gateways together, over Envoy's rate limit protocol.

use super::file::{Findings, Sections};
use super::network;
use super::scalar::Span;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

const SERVICE_TIMEOUT: Duration = Duration::from_millis(50);

/// Counts for several gateways together, over Envoy's rate limit protocol.
#[derive(Clone, Debug, PartialEq)]
pub struct RateLimitService {
    /// `host:port` of its gRPC port.
    pub address: Arc<str>,
    /// What it knows our limits by.
    pub domain: Arc<str>,
    /// Until it must have answered.
    pub timeout: Duration,
    /// If it does not: true refuses, false counts in this process alone. (Envoy's filter of that name lets everything pass
    /// where this is false.)
    pub failure_mode_deny: bool,
}

/// `rateLimitService:`
#[derive(Debug, Deserialize)]
#[serde(
    deny_unknown_fields,
    rename_all = "camelCase",
    expecting = "a mapping with address and domain"
)]
struct RawService {
    address: String,
    domain: String,
    timeout: Option<Span>,
    #[serde(default)]
    failure_mode_deny: bool,
}

/// Reads `rateLimitService:`.
pub(super) fn read(sections: &mut Sections, findings: &mut Findings) -> Option<RateLimitService> {
    let raw: RawService = sections.take("rateLimitService", findings)?;
    if !network::is_host_and_port(&raw.address) {
        findings.add("rateLimitService.address", "must be host:port");
    }
    if raw.domain.is_empty() {
        findings.add("rateLimitService.domain", "must not be empty");
    }
    Some(RateLimitService {
        address: raw.address.into(),
        domain: raw.domain.into(),
        timeout: raw.timeout.map_or(SERVICE_TIMEOUT, |Span(timeout)| {
            findings.above_zero("rateLimitService.timeout", timeout)
        }),
        failure_mode_deny: raw.failure_mode_deny,
    })
}
