//! What a controller is told when it starts.

use crate::edge::kube::index;

/// See the module.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its own namespace: Lease, authority, keys and shared objects stand there.
    pub namespace: String,
    /// Its name among the replicas; never the same for two of them.
    pub identity: String,
    /// DNS names by which processors reach it, the shortest first. Never empty.
    pub names: Vec<String>,
    /// Where sidecars run: the namespace of Envoy Gateway's proxies.
    pub processor_namespace: String,
    /// The only namespaces whose objects count; empty: all.
    pub watched: Vec<String>,
    /// What the index does not find out by itself.
    pub index: index::Settings,
}

/// Where objects are followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// In the whole cluster.
    Everything,
    /// In one namespace.
    Namespace(String),
}

// === impl Settings ===

impl Settings {
    /// Where user's objects are followed.
    pub(super) fn reaches(&self) -> Vec<Reach> {
        match self.watched.is_empty() {
            true => vec![Reach::Everything],
            false => self.watched.iter().cloned().map(Reach::Namespace).collect(),
        }
    }

    /// Where generated objects are followed: the controller's own namespace has some too.
    pub(super) fn reaches_with_home(&self) -> Vec<Reach> {
        let mut reaches = self.reaches();
        if !self.watched.is_empty() && !self.watched.contains(&self.namespace) {
            reaches.push(Reach::Namespace(self.namespace.clone()));
        }
        reaches
    }

    /// The namespaces in which it keeps Secrets.
    pub(super) fn homes(&self) -> Vec<String> {
        let mut homes = vec![self.namespace.clone()];
        if self.processor_namespace != self.namespace {
            homes.push(self.processor_namespace.clone());
        }
        homes
    }
}

/// The DNS names of a Service.
#[must_use]
pub fn service_names(service: &str, namespace: &str) -> Vec<String> {
    [
        "",
        &format!(".{namespace}"),
        &format!(".{namespace}.svc"),
        &format!(".{namespace}.svc.cluster.local"),
    ]
    .iter()
    .map(|rest| format!("{service}{rest}"))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(watched: &[&str]) -> Settings {
        Settings {
            namespace: "system".to_owned(),
            identity: "one".to_owned(),
            names: service_names("controller", "system"),
            processor_namespace: "system".to_owned(),
            watched: watched.iter().map(|name| (*name).to_owned()).collect(),
            index: index::Settings::default(),
        }
    }

    #[test]
    fn without_a_choice_everything_is_followed_once() {
        assert_eq!(settings(&[]).reaches_with_home(), [Reach::Everything]);
        assert_eq!(settings(&[]).homes(), ["system"]);
    }

    #[test]
    fn the_own_namespace_is_always_among_those_of_generated_objects() {
        let own = Reach::Namespace("system".to_owned());
        assert_eq!(
            settings(&["a", "system"])
                .reaches_with_home()
                .iter()
                .filter(|reach| **reach == own)
                .count(),
            1
        );
        assert_eq!(
            settings(&["a"])
                .reaches_with_home()
                .iter()
                .filter(|reach| **reach == own)
                .count(),
            1
        );
        assert!(!settings(&["a"]).reaches().contains(&own));
    }

    #[test]
    fn a_service_has_its_usual_names() {
        assert_eq!(
            service_names("c", "n"),
            ["c", "c.n", "c.n.svc", "c.n.svc.cluster.local"]
        );
    }
}
