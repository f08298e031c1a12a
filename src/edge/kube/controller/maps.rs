//! ConfigMaps: those that something refers to are followed one by one, by name. A cluster keeps much in them that is of no
//! use here and changes often.
//!
//! Until the API server has said what there is of a name, nothing is concluded: as with all other objects, what was not
//! seen yet is not what does not exist.

use super::settings::Settings;
use super::sources::{News, fixed, news};
use super::watch::{Refusal, Seen, Source, follow};
use crate::edge::kube::index::{Key, Kind, Object};
use crate::edge::kube::plan::Place;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::core::DeserializeGuard;
use kube::{Api, Client};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

/// ConfigMaps are read for these only.
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----";

/// See the module. Everything ends when it is dropped.
pub(super) struct Maps {
    client: Client,
    /// The only namespaces that may be read; empty: all.
    watched: Vec<String>,
    out: mpsc::Sender<News>,
    followed: HashMap<Place, Followed>,
    tasks: JoinSet<()>,
}

struct Followed {
    task: AbortHandle,
    /// What there is of it has been told.
    known: bool,
}

// === impl Maps ===

impl Maps {
    pub(super) fn new(client: Client, settings: &Settings, out: mpsc::Sender<News>) -> Self {
        Self {
            client,
            watched: settings.watched.clone(),
            out,
            followed: HashMap::new(),
            tasks: JoinSet::new(),
        }
    }

    /// These are followed from now on, and no others. Returns those that were until now.
    pub(super) fn follow(&mut self, wanted: &BTreeSet<Key>) -> Vec<Key> {
        let wanted: BTreeSet<&Place> = wanted
            .iter()
            .map(|key| &key.place)
            .filter(|map| self.reaches(map))
            .collect();
        let given_up = self.followed.extract_if(|map, _| !wanted.contains(map));
        let given_up: Vec<Key> = given_up
            .map(|(map, followed)| {
                followed.task.abort();
                Key::new(Kind::ConfigMap, map)
            })
            .collect();
        for map in wanted {
            if !self.followed.contains_key(map) {
                let task = self.tasks.spawn(source(&self.client, map, self.out.clone()));
                self.followed.insert(map.clone(), Followed { task, known: false });
            }
        }
        while self.tasks.try_join_next().is_some() {}
        given_up
    }

    fn reaches(&self, map: &Place) -> bool {
        self.watched.is_empty() || self.watched.iter().any(|namespace| **namespace == *map.namespace)
    }

    /// What there is of this one has been told.
    pub(super) fn found(&mut self, map: &Place) {
        if let Some(followed) = self.followed.get_mut(map) {
            followed.known = true;
        }
    }

    /// Whether it is known of every one what there is.
    pub(super) fn are_complete(&self) -> bool {
        self.followed.values().all(|followed| followed.known)
    }
}

fn source(client: &Client, map: &Place, out: mpsc::Sender<News>) -> impl Future<Output = ()> + Send + 'static {
    let api: Api<DeserializeGuard<ConfigMap>> = Api::namespaced(client.clone(), &map.namespace);
    let source = Source {
        api: fixed(api),
        labels: String::new(),
        name: map.name.to_string(),
        kind: format!("ConfigMap {map}"),
        // Without the right to read it, it counts as absent: a condition says so where it is needed.
        refusal: Refusal::Tolerated,
    };
    let map = map.clone();
    let tell = move |seen| match seen {
        Seen::Complete => Some(News::Found(map.clone())),
        Seen::Object(_) | Seen::Gone(..) => {
            Some(news(seen, Kind::ConfigMap, |map| Object::ConfigMap(certificates(map))))
        }
    };
    follow(source, out, tell)
}

/// The map with nothing but certificates in it.
fn certificates(mut map: Arc<ConfigMap>) -> Arc<ConfigMap> {
    let inner = Arc::make_mut(&mut map);
    inner.binary_data = None;
    if let Some(data) = &mut inner.data {
        data.retain(|_, text| text.contains(CERTIFICATE));
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::kube::index::place;
    use serde_json::json;

    #[test]
    fn only_certificates_of_a_config_map_are_kept() {
        let map = json!({"data": {"ca.crt": "-----BEGIN CERTIFICATE-----\nx", "settings": "much text"}});
        let map = certificates(Arc::new(serde_json::from_value(map).unwrap()));
        let keys: Vec<_> = map.data.iter().flatten().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["ca.crt"]);
    }

    #[tokio::test]
    async fn only_what_is_referred_to_is_followed_and_waited_for() {
        let client = Client::try_from(kube::Config::new("http://127.0.0.1:1".parse().unwrap())).unwrap();
        let (out, _news) = mpsc::channel(1);
        let mut maps = Maps {
            client,
            watched: vec!["a".to_owned()],
            out,
            followed: HashMap::new(),
            tasks: JoinSet::new(),
        };
        let [one, two, elsewhere] = [place("a", "one"), place("a", "two"), place("b", "one")];
        let keys = |maps: &[&Place]| -> BTreeSet<Key> {
            maps.iter()
                .map(|map| Key::new(Kind::ConfigMap, (*map).clone()))
                .collect()
        };
        assert!(maps.are_complete(), "nothing is needed");
        assert_eq!(maps.follow(&keys(&[&one, &elsewhere])), []);
        assert!(!maps.are_complete());
        maps.found(&one);
        assert!(maps.are_complete(), "what may not be read is not waited for");
        assert_eq!(maps.follow(&keys(&[&two])), [Key::new(Kind::ConfigMap, one)]);
        assert!(!maps.are_complete());
    }
}
