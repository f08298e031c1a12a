//! `MCPGatewayExtension` (`mcpge`), as of Kuadrant's 0.9 with what older versions had.

use super::{SecretKey, Switch};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde::{Deserialize, Serialize};

/// What is wanted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExtensionSpec {
    /// The Gateway and its listener.
    pub target_ref: GatewayRef,
    /// The host that clients use, where the listener's does not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_host: Option<String>,
    /// No effect: upstream sessions are opened directly, not through the gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_host: Option<String>,
    /// No effect: servers are watched, not pinged at an interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend_ping_interval_seconds: Option<i32>,
    /// No effect yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trusted_headers_key: Option<TrustedHeadersKey>,
    /// `Disabled`: the user makes the public HTTPRoute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_route_management: Option<Switch>,
    /// No effect: the processors' own setting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_level: Option<String>,
    /// No effect yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_store: Option<SecretName>,
    /// No effect yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url_elicitation: Option<Switch>,
    /// No effect yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oauth_protected_resource: Option<OAuthResource>,
    /// Authorities that servers' certificates may be signed by, besides the usual ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_cert_bundle_ref: Option<SecretKey>,
    /// Bytes of one request body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_body_bytes: Option<i32>,
}

/// A listener of a Gateway.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GatewayRef {
    /// `gateway.networking.k8s.io`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// `Gateway`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The Gateway's name.
    pub name: String,
    /// Its namespace; `None`: the extension's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The listener's name.
    pub section_name: String,
}

/// A key pair for trusted headers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TrustedHeadersKey {
    /// Where the public key is kept.
    pub secret_name: String,
    /// Make it, if it is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generate: Option<Switch>,
}

/// A Secret in the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SecretName {
    /// Its name.
    pub secret_name: String,
}

/// What `/.well-known/oauth-protected-resource` shall say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OAuthResource {
    /// Issuers.
    pub authorization_servers: Vec<String>,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_name: Option<String>,
    /// The resource's URI.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// `header`, ...
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bearer_methods_supported: Vec<String>,
    /// Scopes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes_supported: Vec<String>,
}

/// What became of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExtensionStatus {
    /// `Ready` and more.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The URL for clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mcp_endpoint: Option<String>,
    /// Registrations that belong to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub servers: Option<i32>,
    /// Those of them that are ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready_servers: Option<i32>,
}

impl ExtensionSpec {
    /// Whether the public HTTPRoute is ours to make.
    #[must_use]
    pub fn manages_route(&self) -> bool {
        self.http_route_management != Some(Switch::Disabled)
    }

    /// Fields that are set to something else than their default and have no effect, for a condition.
    #[must_use]
    pub fn ignored(&self) -> Vec<&'static str> {
        let set = [
            ("privateHost", self.private_host.is_some()),
            (
                "backendPingIntervalSeconds",
                self.backend_ping_interval_seconds.is_some_and(|seconds| seconds != 60),
            ),
            ("trustedHeadersKey", self.trusted_headers_key.is_some()),
            ("logLevel", self.log_level.is_some()),
            ("sessionStore", self.session_store.is_some()),
            (
                "urlElicitation",
                self.url_elicitation.is_some_and(|switch| switch != Switch::Disabled),
            ),
            ("oauthProtectedResource", self.oauth_protected_resource.is_some()),
            ("httpRouteManagement", self.http_route_management == Some(Switch::Other)),
        ];
        set.into_iter().filter_map(|(name, set)| set.then_some(name)).collect()
    }
}
