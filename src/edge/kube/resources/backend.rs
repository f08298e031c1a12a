//! `AgentgatewayBackend` (`agentgateway.dev`) and `Backend` (`gateway.kgateway.dev`): the MCP part typed, the rest kept.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What is wanted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BackendSpec {
    /// `None`: a backend of another kind, which is not ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mcp: Option<Mcp>,
    /// Everything else: `ai`, `static`, `policies`, ... Not ours.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// MCP servers behind one endpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Mcp {
    /// The servers.
    pub targets: Vec<McpTarget>,
    /// Whether a session stays with one pod; `None`: it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_routing: Option<SessionRouting>,
    /// What one failed target means for the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_mode: Option<FailureMode>,
    /// When names get a prefix; `None`: `Conditional`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix_mode: Option<PrefixMode>,
    /// Fields of later versions.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// One server, or those that labels choose.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct McpTarget {
    /// Name of the entry; the prefix of a static target.
    pub name: String,
    /// Services by label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<Selector>,
    /// One server by name.
    #[serde(rename = "static", skip_serializing_if = "Option::is_none")]
    pub fixed: Option<StaticTarget>,
    /// Fields of later versions.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// Which Services.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Selector {
    /// By labels of their namespace; `None`: only the backend object's own namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<LabelSelector>,
    /// By their own labels; `None`: all in those namespaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub services: Option<LabelSelector>,
}

/// One server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StaticTarget {
    /// A host name or address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// A Service in the same namespace instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend_ref: Option<BackendRef>,
    /// 0 where it is missing.
    pub port: i32,
    /// `None`: `/mcp` or `/sse`, by protocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// `None`: Streamable HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<StaticProtocol>,
    /// `policies` (no effect) and fields of later versions.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// A Service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BackendRef {
    /// `""`, the core group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// `Service`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Its name.
    pub name: String,
}

/// What a static server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StaticProtocol {
    /// Streamable HTTP.
    StreamableHTTP,
    /// HTTP+SSE of 2024-11-05.
    #[serde(rename = "SSE")]
    Sse,
    /// A value of a later version.
    #[serde(other)]
    Other,
}

/// Whether a session stays with one pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SessionRouting {
    /// It does.
    Stateful,
    /// Any pod will do.
    Stateless,
    /// A value of a later version.
    #[serde(other)]
    Other,
}

/// What one failed target means for the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailureMode {
    /// Sessions fail. Not done here: one bad upstream harms nobody else.
    FailClosed,
    /// The others are served.
    FailOpen,
    /// A value of a later version.
    #[serde(other)]
    Other,
}

/// When names get a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PrefixMode {
    /// If there are several targets.
    Conditional,
    /// Always.
    Always,
    /// Never; names must differ.
    Never,
    /// A value of a later version.
    #[serde(other)]
    Other,
}

/// What became of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BackendStatus {
    /// `Accepted`, `Ready` and more.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Servers that its targets come to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub servers: Option<i32>,
    /// Those of them that are ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready_servers: Option<i32>,
    /// Tools listed by all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discovered_tools: Option<i32>,
}

impl BackendSpec {
    /// Paths of fields that are set and have no effect, for a condition.
    #[must_use]
    pub fn ignored(&self) -> Vec<String> {
        let Some(mcp) = &self.mcp else { return Vec::new() };
        let mut paths: Vec<String> = self.rest.keys().filter(|key| *key != "type").cloned().collect();
        paths.extend(mcp.rest.keys().map(|key| format!("mcp.{key}")));
        if matches!(mcp.failure_mode, Some(FailureMode::FailClosed | FailureMode::Other)) {
            paths.push("mcp.failureMode".to_owned());
        }
        for target in &mcp.targets {
            let keys = target.rest.keys().map(String::as_str);
            paths.extend(keys.map(|key| format!("mcp.targets[{}].{key}", target.name)));
            let fixed = target.fixed.iter().flat_map(|fixed| fixed.rest.keys());
            paths.extend(fixed.map(|key| format!("mcp.targets[{}].static.{key}", target.name)));
        }
        paths
    }
}

impl StaticTarget {
    /// The path, or the usual one of its protocol.
    #[must_use]
    pub fn effective_path(&self) -> &str {
        let usual = if self.protocol == Some(StaticProtocol::Sse) {
            "/sse"
        } else {
            "/mcp"
        };
        self.path.as_deref().filter(|path| !path.is_empty()).unwrap_or(usual)
    }
}
