//! Asks Envoy for the generated routes to upstreams, as its clients would, until each is there and guarded by the
//! processor; then now and then. One prober per Gateway; what it finds decides readiness.
//!
//! It asks the pods of Envoy, which are found by the labels of their EndpointSlices. Nothing is concluded from an answer
//! that an earlier filter may have given: the same request for no upstream must come to the processor (see [`judge`]).

mod judge;
mod pods;

use self::judge::Lines;
use super::settings::{Reach, Settings};
use crate::edge::kube::index::Road;
use crate::edge::kube::objects::Probe;
use crate::edge::kube::plan::Place;
use kube::Client;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{debug, warn};

/// A route that is not there after this long does not keep its upstream from being ready any more.
const PATIENCE: Duration = Duration::from_secs(15);
/// Pause before what is not there yet is asked for again; doubled up to [`LONGEST`].
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(3);
/// So often a route that is as it should be is asked for again.
const AGAIN: Duration = Duration::from_secs(5 * 60);
/// One that is not, or that nothing can be said of, is asked for again after this, then after twice as long, and so on
const SOON: Duration = Duration::from_secs(1);
/// up to this.
const LATE: Duration = Duration::from_secs(30);
/// Envoy takes all routes at once: after so many in a row that are not there the others are not asked for just now.
const MISSES: usize = 8;

/// What is to be asked for, by upstream; a sentence where nothing can be.
pub(super) type Wanted = Arc<Vec<(Arc<str>, Result<Probe, String>)>>;

/// A finding: the Gateway, the upstream, and what was found; `None`: earlier findings do not count any more.
pub(super) type Found = (Place, Arc<str>, Option<Road>);

/// One prober per Gateway. They end when this is dropped.
pub(super) struct Probers {
    client: Client,
    reach: Reach,
    out: mpsc::UnboundedSender<Found>,
    wanted: HashMap<Place, watch::Sender<Wanted>>,
    tasks: JoinSet<()>,
}

/// One route.
struct Slot {
    probe: Result<Probe, String>,
    road: Option<Road>,
    since: Instant,
    /// When it is asked for next.
    due: Instant,
    attempts: u32,
    /// In a row, that found nothing good. Only counted once something was told.
    failures: u32,
}

/// See the module.
struct Prober {
    gateway: Place,
    client: Client,
    reach: Reach,
    out: mpsc::UnboundedSender<Found>,
    slots: BTreeMap<Arc<str>, Slot>,
}

// === impl Probers ===

impl Probers {
    pub(super) fn new(client: Client, settings: &Settings, out: mpsc::UnboundedSender<Found>) -> Self {
        let reach = match settings.watched.is_empty() {
            true => Reach::Everything,
            false => Reach::Namespace(settings.processor_namespace.clone()),
        };
        Self {
            client,
            reach,
            out,
            wanted: HashMap::new(),
            tasks: JoinSet::new(),
        }
    }

    /// These routes of a Gateway are asked for from now on.
    pub(super) fn want(&mut self, gateway: &Place, wanted: Wanted) {
        if let Some(sender) = self.wanted.get(gateway) {
            sender.send_replace(wanted);
            return;
        }
        let (sender, receiver) = watch::channel(wanted);
        let prober = Prober {
            gateway: gateway.clone(),
            client: self.client.clone(),
            reach: self.reach.clone(),
            out: self.out.clone(),
            slots: BTreeMap::new(),
        };
        self.tasks.spawn(prober.run(receiver));
        self.wanted.insert(gateway.clone(), sender);
    }
}

// === impl Slot ===

impl Slot {
    /// When it is asked for next, after this was found. Until something can be said at all, passes follow each other.
    fn wait(&mut self, now: Instant, found: Option<&Road>) {
        match found {
            Some(Road::Guarded) => {
                self.failures = 0;
                self.due = now + AGAIN;
            }
            None if self.road.is_none() => self.due = now,
            Some(Road::Open(_) | Road::Broken(_) | Road::Unverified(_)) | None => {
                self.due = now + SOON.saturating_mul(1 << self.failures.min(10)).min(LATE);
                self.failures = self.failures.saturating_add(1);
            }
        }
    }
}

// === impl Prober ===

impl Prober {
    async fn run(mut self, mut wanted: watch::Receiver<Wanted>) {
        let mut pause = SHORTEST;
        loop {
            let now = Arc::clone(&wanted.borrow_and_update());
            self.take(&now);
            self.pass().await;
            let waiting = self.slots.values().any(|slot| slot.road.is_none());
            let next = self.slots.values().map(|slot| slot.due).min();
            let wait = match waiting {
                true => Some(Instant::now() + pause),
                false => next,
            };
            tokio::select! {
                changed = wanted.changed() => match changed {
                    Ok(()) => pause = SHORTEST,
                    Err(_) => return,
                },
                () = until(wait) => pause = (pause * 2).min(LONGEST),
            }
        }
    }

    /// Goes over to what is wanted now. What was found of a route that changed counts until more is found.
    fn take(&mut self, wanted: &[(Arc<str>, Result<Probe, String>)]) {
        let now = Instant::now();
        let mut old = std::mem::take(&mut self.slots);
        for (upstream, probe) in wanted {
            let slot = match old.remove(upstream) {
                Some(slot) if slot.probe == *probe => slot,
                before => Slot {
                    probe: probe.clone(),
                    road: before.and_then(|slot| slot.road),
                    since: now,
                    due: now,
                    attempts: 0,
                    failures: 0,
                },
            };
            self.slots.insert(Arc::clone(upstream), slot);
        }
        for (upstream, _) in old {
            self.tell(&upstream, None);
        }
    }

    /// Asks for everything that is due, those first that were asked for least.
    async fn pass(&mut self) {
        let now = Instant::now();
        let mut due: Vec<_> = self.slots.iter().filter(|(_, slot)| slot.due <= now).collect();
        due.sort_by_key(|(_, slot)| slot.attempts);
        let due: Vec<_> = due
            .into_iter()
            .map(|(name, slot)| (Arc::clone(name), slot.probe.clone()))
            .collect();
        if due.is_empty() {
            return;
        }
        let doors = due
            .iter()
            .filter_map(|(_, probe)| probe.as_ref().ok())
            .map(|probe| probe.door.clone());
        let ports = doors.map(|door| door.port).collect();
        let pods = pods::pods(&self.client, &self.reach, &self.gateway, ports).await;
        let mut lines = Lines::default();
        let mut misses = 0;
        for (upstream, probe) in due {
            let finding = match &probe {
                Ok(probe) => lines.find(probe, &pods).await,
                Err(reason) => Err(reason.clone()),
            };
            misses = match finding {
                Ok(_) => 0,
                Err(_) => misses + 1,
            };
            self.note(&upstream, finding, probe.is_err());
            if misses == MISSES {
                break;
            }
        }
        self.lose_patience();
    }

    fn note(&mut self, upstream: &Arc<str>, finding: Result<Road, String>, hopeless: bool) {
        let now = Instant::now();
        let Some(slot) = self.slots.get_mut(upstream) else {
            return;
        };
        slot.attempts = slot.attempts.saturating_add(1);
        let road = match finding {
            Ok(road) => Some(road),
            Err(reason) => {
                let late = hopeless || now.duration_since(slot.since) > PATIENCE;
                // What was found before counts more than silence.
                let silent = matches!(slot.road, None | Some(Road::Unverified(_)));
                (late && silent).then_some(Road::Unverified(reason))
            }
        };
        slot.wait(now, road.as_ref());
        if road.is_some() && road != slot.road {
            slot.road.clone_from(&road);
            self.complain(upstream, &road);
            self.tell(upstream, road);
        }
    }

    /// Those that were not even asked for: nothing was there.
    fn lose_patience(&mut self) {
        let now = Instant::now();
        let late: Vec<_> = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.road.is_none() && now.duration_since(slot.since) > PATIENCE * 2)
            .map(|(name, _)| Arc::clone(name))
            .collect();
        for upstream in late {
            self.note(&upstream, Err("Envoy does not have it yet".to_owned()), true);
        }
    }

    fn complain(&self, upstream: &str, road: &Option<Road>) {
        let gateway = &self.gateway;
        match road {
            None | Some(Road::Guarded) => debug!(%gateway, upstream, "A route stands and is guarded."),
            Some(Road::Unverified(reason)) => debug!(%gateway, upstream, reason, "A route cannot be probed."),
            Some(Road::Open(status)) => warn!(%gateway, upstream, status, "A route leads past the processor."),
            Some(Road::Broken(status)) => warn!(%gateway, upstream, status, "A route does not work."),
        }
    }

    fn tell(&self, upstream: &Arc<str>, road: Option<Road>) {
        // Whoever does not listen is about to end.
        let _ = self.out.send((self.gateway.clone(), Arc::clone(upstream), road));
    }
}

async fn until(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
