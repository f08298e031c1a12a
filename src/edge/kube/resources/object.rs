//! The common shape of our custom resources, for `kube`: namespaced, kind and version known at run time only, because a
//! cluster may serve another version than ours (the originals' definitions), and two groups share one type.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::{ApiResource, DynamicResourceScope, TypeMeta};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// One object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Custom<Spec, Status> {
    /// Kind and version, as the API server said them.
    #[serde(flatten, default)]
    pub types: Option<TypeMeta>,
    /// Name, namespace, labels, annotations, generation, ...
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// What is wanted.
    #[serde(default)]
    pub spec: Spec,
    /// What was said of it last.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
}

// `#[serde(default)]` alone would ask for `Status: Default`.
const fn none<T>() -> Option<T> {
    None
}

impl<Spec, Status> Custom<Spec, Status> {
    /// The API group, if the object says it.
    #[must_use]
    pub fn group(&self) -> Option<&str> {
        let types = self.types.as_ref()?;
        types.api_version.split_once('/').map(|(group, _)| group)
    }
}

impl<Spec, Status> Resource for Custom<Spec, Status> {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        resource.kind.as_str().into()
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        resource.group.as_str().into()
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        resource.version.as_str().into()
    }

    fn api_version(resource: &ApiResource) -> Cow<'_, str> {
        resource.api_version.as_str().into()
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        resource.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// Kuadrant's way to write a bool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Switch {
    /// On.
    Enabled,
    /// Off.
    Disabled,
    /// A value of a later version.
    #[serde(other)]
    Other,
}
