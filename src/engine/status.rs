//! What is known of each upstream, for admin, command line, registry and controller alike (contract 5).

use crate::engine::mcp::{Era, Version};
use serde::{Deserialize, Serialize};

/// One upstream's state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpstreamStatus {
    /// Configured name.
    pub name: String,
    /// Prefix in force.
    pub prefix: String,
    /// Without user info and query.
    pub url: String,
    /// From the configuration.
    pub enabled: bool,
    /// Listed, and the last attempt did not fail.
    pub ready: bool,
    /// Why it is, or is not.
    pub reason: Reason,
    /// Eras it answered in.
    pub eras: Vec<Era>,
    /// The newest version it agreed on.
    pub protocol_version: Option<Version>,
    /// Number of tools (of the era that has more).
    pub tools: usize,
    /// Number of prompts.
    pub prompts: usize,
    /// Number of resources.
    pub resources: usize,
    /// RFC 3339, UTC.
    pub last_listed: Option<String>,
    /// The last failure, if the last attempt failed.
    pub last_error: Option<String>,
    /// Hidden items, odd cursors, an era that could not be listed, ...
    pub warnings: Vec<String>,
}

/// Why an upstream is ready or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// Listed.
    Ready,
    /// Not tried to the end yet.
    Pending,
    /// Switched off in the configuration.
    Disabled,
    /// Refused, reset, no name, TLS failed.
    Unreachable,
    /// Did not answer in time.
    Timeout,
    /// 401 or 403.
    Unauthorized,
    /// Answers, but not MCP.
    ProtocolError,
    /// A secret that it needs is missing.
    SecretMissing,
}

impl Reason {
    const ALL: [Self; 8] = [
        Self::Ready,
        Self::Pending,
        Self::Disabled,
        Self::Unreachable,
        Self::Timeout,
        Self::Unauthorized,
        Self::ProtocolError,
        Self::SecretMissing,
    ];

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }

    /// The same word as in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Pending => "Pending",
            Self::Disabled => "Disabled",
            Self::Unreachable => "Unreachable",
            Self::Timeout => "Timeout",
            Self::Unauthorized => "Unauthorized",
            Self::ProtocolError => "ProtocolError",
            Self::SecretMissing => "SecretMissing",
        }
    }
}

/// `/status` of the admin port.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayStatus {
    /// Of this program.
    pub version: String,
    /// As `/readyz` says.
    pub ready: bool,
    /// Of the snapshot in force.
    pub generation: u64,
    /// Gateway sessions remembered.
    pub sessions: usize,
    /// Why the configuration file on disk is not the one in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_error: Option<String>,
    /// What of the state folder cannot be written. Serving goes on: this is what a restart would not know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub state_errors: Vec<StateError>,
    /// In the order of the configuration.
    pub upstreams: Vec<UpstreamStatus>,
    /// Whose tokens count, as far as their keys are fetched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub issuers: Vec<IssuerStatus>,
}

/// A part of the state folder that cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StateError {
    /// Which.
    pub part: StatePart,
    /// What the last attempt came to.
    pub error: String,
}

/// A part of the state folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StatePart {
    /// The journal of sessions.
    Sessions,
    /// The last good catalogs.
    Catalogs,
}

impl StatePart {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Sessions, Self::Catalogs];

    /// The same word as in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sessions => "sessions",
            Self::Catalogs => "catalogs",
        }
    }
}

/// How the public keys of one issuer are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IssuerStatus {
    /// As tokens say it.
    pub issuer: String,
    /// Its tokens count: its keys were had within `jwks.keepLastGood`.
    pub usable: bool,
    /// How many keys there were last.
    pub keys: usize,
    /// RFC 3339, UTC.
    pub last_fetched: Option<String>,
    /// Attempts that failed, since the start.
    pub failures: u64,
    /// Why, if the last one failed.
    pub last_error: Option<String>,
}

/// `/tools` of the admin port.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolList {
    /// In the order of the merged list.
    pub tools: Vec<Tool>,
}

/// One merged tool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tool {
    /// Exposed name.
    pub name: String,
    /// Configured name of its upstream.
    pub upstream: String,
    /// Its name there.
    pub upstream_name: String,
    /// In which eras its upstream lists it; clients of both see it.
    pub eras: Vec<Era>,
    /// As the upstream wrote it.
    #[serde(default)]
    pub description: Option<String>,
}
