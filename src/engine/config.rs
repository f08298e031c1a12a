//! The configuration: the file's shape, the validated truth, and what differs between two of them.
//!
//! `file` reads: YAML -> tree -> `shape` (unknown keys) -> `raw` (types, a section at a time) -> `gateway` and `upstream`
//! (meaning) -> `truth`. Problems of every step are gathered, so that one run names them all.

mod audit;
mod authentication;
pub mod change;
mod cors;
pub mod credential_files;
pub mod delegated;
pub mod file;
mod gateway;
pub mod glob;
mod headers;
pub mod idle;
mod ip_filter;
mod network;
mod policies;
pub mod protection;
pub mod rate_limit_service;
pub mod rate_limits;
mod raw;
mod scalar;
mod shape;
mod telemetry;
pub mod template;
mod transparent;
pub mod truth;
mod upstream;

pub use audit::{Audit, AuditArguments, AuditTarget};
pub use authentication::{ApiKeys, Authentication, Issuer, Jwks, is_scope};
pub use cors::Cors;
pub use delegated::Delegated;
pub use ip_filter::{IpFilter, Network};
pub use policies::{Action, Policies, Rule, Stance};
pub use protection::Protection;
pub use rate_limits::RateLimit;
pub use telemetry::Telemetry;
pub use template::Template;
pub use transparent::Transparent;
pub use truth::{
    AccessLog, Authority, Confidential, Config, Credential, EnvoyAdmin, EnvoySettings, Eras, Limits, ListenTls,
    Listing, Lists, Protocol, Secret, SessionSettings, Timeouts, Upstream, Via,
};
pub use upstream::is_upstream_name;

#[cfg(test)]
mod tests;
