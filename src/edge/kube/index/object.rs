//! The objects that the index is told of, and how they are called. An object is compared by what this controller reads of
//! it, so that status updates and relists of others cost nothing.

use super::Timestamp;
use crate::edge::kube::plan::{Owner, Place};
use crate::edge::kube::resources::{Backend, Extension, Registration, Route, VirtualServer};
use gateway_api::backendtlspolicies::BackendTlsPolicy;
use gateway_api::gatewayclasses::GatewayClass;
use gateway_api::gateways::Gateway;
use gateway_api::referencegrants::ReferenceGrant;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::DynamicObject;
use std::fmt;
use std::sync::Arc;

/// One object, as the watch delivered it. It may be a Secret: its `Debug` says where it stands, no more.
#[derive(Clone)]
pub enum Object {
    /// `mcp.kuadrant.io`
    Extension(Arc<Extension>),
    /// `mcp.kuadrant.io`
    Registration(Arc<Registration>),
    /// `mcp.kuadrant.io`; not served.
    VirtualServer(Arc<VirtualServer>),
    /// `agentgateway.dev`
    AgentgatewayBackend(Arc<Backend>),
    /// `gateway.kgateway.dev`
    KgatewayBackend(Arc<Backend>),
    /// `gateway.networking.k8s.io`
    Gateway(Arc<Gateway>),
    /// `gateway.networking.k8s.io`
    GatewayClass(Arc<GatewayClass>),
    /// `gateway.networking.k8s.io`
    Route(Arc<Route>),
    /// `gateway.networking.k8s.io`
    Grant(Arc<ReferenceGrant>),
    /// `gateway.networking.k8s.io`
    TlsPolicy(Arc<BackendTlsPolicy>),
    /// Core.
    Service(Arc<Service>),
    /// `discovery.k8s.io`
    EndpointSlice(Arc<EndpointSlice>),
    /// Core.
    Secret(Arc<Secret>),
    /// Core; holds certificate authorities.
    ConfigMap(Arc<ConfigMap>),
    /// Core; its labels are selected.
    Namespace(Arc<Namespace>),
    /// `gateway.envoyproxy.io`; only the order of filters is read.
    EnvoyProxy(Arc<DynamicObject>),
}

/// The kinds of [`Object`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// See [`Object::Extension`].
    Extension,
    /// See [`Object::Registration`].
    Registration,
    /// See [`Object::VirtualServer`].
    VirtualServer,
    /// See [`Object::AgentgatewayBackend`].
    AgentgatewayBackend,
    /// See [`Object::KgatewayBackend`].
    KgatewayBackend,
    /// See [`Object::Gateway`].
    Gateway,
    /// See [`Object::GatewayClass`].
    GatewayClass,
    /// See [`Object::Route`].
    Route,
    /// See [`Object::Grant`].
    Grant,
    /// See [`Object::TlsPolicy`].
    TlsPolicy,
    /// See [`Object::Service`].
    Service,
    /// See [`Object::EndpointSlice`].
    EndpointSlice,
    /// See [`Object::Secret`].
    Secret,
    /// See [`Object::ConfigMap`].
    ConfigMap,
    /// See [`Object::Namespace`].
    Namespace,
    /// See [`Object::EnvoyProxy`].
    EnvoyProxy,
}

impl Kind {
    /// `apiVersion` (the preferred one) and `kind`.
    #[must_use]
    pub const fn types(self) -> (&'static str, &'static str) {
        match self {
            Self::Extension => ("mcp.kuadrant.io/v1", "MCPGatewayExtension"),
            Self::Registration => ("mcp.kuadrant.io/v1", "MCPServerRegistration"),
            Self::VirtualServer => ("mcp.kuadrant.io/v1", "MCPVirtualServer"),
            Self::AgentgatewayBackend => ("agentgateway.dev/v1alpha1", "AgentgatewayBackend"),
            Self::KgatewayBackend => ("gateway.kgateway.dev/v1alpha1", "Backend"),
            Self::Gateway => ("gateway.networking.k8s.io/v1", "Gateway"),
            Self::GatewayClass => ("gateway.networking.k8s.io/v1", "GatewayClass"),
            Self::Route => ("gateway.networking.k8s.io/v1", "HTTPRoute"),
            Self::Grant => ("gateway.networking.k8s.io/v1", "ReferenceGrant"),
            Self::TlsPolicy => ("gateway.networking.k8s.io/v1", "BackendTLSPolicy"),
            Self::Service => ("v1", "Service"),
            Self::EndpointSlice => ("discovery.k8s.io/v1", "EndpointSlice"),
            Self::Secret => ("v1", "Secret"),
            Self::ConfigMap => ("v1", "ConfigMap"),
            Self::Namespace => ("v1", "Namespace"),
            Self::EnvoyProxy => ("gateway.envoyproxy.io/v1alpha1", "EnvoyProxy"),
        }
    }
}

/// The same expression for whatever the object is.
macro_rules! each {
    ($object:expr, $inner:ident => $result:expr) => {
        match $object {
            Object::Extension($inner) => $result,
            Object::Registration($inner) => $result,
            Object::VirtualServer($inner) => $result,
            Object::AgentgatewayBackend($inner) | Object::KgatewayBackend($inner) => $result,
            Object::Gateway($inner) => $result,
            Object::GatewayClass($inner) => $result,
            Object::Route($inner) => $result,
            Object::Grant($inner) => $result,
            Object::TlsPolicy($inner) => $result,
            Object::Service($inner) => $result,
            Object::EndpointSlice($inner) => $result,
            Object::Secret($inner) => $result,
            Object::ConfigMap($inner) => $result,
            Object::Namespace($inner) => $result,
            Object::EnvoyProxy($inner) => $result,
        }
    };
}

impl fmt::Debug for Object {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?} {}", self.kind(), place_of(self.meta()))
    }
}

impl Object {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Extension(_) => Kind::Extension,
            Self::Registration(_) => Kind::Registration,
            Self::VirtualServer(_) => Kind::VirtualServer,
            Self::AgentgatewayBackend(_) => Kind::AgentgatewayBackend,
            Self::KgatewayBackend(_) => Kind::KgatewayBackend,
            Self::Gateway(_) => Kind::Gateway,
            Self::GatewayClass(_) => Kind::GatewayClass,
            Self::Route(_) => Kind::Route,
            Self::Grant(_) => Kind::Grant,
            Self::TlsPolicy(_) => Kind::TlsPolicy,
            Self::Service(_) => Kind::Service,
            Self::EndpointSlice(_) => Kind::EndpointSlice,
            Self::Secret(_) => Kind::Secret,
            Self::ConfigMap(_) => Kind::ConfigMap,
            Self::Namespace(_) => Kind::Namespace,
            Self::EnvoyProxy(_) => Kind::EnvoyProxy,
        }
    }

    /// Its metadata.
    #[must_use]
    pub fn meta(&self) -> &ObjectMeta {
        each!(self, object => &object.metadata)
    }

    /// Its name in the index.
    #[must_use]
    pub fn key(&self) -> Key {
        Key::new(self.kind(), place_of(self.meta()))
    }

    /// Whether the two differ in nothing that is read of them. Status is not, nor are the API server's own notes.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        let (one, two) = (self.meta(), other.meta());
        let same = one.uid == two.uid && one.generation == two.generation && one.labels == two.labels;
        same && self.content_equals(other)
    }

    fn content_equals(&self, other: &Self) -> bool {
        let annotations = self.meta().annotations == other.meta().annotations;
        match (self, other) {
            (Self::Extension(one), Self::Extension(two)) => annotations && one.spec == two.spec,
            (Self::Registration(one), Self::Registration(two)) => annotations && one.spec == two.spec,
            (Self::VirtualServer(one), Self::VirtualServer(two)) => one.spec == two.spec,
            (Self::AgentgatewayBackend(one), Self::AgentgatewayBackend(two))
            | (Self::KgatewayBackend(one), Self::KgatewayBackend(two)) => annotations && one.spec == two.spec,
            (Self::Gateway(one), Self::Gateway(two)) => annotations && one.spec == two.spec,
            (Self::GatewayClass(one), Self::GatewayClass(two)) => one.spec == two.spec,
            (Self::Route(one), Self::Route(two)) => annotations && one.spec == two.spec && one.rules == two.rules,
            (Self::Grant(one), Self::Grant(two)) => one.spec == two.spec,
            (Self::TlsPolicy(one), Self::TlsPolicy(two)) => one.spec == two.spec,
            (Self::Service(one), Self::Service(two)) => annotations && one.spec == two.spec,
            (Self::EndpointSlice(one), Self::EndpointSlice(two)) => {
                one.endpoints == two.endpoints && one.ports == two.ports
            }
            (Self::Secret(one), Self::Secret(two)) => one.data == two.data,
            (Self::ConfigMap(one), Self::ConfigMap(two)) => one.data == two.data,
            (Self::Namespace(_), Self::Namespace(_)) => true,
            (Self::EnvoyProxy(one), Self::EnvoyProxy(two)) => one.data == two.data,
            (
                Self::Extension(_)
                | Self::Registration(_)
                | Self::VirtualServer(_)
                | Self::AgentgatewayBackend(_)
                | Self::KgatewayBackend(_)
                | Self::Gateway(_)
                | Self::GatewayClass(_)
                | Self::Route(_)
                | Self::Grant(_)
                | Self::TlsPolicy(_)
                | Self::Service(_)
                | Self::EndpointSlice(_)
                | Self::Secret(_)
                | Self::ConfigMap(_)
                | Self::Namespace(_)
                | Self::EnvoyProxy(_),
                _,
            ) => false,
        }
    }

    /// The object as others refer to it. A custom resource in the version the API server delivered it in.
    #[must_use]
    pub fn owner(&self) -> Owner {
        let (usual, kind) = self.kind().types();
        let types = match self {
            Self::Extension(object) => object.types.as_ref(),
            Self::Registration(object) => object.types.as_ref(),
            Self::VirtualServer(object) => object.types.as_ref(),
            Self::AgentgatewayBackend(object) | Self::KgatewayBackend(object) => object.types.as_ref(),
            Self::Gateway(_)
            | Self::GatewayClass(_)
            | Self::Route(_)
            | Self::Grant(_)
            | Self::TlsPolicy(_)
            | Self::Service(_)
            | Self::EndpointSlice(_)
            | Self::Secret(_)
            | Self::ConfigMap(_)
            | Self::Namespace(_)
            | Self::EnvoyProxy(_) => None,
        };
        let version = types
            .map(|types| types.api_version.as_str())
            .filter(|version| !version.is_empty());
        Owner {
            api_version: version.unwrap_or(usual).into(),
            kind: kind.into(),
            place: place_of(self.meta()),
            uid: self.meta().uid.as_deref().unwrap_or_default().into(),
        }
    }
}

/// An object's name in the index. Objects without a namespace have an empty one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// What it is.
    pub kind: Kind,
    /// Where it stands.
    pub place: Place,
}

impl Key {
    /// Of this kind, there.
    #[must_use]
    pub const fn new(kind: Kind, place: Place) -> Self {
        Self { kind, place }
    }
}

/// `namespace/name`, given as text.
#[must_use]
pub fn place(namespace: &str, name: &str) -> Place {
    Place {
        namespace: namespace.into(),
        name: name.into(),
    }
}

/// Where an object stands.
#[must_use]
pub fn place_of(meta: &ObjectMeta) -> Place {
    place(
        meta.namespace.as_deref().unwrap_or_default(),
        meta.name.as_deref().unwrap_or_default(),
    )
}

/// Older objects come first; of the same second, by namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Age {
    created: Timestamp,
    place: Place,
}

/// When an object was made.
#[must_use]
pub fn age(meta: &ObjectMeta) -> Age {
    Age {
        created: meta.creation_timestamp.as_ref().map_or(Timestamp::MAX, |time| time.0),
        place: place_of(meta),
    }
}

impl Age {
    /// Whose age it is.
    #[must_use]
    pub const fn place(&self) -> &Place {
        &self.place
    }
}
