//! Opens a legacy session: initialize, notifications/initialized, and the log level that its client had set.

use super::Failure;
use super::binder::now;
use super::line::{Line, SMALL, Speaker, Tie};
use crate::edge::http::{HttpError, Target};
use crate::engine::mcp::capabilities::ServerFlags;
use crate::engine::mcp::{Era, Version};
use crate::engine::session::{Binding, Client, Delegation, Level};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::Arc;
use std::time::Duration;

/// What an upstream said when a session was opened.
#[derive(Clone, Debug)]
pub(super) struct Handshake {
    /// Session id, if it issued one, and the version agreed on.
    pub(super) binding: Binding,
    /// Raw JSON.
    pub(super) capabilities: Box<str>,
    /// The same, reduced.
    pub(super) flags: ServerFlags,
    /// Decoded.
    pub(super) instructions: Option<Box<str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InitializeResult<'a> {
    protocol_version: String,
    #[serde(borrow)]
    capabilities: Option<&'a RawValue>,
    instructions: Option<String>,
}

/// Opens a session as `client`, for whom `delegation` speaks, asking for `version`; the whole within `timeout.list`. A session that fails half-way is closed.
///
/// # Errors
/// See [`Failure`]. [`Failure::Version`] if the upstream insists on a version that is not legacy or not known.
pub(super) async fn open(
    target: &Arc<Target>,
    client: &Client,
    version: Version,
    level: Option<Level>,
    delegation: &Delegation,
) -> Result<Handshake, Failure> {
    let time = target.timeout().list;
    open_within(target, client, version, level, delegation, time).await
}

/// A session of the gateway's own, as `client`, within `time`.
///
/// # Errors
/// See [`open`].
pub(super) async fn open_own(target: &Arc<Target>, client: &Client, time: Duration) -> Result<Handshake, Failure> {
    open_within(target, client, Version::NEWEST_LEGACY, None, target.own(), time).await
}

async fn open_within(
    target: &Arc<Target>,
    client: &Client,
    version: Version,
    level: Option<Level>,
    delegation: &Delegation,
    time: Duration,
) -> Result<Handshake, Failure> {
    let opening = async {
        let handshake = initialize(target, client, version, delegation, time).await?;
        if let Err(failure) = settle(target, &handshake, level, time).await {
            let line = Line::new(Arc::clone(target), Tie::Session(handshake.binding));
            line.delete(Duration::from_secs(1)).await;
            return Err(failure);
        }
        Ok(handshake)
    };
    tokio::time::timeout(time, opening)
        .await
        .unwrap_or(Err(Failure::Http(HttpError::TimedOut(time))))
}

async fn initialize(
    target: &Arc<Target>,
    client: &Client,
    version: Version,
    delegation: &Delegation,
    time: Duration,
) -> Result<Handshake, Failure> {
    let members = format!(
        r#""protocolVersion":"{}","capabilities":{},"clientInfo":{}"#,
        version.as_str(),
        client.capabilities,
        client.info
    );
    let address = target.next_address();
    let speaker = Speaker::Caller(delegation.clone());
    let line = Line::of(Arc::clone(target), Tie::Opening(address), speaker);
    let reply = line.request("initialize", &members, SMALL, time).await?;
    let result: InitializeResult<'_> = serde_json::from_str(&reply.result)
        .map_err(|error| Failure::NotMcp(format!("answered initialize with an unreadable result: {error}")))?;
    let agreed = Version::parse(&result.protocol_version).filter(|version| version.era() == Era::Legacy);
    let capabilities = result.capabilities.map_or("{}", RawValue::get);
    let has_session = reply.session.is_some();
    Ok(Handshake {
        binding: Binding {
            id: reply.session,
            version: agreed.ok_or(Failure::Version(result.protocol_version))?,
            // A server without sessions has nothing that one address would hold.
            address: address.filter(|_| has_session),
            delegation: delegation.clone(),
            opened: Some(now()),
        },
        capabilities: capabilities.into(),
        flags: ServerFlags::read(capabilities),
        instructions: result.instructions.map(String::into_boxed_str),
    })
}

/// What an upstream wants to hear before a session is used.
async fn settle(
    target: &Arc<Target>,
    handshake: &Handshake,
    level: Option<Level>,
    time: Duration,
) -> Result<(), Failure> {
    let line = Line::new(Arc::clone(target), Tie::Session(handshake.binding.clone()));
    line.notify("notifications/initialized", "", time).await?;
    let Some(level) = level.filter(|_| handshake.flags.logging) else {
        return Ok(());
    };
    let members = format!(r#""level":"{}""#, level.as_str());
    match line.request("logging/setLevel", &members, SMALL, time).await {
        Ok(_) => Ok(()),
        // A session without the right level is better than none.
        Err(failure) => {
            tracing::debug!(upstream = %target.name(), %failure, "Log level was not taken.");
            Ok(())
        }
    }
}
