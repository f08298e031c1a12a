//! Group, versions and names of each custom resource.

use kube::core::ApiResource;

/// A custom resource that the controller watches or defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `mcp.kuadrant.io` `MCPServerRegistration`.
    Registration,
    /// `mcp.kuadrant.io` `MCPGatewayExtension`.
    Extension,
    /// `mcp.kuadrant.io` `MCPVirtualServer`.
    VirtualServer,
    /// `agentgateway.dev` `AgentgatewayBackend`.
    AgentgatewayBackend,
    /// `gateway.kgateway.dev` `Backend`.
    KgatewayBackend,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Registration,
        Self::Extension,
        Self::VirtualServer,
        Self::AgentgatewayBackend,
        Self::KgatewayBackend,
    ];

    /// The API group.
    #[must_use]
    pub const fn group(self) -> &'static str {
        match self {
            Self::Registration | Self::Extension | Self::VirtualServer => "mcp.kuadrant.io",
            Self::AgentgatewayBackend => "agentgateway.dev",
            Self::KgatewayBackend => "gateway.kgateway.dev",
        }
    }

    /// The word behind `kind:`.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Registration => "MCPServerRegistration",
            Self::Extension => "MCPGatewayExtension",
            Self::VirtualServer => "MCPVirtualServer",
            Self::AgentgatewayBackend => "AgentgatewayBackend",
            Self::KgatewayBackend => "Backend",
        }
    }

    /// The word in URLs and RBAC rules.
    #[must_use]
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Registration => "mcpserverregistrations",
            Self::Extension => "mcpgatewayextensions",
            Self::VirtualServer => "mcpvirtualservers",
            Self::AgentgatewayBackend => "agentgatewaybackends",
            Self::KgatewayBackend => "backends",
        }
    }

    /// Versions that we understand, the preferred one first. A cluster may serve only some of them.
    #[must_use]
    pub const fn versions(self) -> &'static [&'static str] {
        match self {
            Self::Registration | Self::Extension | Self::VirtualServer => &["v1", "v1alpha1"],
            Self::AgentgatewayBackend | Self::KgatewayBackend => &["v1alpha1"],
        }
    }

    /// For `kube::Api`, in one of [`Self::versions`].
    #[must_use]
    pub fn resource(self, version: &str) -> ApiResource {
        ApiResource {
            group: self.group().to_owned(),
            version: version.to_owned(),
            api_version: format!("{}/{version}", self.group()),
            kind: self.kind().to_owned(),
            plural: self.plural().to_owned(),
        }
    }
}
