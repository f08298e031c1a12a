//! The objects as they are now, and which units of the index have read which of them.
//!
//! Whoever resolves something reads through [`Reader`], which notes every look-up, of what is missing too. So what must
//! be resolved anew after a change is never a matter of somebody's list of dependencies.

use super::object::{Key, Kind, Object, place, place_of};
use super::{Answers, Settings};
use crate::edge::kube::plan::Place;
use crate::edge::kube::resources::{Extension, Registration, Route};
use gateway_api::backendtlspolicies::BackendTlsPolicy;
use gateway_api::gatewayclasses::GatewayClass;
use gateway_api::gateways::Gateway;
use gateway_api::referencegrants::ReferenceGrant;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

/// Names the Service that a slice belongs to.
const SERVICE_OF_SLICE: &str = "kubernetes.io/service-name";

/// What is resolved for itself. A unit reads answers only of units that stand before it in this order.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Unit {
    /// A gateway extension.
    Extension(Place),
    /// A registration.
    Registration(Place),
    /// A backend object of either group.
    Backend(Key),
    /// An HTTPRoute, as far as it names backend objects.
    Route(Place),
    /// A virtual server; it comes to nothing.
    VirtualServer(Place),
}

impl Unit {
    /// The unit that is about this object.
    pub(crate) fn of(key: &Key) -> Option<Self> {
        match key.kind {
            Kind::Extension => Some(Self::Extension(key.place.clone())),
            Kind::Registration => Some(Self::Registration(key.place.clone())),
            Kind::AgentgatewayBackend | Kind::KgatewayBackend => Some(Self::Backend(key.clone())),
            Kind::Route => Some(Self::Route(key.place.clone())),
            Kind::VirtualServer => Some(Self::VirtualServer(key.place.clone())),
            Kind::Gateway
            | Kind::GatewayClass
            | Kind::Grant
            | Kind::TlsPolicy
            | Kind::Service
            | Kind::EndpointSlice
            | Kind::Secret
            | Kind::ConfigMap
            | Kind::Namespace
            | Kind::EnvoyProxy => None,
        }
    }

    /// The object it is about.
    pub(crate) fn key(&self) -> Key {
        match self {
            Self::Extension(place) => Key::new(Kind::Extension, place.clone()),
            Self::Registration(place) => Key::new(Kind::Registration, place.clone()),
            Self::Backend(key) => key.clone(),
            Self::Route(place) => Key::new(Kind::Route, place.clone()),
            Self::VirtualServer(place) => Key::new(Kind::VirtualServer, place.clone()),
        }
    }
}

/// Something that can change, as one that read it would name it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Topic {
    /// This object.
    Object(Key),
    /// All objects of this kind in this namespace.
    Within(Kind, Arc<str>),
    /// All objects of this kind.
    All(Kind),
    /// The slices of this Service.
    SlicesOf(Place),
    /// The TLS policies whose target is this Service.
    PoliciesOf(Place),
    /// What all extensions came to.
    Extensions,
    /// The HTTPRoutes that name this backend object.
    RoutesOf(Key),
    /// What this backend object came to.
    Backend(Key),
}

/// The objects.
#[derive(Debug, Default)]
pub(crate) struct Store {
    objects: BTreeMap<Key, Object>,
    slices: HashMap<Place, BTreeSet<Place>>,
    policies: HashMap<Place, BTreeSet<Place>>,
    routes: HashMap<Key, BTreeSet<Place>>,
}

impl Store {
    /// This object, if it exists.
    pub(crate) fn get(&self, key: &Key) -> Option<&Object> {
        self.objects.get(key)
    }

    /// Keeps the object. Returns what has changed by that: nothing, if it says the same as the one before.
    pub(crate) fn put(&mut self, object: Object) -> Vec<Topic> {
        let key = object.key();
        let mut topics = Vec::new();
        let before = self.objects.get(&key).cloned();
        if before.as_ref().is_none_or(|before| !before.says_the_same(&object)) {
            if let Some(before) = &before {
                self.unlink(before, &mut topics);
            }
            self.link(&object, &mut topics);
            topics.extend(about(&key));
        }
        self.objects.insert(key, object);
        topics
    }

    /// Forgets the object. Returns what has changed by that.
    pub(crate) fn remove(&mut self, key: &Key) -> Vec<Topic> {
        let Some(object) = self.objects.remove(key) else {
            return Vec::new();
        };
        let mut topics = about(key).to_vec();
        self.unlink(&object, &mut topics);
        topics
    }

    /// All objects of a kind, by namespace and name.
    pub(crate) fn all(&self, kind: Kind) -> impl Iterator<Item = (&Key, &Object)> {
        self.objects
            .range(Key::new(kind, place("", ""))..)
            .take_while(move |(key, _)| key.kind == kind)
    }

    fn within(&self, kind: Kind, namespace: &Arc<str>) -> impl Iterator<Item = &Object> {
        let first = Key::new(kind, place(namespace, ""));
        self.objects
            .range(first..)
            .take_while(move |(key, _)| key.kind == kind && key.place.namespace == *namespace)
            .map(|(_, object)| object)
    }

    fn link(&mut self, object: &Object, topics: &mut Vec<Topic>) {
        let place = object.key().place;
        if let Some(service) = services_of_slice(object) {
            self.slices.entry(service.clone()).or_default().insert(place.clone());
            topics.push(Topic::SlicesOf(service));
        }
        for service in services_of_policy(object) {
            self.policies.entry(service.clone()).or_default().insert(place.clone());
            topics.push(Topic::PoliciesOf(service));
        }
        for backend in backends_of_route(object) {
            self.routes.entry(backend.clone()).or_default().insert(place.clone());
            topics.push(Topic::RoutesOf(backend));
        }
    }

    fn unlink(&mut self, object: &Object, topics: &mut Vec<Topic>) {
        let place = object.key().place;
        if let Some(service) = services_of_slice(object) {
            forget(&mut self.slices, &service, &place);
            topics.push(Topic::SlicesOf(service));
        }
        for service in services_of_policy(object) {
            forget(&mut self.policies, &service, &place);
            topics.push(Topic::PoliciesOf(service));
        }
        for backend in backends_of_route(object) {
            forget(&mut self.routes, &backend, &place);
            topics.push(Topic::RoutesOf(backend));
        }
    }
}

fn about(key: &Key) -> [Topic; 3] {
    [
        Topic::Object(key.clone()),
        Topic::Within(key.kind, Arc::clone(&key.place.namespace)),
        Topic::All(key.kind),
    ]
}

fn forget<K: Eq + Hash>(links: &mut HashMap<K, BTreeSet<Place>>, to: &K, place: &Place) {
    if let Some(places) = links.get_mut(to) {
        places.remove(place);
        if places.is_empty() {
            links.remove(to);
        }
    }
}

fn backends_of_route(object: &Object) -> BTreeSet<Key> {
    let Object::Route(route) = object else {
        return BTreeSet::new();
    };
    super::backends::routes::backends_of(route)
}

fn services_of_slice(object: &Object) -> Option<Place> {
    let Object::EndpointSlice(slice) = object else {
        return None;
    };
    let name = slice.metadata.labels.as_ref()?.get(SERVICE_OF_SLICE)?;
    Some(place(slice.metadata.namespace.as_deref()?, name))
}

fn services_of_policy(object: &Object) -> Vec<Place> {
    let Object::TlsPolicy(policy) = object else {
        return Vec::new();
    };
    let namespace = place_of(&policy.metadata).namespace;
    let targets = policy.spec.target_refs.iter();
    let services = targets.filter(|target| target.group.is_empty() && target.kind == "Service");
    services.map(|target| place(&namespace, &target.name)).collect()
}

/// Looks things up on behalf of one unit, and notes what it asked for.
pub(crate) struct Reader<'a> {
    store: &'a Store,
    answers: &'a Answers,
    settings: &'a Settings,
    read: HashSet<Topic>,
}

macro_rules! lookups {
    ($($(#[$doc:meta])* $name:ident: $kind:ident -> $object:ty;)*) => {
        impl<'a> Reader<'a> {
            $($(#[$doc])*
            pub(crate) fn $name(&mut self, place: &Place) -> Option<&'a Arc<$object>> {
                let Object::$kind(object) = self.object(Key::new(Kind::$kind, place.clone()))? else {
                    return None;
                };
                Some(object)
            })*
        }
    };
}

lookups! {
    /// A gateway extension.
    extension: Extension -> Extension;
    /// A registration.
    registration: Registration -> Registration;
    /// A Gateway.
    gateway: Gateway -> Gateway;
    /// A GatewayClass.
    gateway_class: GatewayClass -> GatewayClass;
    /// An HTTPRoute.
    route: Route -> Route;
    /// A Service.
    service: Service -> Service;
    /// A Secret.
    secret: Secret -> Secret;
    /// A ConfigMap.
    config_map: ConfigMap -> ConfigMap;
    /// A Namespace.
    namespace: Namespace -> Namespace;
}

impl<'a> Reader<'a> {
    /// Has read nothing yet.
    pub(crate) fn new(store: &'a Store, answers: &'a Answers, settings: &'a Settings) -> Self {
        Self {
            store,
            answers,
            settings,
            read: HashSet::new(),
        }
    }

    /// What it was asked for.
    pub(crate) fn read(self) -> HashSet<Topic> {
        self.read
    }

    /// What never changes.
    pub(crate) const fn settings(&self) -> &'a Settings {
        self.settings
    }

    /// This object.
    pub(crate) fn object(&mut self, key: Key) -> Option<&'a Object> {
        let object = self.store.get(&key);
        self.read.insert(Topic::Object(key));
        object
    }

    /// All objects of a kind in a namespace, by name.
    pub(crate) fn within(&mut self, kind: Kind, namespace: &Arc<str>) -> Vec<&'a Object> {
        self.read.insert(Topic::Within(kind, Arc::clone(namespace)));
        self.store.within(kind, namespace).collect()
    }

    /// All objects of a kind, by namespace and name.
    pub(crate) fn all(&mut self, kind: Kind) -> Vec<&'a Object> {
        self.read.insert(Topic::All(kind));
        self.store.all(kind).map(|(_, object)| object).collect()
    }

    /// The grants that stand in a namespace.
    pub(crate) fn grants(&mut self, namespace: &Arc<str>) -> Vec<&'a Arc<ReferenceGrant>> {
        let grant = |object: &'a Object| {
            let Object::Grant(grant) = object else {
                return None;
            };
            Some(grant)
        };
        self.within(Kind::Grant, namespace)
            .into_iter()
            .filter_map(grant)
            .collect()
    }

    /// The slices of a Service, by name.
    pub(crate) fn slices(&mut self, service: &Place) -> Vec<&'a Arc<EndpointSlice>> {
        self.read.insert(Topic::SlicesOf(service.clone()));
        let slice = |place: &Place| match self.store.get(&Key::new(Kind::EndpointSlice, place.clone())) {
            Some(Object::EndpointSlice(slice)) => Some(slice),
            _ => None,
        };
        self.store
            .slices
            .get(service)
            .into_iter()
            .flatten()
            .filter_map(slice)
            .collect()
    }

    /// The TLS policies whose target is a Service, by name.
    pub(crate) fn tls_policies(&mut self, service: &Place) -> Vec<&'a Arc<BackendTlsPolicy>> {
        self.read.insert(Topic::PoliciesOf(service.clone()));
        let policy = |place: &Place| match self.store.get(&Key::new(Kind::TlsPolicy, place.clone())) {
            Some(Object::TlsPolicy(policy)) => Some(policy),
            _ => None,
        };
        self.store
            .policies
            .get(service)
            .into_iter()
            .flatten()
            .filter_map(policy)
            .collect()
    }

    /// The HTTPRoutes that name a backend object, by namespace and name.
    pub(crate) fn routes_of(&mut self, backend: &Key) -> Vec<&'a Arc<Route>> {
        self.read.insert(Topic::RoutesOf(backend.clone()));
        let route = |place: &Place| {
            let Some(Object::Route(route)) = self.store.get(&Key::new(Kind::Route, place.clone())) else {
                return None;
            };
            Some(route)
        };
        let places = self.store.routes.get(backend).into_iter().flatten();
        places.filter_map(route).collect()
    }

    /// What a backend object came to; `None`: it does not exist, or is none of ours.
    pub(crate) fn backend(&mut self, key: &Key) -> Option<&'a Arc<super::backends::Answer>> {
        self.read.insert(Topic::Backend(key.clone()));
        self.answers.backends.get(key)
    }

    /// What all extensions came to.
    pub(crate) fn extensions(&mut self) -> impl Iterator<Item = &'a Arc<super::extension::Answer>> + use<'a> {
        self.read.insert(Topic::Extensions);
        self.answers.extensions.values()
    }
}
