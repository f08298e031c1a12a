//! `MCPServerRegistration` (`mcpsr`), as of Kuadrant's 0.6 (`toolPrefix`) to 0.9 (`prefix`).

use super::Switch;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde::{Deserialize, Serialize};

/// What is wanted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RegistrationSpec {
    /// The route to the server.
    pub target_ref: RouteRef,
    /// Put before names of tools and prompts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// The older name of `prefix`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_prefix: Option<String>,
    /// `:path` of the MCP endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// `Disabled`: gone from lists, calls refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Switch>,
    /// What the gateway sends as `Authorization`, verbatim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential_ref: Option<SecretKey>,
    /// Authorities that the server's certificate may be signed by, besides the usual ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_cert_secret_ref: Option<SecretKey>,
    /// No effect yet.
    #[serde(rename = "tokenURLElicitation", skip_serializing_if = "Option::is_none")]
    pub token_url_elicitation: Option<TokenElicitation>,
    /// No effect yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_specific_list: Option<Switch>,
    /// No effect yet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub category: Vec<String>,
    /// No effect yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// No effect yet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// No effect: versions are negotiated.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub supported_protocol_versions: Vec<String>,
}

/// An HTTPRoute.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RouteRef {
    /// `gateway.networking.k8s.io`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// `HTTPRoute`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Its name.
    pub name: String,
    /// Its namespace; `None`: the registration's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// One value of a Secret in the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SecretKey {
    /// The Secret's name.
    pub name: String,
    /// The key in it; `None`: `token` or `ca.crt`, whichever fits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// Users are sent to a page for their token.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TokenElicitation {
    /// The page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// What the data plane found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RegistrationStatus {
    /// `Ready` and more.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The prefix in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// The path in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Tools listed by the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discovered_tools: Option<i32>,
    /// Prompts listed by the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discovered_prompts: Option<i32>,
    /// Resources listed by the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discovered_resources: Option<i32>,
    /// The newest protocol version that the server agreed on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol_version: Option<String>,
}

impl RegistrationSpec {
    /// The prefix, by whichever name it was given; empty: names stay as they are.
    #[must_use]
    pub fn effective_prefix(&self) -> &str {
        self.prefix
            .as_deref()
            .or(self.tool_prefix.as_deref())
            .unwrap_or_default()
    }

    /// The path; `/mcp` unless given.
    #[must_use]
    pub fn effective_path(&self) -> &str {
        self.path.as_deref().filter(|path| !path.is_empty()).unwrap_or("/mcp")
    }

    /// Whether it is to be served. A value that we do not know does not switch anything off.
    #[must_use]
    pub fn enabled(&self) -> bool {
        self.state != Some(Switch::Disabled)
    }

    /// Fields that are set and have no effect yet, for a condition.
    #[must_use]
    pub fn ignored(&self) -> Vec<&'static str> {
        let set = [
            ("tokenURLElicitation", self.token_url_elicitation.is_some()),
            (
                "userSpecificList",
                self.user_specific_list.is_some_and(|list| list != Switch::Disabled),
            ),
            (
                "category",
                !self.category.is_empty() && self.category != ["uncategorised"],
            ),
            ("hint", self.hint.is_some()),
            ("tags", !self.tags.is_empty()),
            (
                "supportedProtocolVersions",
                !self.supported_protocol_versions.is_empty(),
            ),
            ("state", self.state == Some(Switch::Other)),
        ];
        set.into_iter().filter_map(|(name, set)| set.then_some(name)).collect()
    }
}

impl SecretKey {
    /// The key, or `default` where none is named.
    #[must_use]
    pub fn key_or<'a>(&'a self, default: &'a str) -> &'a str {
        self.key.as_deref().filter(|key| !key.is_empty()).unwrap_or(default)
    }
}
