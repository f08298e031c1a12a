//! The time of leading: objects flow into the index, what it concludes flows out.
//!
//! ```text
//! sources -> index -> assignments -> (app) -> registry          told <- (app) <- registry
//!   maps        |---> plans -> workshop -> reconcilers (objects), probers; vault (keys), certifier
//!               `---> statuses, events
//! ```
//! Nothing is concluded before every source has told everything it knows: an object that was not seen yet is no object
//! that does not exist. One loop owns the index; whatever takes time happens in tasks that end with it.

use super::certifier;
use super::clerk;
use super::crew::Crew;
use super::health::Health;
use super::identity::Known;
use super::inventory::Reference;
use super::keyring::Keyring;
use super::maps::Maps;
use super::prober::{Found, Probers};
use super::reconciler::Denied;
use super::settings::Settings;
use super::shared::Shared;
use super::sources::{self, News};
use super::vault::Vault;
use super::workshop::{Made, Workshop};
use super::{Order, Ports, names};
use crate::edge::kube::index::{Changes, Index, Keys, Kind, Note, Object, StatusChange, Timestamp};
use crate::edge::kube::plan::{self, Place};
use crate::engine::assignment::Told;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{info, warn};

/// News that come together are concluded from together: after this long without more,
const QUIET: Duration = Duration::from_millis(4);
/// but no later than this after the first.
const PATIENCE: Duration = Duration::from_millis(40);
/// News that wait to be taken.
const QUEUE: usize = 1024;

/// Leads, until dropped.
pub(super) struct Lead<'a> {
    settings: &'a Settings,
    ports: &'a mut Ports,
    shared: Arc<Shared>,
    health: &'a Health,
    index: Index,
    news: mpsc::Receiver<News>,
    /// Sources that have not told everything yet.
    incomplete: usize,
    leading: bool,
    /// Every Gateway that exists, served or not: their Secrets stay.
    gateways: BTreeSet<Place>,
    plans: BTreeMap<Place, Arc<plan::Gateway>>,
    keyring: Keyring,
    workshop: Workshop,
    crew: Crew,
    denied: mpsc::UnboundedReceiver<Denied>,
    probers: Probers,
    probed: mpsc::UnboundedReceiver<Found>,
    maps: Maps,
    statuses: mpsc::UnboundedSender<StatusChange>,
    notes: mpsc::Sender<Note>,
    /// The index is asked again then.
    wake: Option<Instant>,
    /// Sources, certifier, writers. They end with this.
    _tasks: JoinSet<()>,
}

/// Something to take in.
enum Input {
    News(News),
    Told(Place, Told),
    Keys(Place, Keys),
    Made(Made),
    Denied(Denied),
    Probed(Found),
    Wake,
}

// === impl Lead ===

impl<'a> Lead<'a> {
    /// Begins to look around.
    pub(super) fn new(
        settings: &'a Settings,
        ports: &'a mut Ports,
        shared: Shared,
        vault: Vault,
        authority: Known,
        health: &'a Health,
    ) -> Self {
        let shared = Arc::new(shared);
        let mut tasks = JoinSet::new();
        let (seen, news) = mpsc::channel(QUEUE);
        let incomplete = sources::start(&mut tasks, &shared.client, settings, &seen);
        let (keyring, due) = Keyring::new(vault.clone());
        tasks.spawn(certifier::certify(vault, authority, due));
        let (statuses, changes) = mpsc::unbounded_channel();
        tasks.spawn(clerk::write(Arc::clone(&shared), changes));
        let (notes, recorded) = clerk::events();
        tasks.spawn(clerk::record(Arc::clone(&shared), settings.identity.clone(), recorded));
        let (found, probed) = mpsc::unbounded_channel();
        let (refused, denied) = mpsc::unbounded_channel();
        // What processors said to somebody who led before is of no use.
        while ports.told.try_recv().is_ok() {}
        Self {
            settings,
            ports,
            health,
            index: Index::new(settings.index.clone()),
            news,
            incomplete,
            leading: false,
            gateways: BTreeSet::new(),
            plans: BTreeMap::new(),
            keyring,
            workshop: Workshop::new(&settings.namespace),
            crew: Crew::new(Arc::clone(&shared), refused),
            denied,
            probers: Probers::new(shared.client.clone(), settings, found),
            probed,
            maps: Maps::new(shared.client.clone(), settings, seen),
            shared,
            statuses,
            notes,
            wake: None,
            _tasks: tasks,
        }
    }

    /// Until dropped.
    pub(super) async fn run(mut self) {
        loop {
            let first = self.next().await;
            self.take(first);
            let latest = Instant::now() + PATIENCE;
            while let Ok(input) = tokio::time::timeout_at(latest.min(Instant::now() + QUIET), self.next()).await {
                self.take(input);
            }
            if self.incomplete == 0 {
                self.conclude();
            }
        }
    }

    /// The next thing that happens. Nothing is lost where it is not waited for to the end.
    async fn next(&mut self) -> Input {
        let wake = self.wake;
        tokio::select! {
            Some(news) = self.news.recv() => Input::News(news),
            Some((gateway, told)) = self.ports.told.recv() => Input::Told(gateway, told),
            (gateway, keys) = self.keyring.loaded() => Input::Keys(gateway, keys),
            made = self.workshop.done() => Input::Made(made),
            Some(denied) = self.denied.recv() => Input::Denied(denied),
            Some(found) = self.probed.recv() => Input::Probed(found),
            () = until(wake) => Input::Wake,
        }
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::News(news) => self.learn(news),
            Input::Told(gateway, told) => {
                self.greet(&gateway, &told);
                self.index.told(&gateway, told);
            }
            Input::Keys(gateway, keys) => {
                self.index.keys(&gateway, keys);
                self.build(&gateway);
            }
            Input::Made(made) => self.made(made),
            Input::Denied((label, denials)) => {
                if let Some(gateway) = self.served(&label) {
                    self.index.denied(&gateway, denials);
                }
            }
            Input::Probed((gateway, upstream, road)) => self.index.probed(&gateway, &upstream, road),
            Input::Wake => self.wake = None,
        }
    }

    /// A processor of a Gateway that is not served has nothing to wait for, and may still serve what it was assigned
    /// before somebody else led.
    fn greet(&self, gateway: &Place, told: &Told) {
        if self.leading && matches!(told, Told::Connected { .. }) && !self.plans.contains_key(gateway) {
            self.order(Order::Withdraw(gateway.clone()));
        }
    }

    fn learn(&mut self, news: News) {
        match news {
            News::Object(object) => {
                if let Object::Gateway(_) = &object {
                    self.gateways.insert(object.key().place);
                }
                self.index.apply(object);
            }
            News::Gone(key) => {
                self.index.delete(&key);
                if key.kind == Kind::Gateway {
                    self.gateways.remove(&key.place);
                    self.bury();
                }
            }
            News::Held(reference, held) => {
                let gateway = Arc::clone(&held.gateway);
                if self
                    .shared
                    .inventory()
                    .seen(reference.clone(), held, std::time::Instant::now())
                {
                    self.look(&reference, &gateway);
                }
            }
            News::Lost(reference) => {
                let gateway = self.shared.inventory().gone(&reference, std::time::Instant::now());
                if let Some(gateway) = gateway {
                    self.look(&reference, &gateway);
                }
            }
            News::Found(map) => self.maps.found(&map),
            News::Complete => {
                self.incomplete = self.incomplete.saturating_sub(1);
                if self.incomplete == 0 {
                    info!("All objects are known.");
                    self.health.complete();
                }
            }
        }
    }

    /// Something of ours is not as it was left.
    fn look(&mut self, reference: &Reference, gateway: &Arc<str>) {
        if self.incomplete > 0 {
            // `conclude` looks at everything then.
            return;
        }
        if !reference.is_secret() {
            self.attend(gateway);
            return;
        }
        match self.served(gateway) {
            Some(place) => {
                self.keyring.load(place);
                self.keyring.look();
            }
            None => self.bury(),
        }
    }

    /// Has what stands for a Gateway compared with what is wanted: nothing, where the Gateway is not served.
    fn attend(&mut self, gateway: &Arc<str>) {
        // One that is served and has no reconciler yet waits for its keys.
        if !self.crew.look(gateway) && self.served(gateway).is_none() {
            self.crew.want(gateway, Arc::default());
        }
    }

    fn served(&self, label: &Arc<str>) -> Option<Place> {
        self.plans.keys().find(|place| names::label(place) == *label).cloned()
    }

    fn conclude(&mut self) {
        if self.index.look() {
            for given_up in self.maps.follow(&self.index.references(&[Kind::ConfigMap])) {
                self.index.delete(&given_up);
            }
        }
        if !self.maps.are_complete() {
            return;
        }
        self.health.conclusions.inc();
        loop {
            let changes = self.index.changes(Timestamp::now());
            if !self.distribute(changes) {
                break;
            }
        }
        if !self.leading {
            self.leading = true;
            let left = self.shared.inventory().gateways();
            for gateway in left {
                self.attend(&gateway);
            }
            self.bury();
            self.order(Order::Lead);
        }
    }

    /// True: the index has more to say.
    fn distribute(&mut self, changes: Changes) -> bool {
        let Changes {
            assignments,
            plans,
            statuses,
            notes,
            wake,
        } = changes;
        self.wake = wake.map(instant);
        for (gateway, assignment) in assignments {
            self.order(match assignment {
                Some(assignment) => Order::Assign(gateway, assignment),
                None => Order::Withdraw(gateway),
            });
        }
        let mut more = false;
        let replanned = !plans.is_empty();
        for (gateway, plan) in plans {
            more |= self.replan(gateway, plan);
        }
        if replanned {
            self.keyring
                .certify(self.plans.values().map(|plan| (plan.place.clone(), self.home(plan))));
        }
        for status in statuses {
            // Its reader ends with this.
            let _ = self.statuses.send(status);
        }
        for note in notes {
            // Too many at once: people read the conditions.
            let _ = self.notes.try_send(note);
        }
        more
    }

    /// True: the index was given keys.
    fn replan(&mut self, gateway: Place, plan: Option<Arc<plan::Gateway>>) -> bool {
        let Some(plan) = plan else {
            self.plans.remove(&gateway);
            self.workshop.cancel(&gateway);
            self.crew.want(&names::label(&gateway), Arc::default());
            self.probers.want(&gateway, Arc::default());
            return false;
        };
        self.plans.insert(gateway.clone(), plan);
        match self.keyring.get(&gateway).cloned() {
            Some(keys) => {
                self.build(&gateway);
                self.index.keys(&gateway, keys);
                true
            }
            None => {
                self.keyring.load(gateway);
                false
            }
        }
    }

    /// What is wanted for a Gateway follows from its plan and its route key.
    fn build(&mut self, gateway: &Place) {
        if let (Some(plan), Some(keys)) = (self.plans.get(gateway), self.keyring.get(gateway)) {
            self.workshop.order(Arc::clone(plan), keys.route_key.clone());
        }
    }

    fn made(&mut self, made: Made) {
        let Made {
            gateway,
            wanted,
            probes,
            unguarded,
            ..
        } = made;
        self.crew.want(&names::label(&gateway), wanted);
        self.probers.want(&gateway, probes);
        self.index.unguarded(&gateway, unguarded);
    }

    /// Where the processors of a Gateway run.
    fn home(&self, plan: &plan::Gateway) -> String {
        match plan.processor {
            plan::Processor::Sidecar => self.settings.processor_namespace.clone(),
            plan::Processor::Deployment => self.settings.namespace.clone(),
        }
    }

    /// Deletes the Secrets of Gateways that do not exist any more. Those of one that is not served just now stay: its
    /// clients keep their sessions, its processors their certificate.
    fn bury(&mut self) {
        if self.incomplete > 0 {
            return;
        }
        let live: BTreeSet<Arc<str>> = self
            .gateways
            .iter()
            .chain(self.plans.keys())
            .map(names::label)
            .collect();
        let dead = self.shared.inventory().secrets(|gateway| !live.contains(gateway));
        self.keyring.retain(|gateway| live.contains(&names::label(gateway)));
        for (reference, held) in dead {
            let shared = Arc::clone(&self.shared);
            self.crew.errand(async move {
                if let Err(error) = shared.delete(&reference, &held).await {
                    warn!(name = %reference.name, %error, "The Secret of a Gateway that is gone cannot be deleted.");
                }
            });
        }
    }

    fn order(&self, order: Order) {
        // Whoever does not listen is about to end.
        let _ = self.ports.orders.send(order);
    }
}

async fn until(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake).await,
        None => std::future::pending().await,
    }
}

fn instant(at: Timestamp) -> Instant {
    let left = at.duration_since(Timestamp::now());
    Instant::now() + Duration::try_from(left).unwrap_or_default()
}
