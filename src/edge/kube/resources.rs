//! The custom resources that say which MCP servers a cluster's gateways serve: Kuadrant's and agentgateway's; and the
//! HTTPRoutes that they name.
//!
//! Types are lenient where the API server has judged already (our definitions do it by schema and CEL): what is unknown
//! is ignored or kept, never an error, because an object that cannot be read would stop a whole watch. What a field
//! means is decided in `index`; a field that has no effect yet is named by `ignored()`, so that a condition can say so.

mod backend;
mod definitions;
mod extension;
mod kinds;
mod object;
mod registration;
mod route;
mod virtual_server;

pub use backend::{
    BackendRef, BackendSpec, BackendStatus, FailureMode, Mcp, McpTarget, PrefixMode, Selector, SessionRouting,
    StaticProtocol, StaticTarget,
};
pub use definitions::{definition, definitions};
pub use extension::{ExtensionSpec, ExtensionStatus, GatewayRef, OAuthResource, SecretName, TrustedHeadersKey};
pub use kinds::Kind;
pub use object::{Custom, Switch};
pub use registration::{RegistrationSpec, RegistrationStatus, RouteRef, SecretKey, TokenElicitation};
pub use route::{Route, Rule, Whole, filters_of, kind_of_filter};
pub use virtual_server::{VirtualServerSpec, VirtualServerStatus};

/// `MCPServerRegistration`: one MCP server, by the HTTPRoute that leads to it.
pub type Registration = Custom<RegistrationSpec, RegistrationStatus>;
/// `MCPGatewayExtension`: a listener of a Gateway becomes an MCP endpoint.
pub type Extension = Custom<ExtensionSpec, ExtensionStatus>;
/// `MCPVirtualServer`: a named choice of tools; known, but not served yet.
pub type VirtualServer = Custom<VirtualServerSpec, VirtualServerStatus>;
/// `AgentgatewayBackend`, or kgateway's `Backend`: MCP servers by name or by label, behind an HTTPRoute.
pub type Backend = Custom<BackendSpec, BackendStatus>;

#[cfg(test)]
mod tests;
