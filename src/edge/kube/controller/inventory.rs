//! What was applied, and what of ours is in the cluster: decides what is applied again and what is deleted. Pure; time is
//! an argument.
//!
//! An object is applied when what is wanted changed, or when somebody else changed or removed it. Whoever changes it
//! again and again is answered more and more slowly, so two controllers never fight.

use crate::edge::kube::objects::names;
use kube::api::ObjectMeta;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The first repair is made at once, the next ones after this, twice this, four times this, ...
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// ... up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// After this long without another change all is forgiven.
const FORGIVEN: Duration = Duration::from_secs(10 * 60);

/// Names an object in the cluster. Sorts by kind first.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Reference {
    /// `HTTPRoute.gateway.networking.k8s.io`
    pub(super) kind: Arc<str>,
    pub(super) namespace: Arc<str>,
    pub(super) name: Arc<str>,
}

/// What the cluster says of an object of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    /// The value of its label: for which Gateway it is there.
    pub(super) gateway: Arc<str>,
    pub(super) uid: Arc<str>,
    /// `metadata.resourceVersion`: grows with every change.
    pub(super) version: u64,
    /// `metadata.generation`: grows with every change of what is wanted; 0 where the kind has none.
    pub(super) generation: i64,
}

/// An object as it was last applied.
#[derive(Clone, Debug)]
struct Applied {
    /// Of what was wanted; `None`: to be applied again.
    digest: Option<u64>,
    held: Held,
    repairs: Repairs,
}

/// How often somebody else changed it of late.
#[derive(Clone, Copy, Debug, Default)]
struct Repairs {
    count: u32,
    last: Option<Instant>,
}

/// What is to be done about a wanted object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// It stands as wanted.
    Never,
    /// Apply it.
    Now,
    /// Apply it then: somebody else keeps changing it.
    At(Instant),
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    held: BTreeMap<Reference, Held>,
    applied: HashMap<Reference, Applied>,
}

// === impl Inventory ===

impl Inventory {
    /// The cluster shows an object of ours. True: somebody should look after its Gateway's objects.
    pub(super) fn seen(&mut self, reference: Reference, held: Held, now: Instant) -> bool {
        let news = match self.applied.get_mut(&reference) {
            // Not applied by this process: wanted or not, its Gateway's objects are to be compared.
            None => self.held.get(&reference) != Some(&held),
            Some(applied) => applied.differs(&held) && applied.spoil(now),
        };
        self.held.insert(reference, held);
        news
    }

    /// An object of ours is gone from the cluster. True as above.
    pub(super) fn gone(&mut self, reference: &Reference, now: Instant) -> Option<Arc<str>> {
        let held = self.held.remove(reference)?;
        if let Some(applied) = self.applied.get_mut(reference)
            && applied.held.uid == held.uid
        {
            applied.spoil(now);
        }
        Some(held.gateway)
    }

    /// Whether a wanted object is to be applied.
    pub(super) fn due(&self, reference: &Reference, digest: u64, now: Instant) -> Due {
        let Some(applied) = self.applied.get(reference) else {
            return Due::Now;
        };
        match applied.digest {
            Some(before) if before == digest => Due::Never,
            Some(_) => Due::Now,
            None => applied.repairs.due(now),
        }
    }

    /// An object was applied and stands as `held`.
    pub(super) fn applied(&mut self, reference: Reference, digest: u64, held: Held) {
        let repairs = self
            .applied
            .get(&reference)
            .map(|applied| applied.repairs)
            .unwrap_or_default();
        let newer = self
            .held
            .get(&reference)
            .is_some_and(|seen| seen.version >= held.version);
        if !newer {
            self.held.insert(reference.clone(), held.clone());
        }
        let applied = Applied {
            digest: Some(digest),
            held,
            repairs,
        };
        self.applied.insert(reference, applied);
    }

    /// An object was deleted.
    pub(super) fn deleted(&mut self, reference: &Reference, uid: &str) {
        self.applied.remove(reference);
        if self.held.get(reference).is_some_and(|held| &*held.uid == uid) {
            self.held.remove(reference);
        }
    }

    /// What stands in the cluster for a Gateway and is not wanted; Secrets are never strays.
    pub(super) fn strays(&self, gateway: &str, wanted: &HashSet<&Reference>) -> Vec<(Reference, Held)> {
        let of_gateway = self.held.iter().filter(|(_, held)| &*held.gateway == gateway);
        of_gateway
            .filter(|(reference, _)| !reference.is_secret() && !wanted.contains(reference))
            .map(|(reference, held)| (reference.clone(), held.clone()))
            .collect()
    }

    /// The Secrets of such Gateways.
    pub(super) fn secrets(&self, of: impl Fn(&str) -> bool) -> Vec<(Reference, Held)> {
        let secrets = self
            .held
            .iter()
            .filter(|(reference, held)| reference.is_secret() && of(&held.gateway));
        secrets
            .map(|(reference, held)| (reference.clone(), held.clone()))
            .collect()
    }

    /// For which Gateways anything stands in the cluster.
    pub(super) fn gateways(&self) -> HashSet<Arc<str>> {
        self.held.values().map(|held| Arc::clone(&held.gateway)).collect()
    }
}

// === impl Applied ===

impl Applied {
    /// True where somebody else changed it since.
    fn differs(&self, seen: &Held) -> bool {
        if seen.version <= self.held.version && seen.uid == self.held.uid {
            return false;
        }
        let same_generation = seen.generation != 0 && seen.generation == self.held.generation;
        seen.uid != self.held.uid || seen.gateway != self.held.gateway || !same_generation
    }

    /// To be applied again. True where that is news.
    fn spoil(&mut self, now: Instant) -> bool {
        let news = self.digest.take().is_some();
        if news {
            self.repairs.another(now);
        }
        news
    }
}

// === impl Repairs ===

impl Repairs {
    fn another(&mut self, now: Instant) {
        let forgiven = self.last.is_none_or(|last| now.duration_since(last) > FORGIVEN);
        self.count = if forgiven { 0 } else { self.count.saturating_add(1) };
        self.last = Some(now);
    }

    fn due(self, now: Instant) -> Due {
        let Some(last) = self.last.filter(|_| self.count > 0) else {
            return Due::Now;
        };
        let pause = FIRST_PAUSE
            .saturating_mul(1 << (self.count - 1).min(6))
            .min(LONGEST_PAUSE);
        match last + pause {
            at if at <= now => Due::Now,
            at => Due::At(at),
        }
    }
}

// === impl Reference ===

impl Reference {
    pub(super) fn is_secret(&self) -> bool {
        &*self.kind == "Secret"
    }
}

// === impl Held ===

impl Held {
    /// What the metadata of an object say; `None` where it is not one of ours.
    pub(super) fn of(metadata: &ObjectMeta) -> Option<Self> {
        Some(Self {
            gateway: metadata.labels.as_ref()?.get(names::GATEWAY)?.as_str().into(),
            uid: metadata.uid.as_deref()?.into(),
            version: metadata.resource_version.as_deref()?.parse().unwrap_or_default(),
            generation: metadata.generation.unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(name: &str) -> Reference {
        Reference {
            kind: "HTTPRoute".into(),
            namespace: "team".into(),
            name: name.into(),
        }
    }

    fn held(version: u64, generation: i64) -> Held {
        Held {
            gateway: "infra.main".into(),
            uid: "1".into(),
            version,
            generation,
        }
    }

    fn inventory() -> (Inventory, Instant) {
        let mut inventory = Inventory::default();
        inventory.applied(route("a"), 7, held(10, 1));
        (inventory, Instant::now())
    }

    #[test]
    fn what_was_applied_is_applied_again_only_when_the_wish_changes() {
        let (inventory, now) = inventory();
        assert_eq!(inventory.due(&route("a"), 7, now), Due::Never);
        assert_eq!(inventory.due(&route("a"), 8, now), Due::Now);
        assert_eq!(inventory.due(&route("b"), 7, now), Due::Now);
    }

    #[test]
    fn our_own_change_and_a_status_are_no_news() {
        let (mut inventory, now) = inventory();
        assert!(
            !inventory.seen(route("a"), held(9, 1), now),
            "an echo of what was before"
        );
        assert!(!inventory.seen(route("a"), held(10, 1), now), "an echo");
        assert!(!inventory.seen(route("a"), held(11, 1), now), "its status");
        assert_eq!(inventory.due(&route("a"), 7, now), Due::Never);
    }

    #[test]
    fn somebody_elses_change_is_repaired() {
        let (mut inventory, now) = inventory();
        assert!(inventory.seen(route("a"), held(11, 2), now));
        assert_eq!(inventory.due(&route("a"), 7, now), Due::Now);
    }

    #[test]
    fn a_kind_without_generations_is_repaired_after_any_change() {
        let (mut inventory, now) = inventory();
        inventory.applied(route("s"), 7, held(10, 0));
        assert!(inventory.seen(route("s"), held(11, 0), now));
        assert_eq!(inventory.due(&route("s"), 7, now), Due::Now);
    }

    #[test]
    fn a_removed_object_is_made_again() {
        let (mut inventory, now) = inventory();
        assert_eq!(inventory.gone(&route("a"), now).as_deref(), Some("infra.main"));
        assert_eq!(inventory.due(&route("a"), 7, now), Due::Now);
    }

    #[test]
    fn whoever_keeps_changing_an_object_is_answered_more_and_more_slowly() {
        let (mut inventory, start) = inventory();
        let mut now = start;
        let mut pauses = Vec::new();
        for version in 0..10 {
            assert!(inventory.seen(
                route("a"),
                held(20 + 2 * version, 2 + i64::try_from(version).unwrap()),
                now
            ));
            let pause = match inventory.due(&route("a"), 7, now) {
                Due::Now => Duration::ZERO,
                Due::At(at) => at - now,
                Due::Never => panic!("it was changed"),
            };
            pauses.push(pause.as_secs());
            now += pause;
            assert_eq!(inventory.due(&route("a"), 7, now), Due::Now);
            inventory.applied(
                route("a"),
                7,
                held(21 + 2 * version, 100 + i64::try_from(version).unwrap()),
            );
        }
        assert_eq!(pauses, [0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(inventory.due(&route("a"), 8, now), Due::Now, "a new wish does not wait");
        now += FORGIVEN * 2;
        inventory.seen(route("a"), held(99, 999), now);
        assert_eq!(inventory.due(&route("a"), 7, now), Due::Now, "forgiven");
    }

    #[test]
    fn what_is_there_and_not_wanted_is_a_stray_of_its_gateway() {
        let (mut inventory, now) = inventory();
        assert!(inventory.seen(route("old"), held(3, 1), now), "left by another process");
        let other = Held {
            gateway: "infra.other".into(),
            ..held(4, 1)
        };
        inventory.seen(route("other"), other, now);
        let strays = inventory.strays("infra.main", &HashSet::from([&route("a")]));
        assert_eq!(strays, [(route("old"), held(3, 1))]);
        assert_eq!(inventory.gateways().len(), 2);
        inventory.deleted(&route("old"), "1");
        assert!(inventory.strays("infra.main", &HashSet::from([&route("a")])).is_empty());
    }
}
