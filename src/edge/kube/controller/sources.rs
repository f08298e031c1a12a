//! Which objects are followed: everything that can say what is served, and what this controller generated itself.
//! ConfigMaps are not among them: see `maps`.
//!
//! Objects are read leniently: one that does not fit its type (made under a later version of its definition) counts as
//! absent and is named in the log; it must not keep the others from being seen. What the index never reads is cut away.

use super::inventory::{Held, Reference};
use super::settings::{Reach, Settings};
use super::shared::kind;
use super::watch::{Refusal, Seen, Source, follow};
use crate::edge::kube::index::{Key, Kind, Object, place};
use crate::edge::kube::objects::{self, names};
use crate::edge::kube::plan::Place;
use crate::edge::kube::resources;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DynamicObject};
use kube::core::{
    ApiResource, ClusterResourceScope, DeserializeGuard, DynamicResourceScope, GroupVersionKind, NamespaceResourceScope,
};
use kube::{Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::warn;

/// Credentials and authorities that registrations may name carry this label, as they do at Kuadrant.
const CREDENTIALS: &str = "mcp.kuadrant.io/secret=true";
/// What this controller generated says nothing of what is wanted.
const NOT_OURS: &str = "app.kubernetes.io/managed-by!=mcp-manifold";
/// For an answer of the API server about its kinds.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the sources tell.
#[derive(Debug)]
pub(super) enum News {
    /// An object that may say what is served.
    Object(Object),
    /// ... is gone.
    Gone(Key),
    /// An object of ours stands so.
    Held(Reference, Held),
    /// ... is gone.
    Lost(Reference),
    /// One source has told everything that is there.
    Complete,
    /// A ConfigMap that is followed by its name has been told, or does not exist.
    Found(Place),
}

/// Starts all sources. Returns how many times [`News::Complete`] is told until everything is known.
pub(super) fn start(tasks: &mut JoinSet<()>, client: &Client, settings: &Settings, out: &mpsc::Sender<News>) -> usize {
    let mut starter = Starter {
        tasks,
        client,
        settings,
        out,
        started: 0,
    };
    starter.custom();
    starter.gateway_api();
    starter.core();
    starter.proxies();
    starter.generated();
    starter.started
}

struct Starter<'a> {
    tasks: &'a mut JoinSet<()>,
    client: &'a Client,
    settings: &'a Settings,
    out: &'a mpsc::Sender<News>,
    started: usize,
}

// === impl Starter ===

impl Starter<'_> {
    fn custom(&mut self) {
        use resources::Kind as Custom;
        self.versioned(Custom::Extension, Kind::Extension, Object::Extension);
        self.versioned(Custom::Registration, Kind::Registration, Object::Registration);
        self.versioned(Custom::VirtualServer, Kind::VirtualServer, Object::VirtualServer);
        self.versioned(
            Custom::AgentgatewayBackend,
            Kind::AgentgatewayBackend,
            Object::AgentgatewayBackend,
        );
        self.versioned(Custom::KgatewayBackend, Kind::KgatewayBackend, Object::KgatewayBackend);
    }

    fn gateway_api(&mut self) {
        self.namespaced(Kind::Gateway, "", Object::Gateway);
        self.namespaced(Kind::Route, NOT_OURS, Object::Route);
        self.namespaced(Kind::Grant, NOT_OURS, Object::Grant);
        self.namespaced(Kind::TlsPolicy, "", Object::TlsPolicy);
        self.clustered(Kind::GatewayClass, Object::GatewayClass);
    }

    fn core(&mut self) {
        self.namespaced(Kind::Service, NOT_OURS, Object::Service);
        self.namespaced(Kind::EndpointSlice, "", Object::EndpointSlice);
        self.namespaced(Kind::Secret, CREDENTIALS, Object::Secret);
        self.clustered(Kind::Namespace, Object::Namespace);
    }

    /// Envoy Gateway's settings of its proxies: a warning hangs on them, no more.
    fn proxies(&mut self) {
        let (version, kind) = Kind::EnvoyProxy.types();
        let resource = ApiResource::from_gvk_with_plural(&kind_of(version, kind), "envoyproxies");
        for reach in self.settings.reaches() {
            let api = match reach {
                Reach::Everything => Api::all_with(self.client.clone(), &resource),
                Reach::Namespace(namespace) => Api::namespaced_with(self.client.clone(), &namespace, &resource),
            };
            self.typed(fixed(api), Kind::EnvoyProxy, "", Refusal::Tolerated, Object::EnvoyProxy);
        }
    }

    /// What carries our label. Secrets only where we make them.
    fn generated(&mut self) {
        let secret = ApiResource::erase::<Secret>(&());
        for namespace in self.settings.homes() {
            self.ours(&secret, &Reach::Namespace(namespace));
        }
        for resource in objects::kinds() {
            for reach in self.settings.reaches_with_home() {
                self.ours(&resource, &reach);
            }
        }
    }

    /// A custom resource, in the version that the cluster serves.
    fn versioned<K>(&mut self, custom: resources::Kind, kind: Kind, wrap: fn(Arc<K>) -> Object)
    where
        K: Resource<DynamicType = ApiResource, Scope = DynamicResourceScope> + Followed,
    {
        for reach in self.settings.reaches() {
            let client = self.client.clone();
            let api = move || {
                let (client, reach) = (client.clone(), reach.clone());
                async move {
                    let resource = served(&client, custom).await;
                    match reach {
                        Reach::Everything => Api::all_with(client, &resource),
                        Reach::Namespace(namespace) => Api::namespaced_with(client, &namespace, &resource),
                    }
                }
                .boxed()
            };
            self.typed(Box::new(api), kind, "", Refusal::Waits, wrap);
        }
    }

    fn namespaced<K>(&mut self, kind: Kind, labels: &str, wrap: fn(Arc<K>) -> Object)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Followed,
    {
        for reach in self.settings.reaches() {
            let api = match reach {
                Reach::Everything => Api::all(self.client.clone()),
                Reach::Namespace(namespace) => Api::namespaced(self.client.clone(), &namespace),
            };
            self.typed(fixed(api), kind, labels, Refusal::Waits, wrap);
        }
    }

    /// Those without a namespace: a controller that may see some namespaces only does without them.
    fn clustered<K>(&mut self, kind: Kind, wrap: fn(Arc<K>) -> Object)
    where
        K: Resource<DynamicType = (), Scope = ClusterResourceScope> + Followed,
    {
        let refusal = match self.settings.watched.is_empty() {
            true => Refusal::Waits,
            false => Refusal::Tolerated,
        };
        self.typed(fixed(Api::all(self.client.clone())), kind, "", refusal, wrap);
    }

    fn typed<K: Resource + Followed>(
        &mut self,
        api: At<DeserializeGuard<K>>,
        kind: Kind,
        labels: &str,
        refusal: Refusal,
        wrap: fn(Arc<K>) -> Object,
    ) where
        K::DynamicType: Clone + Debug + Eq + std::hash::Hash + Send + Sync,
    {
        let source = Source {
            api,
            labels: labels.to_owned(),
            name: String::new(),
            kind: kind.types().1.to_owned(),
            refusal,
        };
        let tell = move |seen| Some(news(seen, kind, wrap));
        self.tasks.spawn(follow(source, self.out.clone(), tell));
        self.started += 1;
    }

    fn ours(&mut self, resource: &ApiResource, reach: &Reach) {
        let api: Api<DynamicObject> = match reach {
            Reach::Everything => Api::all_with(self.client.clone(), resource),
            Reach::Namespace(namespace) => Api::namespaced_with(self.client.clone(), namespace, resource),
        };
        let name: Arc<str> = kind(resource).into();
        let source = Source {
            api: fixed(api),
            labels: format!("{}={}", names::MANAGED_BY, names::MANAGER),
            name: String::new(),
            kind: format!("{name} (generated)"),
            refusal: Refusal::Waits,
        };
        let tell = move |seen| standing(seen, &name);
        self.tasks.spawn(follow(source, self.out.clone(), tell));
        self.started += 1;
    }
}

fn kind_of(version: &str, kind: &str) -> GroupVersionKind {
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    GroupVersionKind::gvk(group, version, kind)
}

pub(super) type At<K> = Box<dyn Fn() -> BoxFuture<'static, Api<K>> + Send + Sync>;

/// What a followed type can do.
trait Followed: Clone + DeserializeOwned + Debug + Send + Sync + 'static {}

impl<K: Clone + DeserializeOwned + Debug + Send + Sync + 'static> Followed for K {}

pub(super) fn fixed<K: Clone + Send + Sync + 'static>(api: Api<K>) -> At<K> {
    Box::new(move || std::future::ready(api.clone()).boxed())
}

/// The version of a custom resource that the cluster serves; the preferred one where it serves none or cannot be asked.
async fn served(client: &Client, custom: resources::Kind) -> ApiResource {
    for version in custom.versions() {
        let group = format!("{}/{version}", custom.group());
        let list = tokio::time::timeout(PATIENCE, client.list_api_group_resources(&group)).await;
        if let Ok(Ok(list)) = list
            && list.resources.iter().any(|resource| resource.name == custom.plural())
        {
            return custom.resource(version);
        }
    }
    custom.resource(custom.versions().first().copied().unwrap_or_default())
}

pub(super) fn news<K: Resource>(seen: Seen<DeserializeGuard<K>>, kind: Kind, wrap: fn(Arc<K>) -> Object) -> News {
    match seen {
        Seen::Object(DeserializeGuard(Ok(mut object))) => {
            object.managed_fields_mut().clear();
            News::Object(wrap(Arc::new(object)))
        }
        Seen::Object(DeserializeGuard(Err(invalid))) => {
            let namespace = invalid.metadata.namespace.unwrap_or_default();
            let name = invalid.metadata.name.unwrap_or_default();
            // What is wrong may quote the object: never a Secret.
            let error = if kind == Kind::Secret {
                "not shown"
            } else {
                invalid.error.as_str()
            };
            warn!(kind = kind.types().1, %namespace, %name, error, "An object cannot be read and is left out.");
            News::Gone(Key::new(kind, place(&namespace, &name)))
        }
        Seen::Gone(namespace, name) => News::Gone(Key::new(kind, place(&namespace, &name))),
        Seen::Complete => News::Complete,
    }
}

fn standing(seen: Seen<DynamicObject>, kind: &Arc<str>) -> Option<News> {
    let reference = |namespace: String, name: String| Reference {
        kind: Arc::clone(kind),
        namespace: namespace.into(),
        name: name.into(),
    };
    match seen {
        Seen::Object(object) => {
            let held = Held::of(&object.metadata)?;
            Some(News::Held(
                reference(object.namespace().unwrap_or_default(), object.name_any()),
                held,
            ))
        }
        Seen::Gone(namespace, name) => Some(News::Lost(reference(namespace, name))),
        Seen::Complete => Some(News::Complete),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::Service;
    use serde_json::json;

    #[test]
    fn an_object_that_cannot_be_read_counts_as_absent() {
        let value = json!({"metadata": {"name": "a", "namespace": "b"}, "spec": "nonsense"});
        let object: DeserializeGuard<Service> = serde_json::from_value(value).unwrap();
        let News::Gone(key) = news(Seen::Object(object), Kind::Service, Object::Service) else {
            panic!("it was told as an object");
        };
        assert_eq!(key, Key::new(Kind::Service, place("b", "a")));
    }
}
