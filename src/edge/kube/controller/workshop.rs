//! Works out what is generated for a Gateway, beside the loop that concludes: for a thousand servers that takes a moment,
//! in which assignments get out and others are heard.
//!
//! One piece of work per Gateway is under way at a time; of what comes meanwhile only the newest is done after it.

use super::prober;
use super::reconciler::{self, Wish};
use crate::edge::kube::objects;
use crate::edge::kube::plan::{self, Place};
use crate::engine::config::Confidential;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tokio::task::JoinSet;

/// See the module.
pub(super) struct Workshop {
    settings: objects::Settings,
    benches: HashMap<Place, Bench>,
    tasks: JoinSet<Made>,
    /// Of the last piece of work.
    number: u64,
}

/// What a Gateway's objects are made from.
type Order = (Arc<plan::Gateway>, Confidential);

struct Bench {
    /// Of the work that is under way.
    number: u64,
    next: Option<Order>,
}

/// What came of it.
pub(super) struct Made {
    pub(super) gateway: Place,
    number: u64,
    pub(super) wanted: reconciler::Wanted,
    pub(super) probes: prober::Wanted,
    /// See [`objects::unguarded`].
    pub(super) unguarded: BTreeMap<Arc<str>, String>,
}

// === impl Workshop ===

impl Workshop {
    pub(super) fn new(namespace: &str) -> Self {
        Self {
            settings: objects::Settings {
                namespace: namespace.into(),
            },
            benches: HashMap::new(),
            tasks: JoinSet::new(),
            number: 0,
        }
    }

    /// This is wanted for a Gateway from now on.
    pub(super) fn order(&mut self, plan: Arc<plan::Gateway>, route_key: Confidential) {
        match self.benches.get_mut(&plan.place) {
            Some(bench) => bench.next = Some((plan, route_key)),
            None => self.begin((plan, route_key)),
        }
    }

    /// Nothing is wanted for a Gateway any more, whatever is under way.
    pub(super) fn cancel(&mut self, gateway: &Place) {
        self.benches.remove(gateway);
    }

    /// The next that is done; never, if nothing is under way. May be given up and called again.
    pub(super) async fn done(&mut self) -> Made {
        loop {
            match self.tasks.join_next().await {
                Some(Ok(made)) if self.counts(&made) => return made,
                // Cancelled, or lost with a panic that was printed.
                Some(Ok(_) | Err(_)) => {}
                None => std::future::pending().await,
            }
        }
    }

    fn begin(&mut self, (plan, route_key): Order) {
        self.number += 1;
        let number = self.number;
        self.benches.insert(plan.place.clone(), Bench { number, next: None });
        let settings = self.settings.clone();
        self.tasks
            .spawn_blocking(move || make(&plan, &settings, &route_key, number));
    }

    /// Whether it still counts. Goes on with what has come meanwhile.
    fn counts(&mut self, made: &Made) -> bool {
        let Some(bench) = self.benches.get(&made.gateway) else {
            return false;
        };
        if bench.number != made.number {
            return false;
        }
        if let Some(next) = self.benches.remove(&made.gateway).and_then(|bench| bench.next) {
            self.begin(next);
        }
        true
    }
}

fn make(plan: &plan::Gateway, settings: &objects::Settings, route_key: &Confidential, number: u64) -> Made {
    let wanted = objects::wanted(plan, settings, route_key);
    Made {
        gateway: plan.place.clone(),
        number,
        wanted: Arc::new(wanted.into_iter().map(Wish::new).collect()),
        probes: Arc::new(objects::probes(plan, route_key)),
        unguarded: objects::unguarded(plan),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::kube::index::place;
    use crate::edge::kube::plan::Processor;

    fn mk_plan(processor: Processor) -> Arc<plan::Gateway> {
        Arc::new(plan::Gateway {
            place: place("team", "edge"),
            processor,
            endpoints: Vec::new(),
        })
    }

    fn backends(made: &Made) -> bool {
        made.wanted.iter().any(|wish| format!("{wish:?}").contains("Backend"))
    }

    #[tokio::test]
    async fn of_what_comes_meanwhile_only_the_newest_is_done() {
        let mut workshop = Workshop::new("system");
        let key = || Confidential("key".into());
        workshop.order(mk_plan(Processor::Sidecar), key());
        workshop.order(mk_plan(Processor::Sidecar), key());
        workshop.order(mk_plan(Processor::Deployment), key());
        assert!(backends(&workshop.done().await), "the first");
        assert!(!backends(&workshop.done().await), "then the last");
        assert!(workshop.tasks.is_empty() && workshop.benches.is_empty());
    }

    #[tokio::test]
    async fn what_is_cancelled_does_not_come_out() {
        let mut workshop = Workshop::new("system");
        workshop.order(mk_plan(Processor::Sidecar), Confidential("key".into()));
        workshop.cancel(&place("team", "edge"));
        workshop.order(mk_plan(Processor::Deployment), Confidential("key".into()));
        assert!(!backends(&workshop.done().await));
        // The cancelled one may be done before or after.
        while let Some(made) = workshop.tasks.join_next().await {
            assert!(!workshop.counts(&made.expect("it does not panic")));
        }
    }
}
