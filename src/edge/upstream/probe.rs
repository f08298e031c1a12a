//! Asks an upstream whether it speaks the modern era: `server/discover`.

use super::Failure;
use super::line::{Line, SMALL, Speaker, Tie};
use crate::edge::http::Target;
use crate::engine::mcp::capabilities::ServerFlags;
use crate::engine::mcp::{Era, Version};
use crate::engine::session::Delegation;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::Arc;
use std::time::Duration;

/// What a modern upstream said of itself.
#[derive(Debug)]
pub(super) struct Discovered {
    /// The newest that both speak.
    pub(super) version: Version,
    /// Raw JSON.
    pub(super) capabilities: Box<str>,
    /// The same, reduced.
    pub(super) flags: ServerFlags,
    /// Decoded.
    pub(super) instructions: Option<Box<str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DiscoverResult<'a> {
    #[serde(default)]
    supported_versions: Vec<String>,
    #[serde(borrow)]
    capabilities: Option<&'a RawValue>,
    instructions: Option<String>,
}

/// Discovers within `time`.
///
/// # Errors
/// See [`Failure`]; where [`Failure::not_spoken`] holds, the upstream does not speak the modern era.
pub(super) async fn discover(target: &Arc<Target>, time: Duration) -> Result<Discovered, Failure> {
    discover_for(target, target.own(), time).await
}

/// The same for a caller.
///
/// # Errors
/// See [`discover`].
pub(super) async fn discover_for(
    target: &Arc<Target>,
    speaks: &Delegation,
    time: Duration,
) -> Result<Discovered, Failure> {
    let ask = async |version| {
        let speaker = Speaker::Caller(speaks.clone());
        let line = Line::of(Arc::clone(target), Tie::Modern(version), speaker);
        line.request("server/discover", "", SMALL, time).await
    };
    let reply = match ask(Version::NEWEST).await {
        // SEP-2575: a client that is told which versions are spoken asks again with one of them.
        Err(Failure::OtherVersion { speaks, .. }) if speaks.era() == Era::Modern => ask(speaks).await?,
        reply => reply?,
    };
    read(&reply.result)
}

fn read(result: &str) -> Result<Discovered, Failure> {
    let result: DiscoverResult<'_> = serde_json::from_str(result)
        .map_err(|error| Failure::NotMcp(format!("answered server/discover with an unreadable result: {error}")))?;
    let modern = result
        .supported_versions
        .iter()
        .filter_map(|version| Version::parse(version))
        .filter(|version| version.era() == Era::Modern)
        .max();
    let capabilities = result.capabilities.map_or("{}", RawValue::get);
    Ok(Discovered {
        version: modern.ok_or(Failure::NoModernVersion)?,
        capabilities: capabilities.into(),
        flags: ServerFlags::read(capabilities),
        instructions: result.instructions.map(String::into_boxed_str),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_discover_result_without_a_modern_version_is_a_no() {
        let failure = read(r#"{"supportedVersions":["2025-11-25","2099-01-01"],"capabilities":{}}"#).unwrap_err();
        assert_eq!(failure, Failure::NoModernVersion);
        assert!(failure.not_spoken());
    }
}
