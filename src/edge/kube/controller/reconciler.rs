//! Keeps the generated objects of one Gateway as they are wanted: applies what is due, deletes what is not wanted.
//!
//! Order is safety: a route to an upstream must never stand without the policies and grants that guard it. So what is not
//! a route comes first, and where any of it cannot be applied, no route of that namespace is; deletions go the other way
//! round.

use super::inventory::{Due, Held, Reference};
use super::shared::{Refused, Shared};
use crate::edge::kube::index::{Denial, Scope};
use crate::edge::kube::objects::Object;
use futures_util::{StreamExt, stream};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc, watch};
use tracing::{debug, info, warn};

/// Namespaces whose objects are applied at the same time; requests are bounded in [`Shared`].
const NAMESPACES: usize = 16;
/// Routes of one namespace that are applied at the same time.
const ROUTES: usize = 16;
/// Pause after a failure; doubled up to [`LONGEST`] while it lasts.
const SHORTEST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(15);
/// Without any news everything is compared again after this.
const RESYNC: Duration = Duration::from_secs(10 * 60);
/// The kind that needs the others.
const ROUTE: &str = "HTTPRoute";

/// What is wanted for a Gateway, in the order in which it must be created.
pub(super) type Wanted = Arc<Vec<Wish>>;

/// What the API server refuses of a Gateway's objects, by the value of the Gateway's label: all of it, whenever it changes.
pub(super) type Denied = (Arc<str>, Vec<Denial>);

/// An object that is wanted.
#[derive(Debug)]
pub(super) struct Wish {
    object: Object,
    reference: Reference,
    /// Equal for equal wishes, in this process.
    digest: u64,
}

impl Wish {
    pub(super) fn new(object: Object) -> Self {
        let mut hasher = DefaultHasher::new();
        object.body.to_string().hash(&mut hasher);
        Self {
            reference: reference(&object),
            digest: hasher.finish(),
            object,
        }
    }
}

/// What one pass came to.
#[derive(Debug, Default)]
struct Outcome {
    failures: usize,
    /// Something is due then.
    next: Option<Instant>,
}

/// Keeps the objects of `gateway` (the value of their label) until nobody wants anything any more.
pub(super) async fn keep(
    shared: Arc<Shared>,
    gateway: Arc<str>,
    mut wanted: watch::Receiver<Wanted>,
    look: Arc<Notify>,
    denied: mpsc::UnboundedSender<Denied>,
) {
    let mut denials = Denials::default();
    let mut pause = SHORTEST;
    let mut standing = shared.health.standing();
    loop {
        standing.mark_unchanged();
        let now = Arc::clone(&wanted.borrow_and_update());
        let outcome = Pass {
            shared: &shared,
            gateway: &gateway,
            denials: &denials,
        }
        .run(&now)
        .await;
        if let Some(news) = denials.news(&now) {
            // Whoever does not listen is about to end.
            let _ = denied.send((Arc::clone(&gateway), news));
        }
        let due = outcome.next.map(|next| next.saturating_duration_since(Instant::now()));
        let wait = match outcome.failures {
            0 => RESYNC,
            _ => pause,
        };
        pause = match outcome.failures {
            0 => SHORTEST,
            _ => (pause * 2).min(LONGEST),
        };
        let wait = due.map_or(wait, |due| due.min(wait));
        tokio::select! {
            changed = wanted.changed() => if changed.is_err() { return },
            () = look.notified() => {}
            // What could not be written while this controller was unsure of its Lease need not wait.
            _ = standing.changed() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// One comparison of what is wanted with what stands.
struct Pass<'a> {
    shared: &'a Shared,
    gateway: &'a str,
    denials: &'a Denials,
}

/// The due objects of one namespace.
#[derive(Default)]
struct Share<'a> {
    foundation: Vec<&'a Wish>,
    routes: Vec<&'a Wish>,
}

/// What the API server refuses.
#[derive(Default)]
struct Denials {
    /// Guards what the requests of a pass add; never held across a wait.
    now: Mutex<HashMap<Reference, Denial>>,
    told: Vec<Denial>,
}

// === impl Denials ===

impl Denials {
    fn note(&self, wish: &Wish, denial: Option<Denial>) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        match denial {
            Some(denial) => {
                now.insert(wish.reference.clone(), denial);
            }
            None => {
                now.remove(&wish.reference);
            }
        }
    }

    /// All of them, in the order in which they are wanted, if that is news. What is not wanted any more is forgotten.
    fn news(&mut self, wanted: &[Wish]) -> Option<Vec<Denial>> {
        let now = self.now.get_mut().unwrap_or_else(PoisonError::into_inner);
        if now.is_empty() && self.told.is_empty() {
            return None;
        }
        let kept: HashMap<_, _> = wanted
            .iter()
            .filter_map(|wish| now.remove_entry(&wish.reference))
            .collect();
        *now = kept;
        let all: Vec<Denial> = wanted
            .iter()
            .filter_map(|wish| now.get(&wish.reference))
            .cloned()
            .collect();
        (all != self.told).then(|| {
            self.told.clone_from(&all);
            all
        })
    }
}

// === impl Pass ===

impl Pass<'_> {
    async fn run(&self, wanted: &[Wish]) -> Outcome {
        let references: HashSet<&Reference> = wanted.iter().map(|wish| &wish.reference).collect();
        let (mut shares, next) = self.due(wanted);
        let home = shares.remove(self.shared.namespace.as_str()).unwrap_or_default();
        let failures = AtomicUsize::new(0);
        // The policies of the controller's own namespace guard the routes of all others.
        if self.lay(&home.foundation, &failures).await {
            // Collected first: the compiler cannot see through a lazy stream of borrowing futures.
            let away: Vec<_> = shares.into_values().map(|share| self.raise(share, &failures)).collect();
            stream::iter(away).for_each_concurrent(NAMESPACES, |share| share).await;
            self.build(&home.routes, &failures).await;
        }
        self.sweep(&references, &failures).await;
        Outcome {
            failures: failures.into_inner(),
            next,
        }
    }

    fn due<'a>(&self, wanted: &'a [Wish]) -> (BTreeMap<Arc<str>, Share<'a>>, Option<Instant>) {
        let now = Instant::now();
        let inventory = self.shared.inventory();
        let mut shares: BTreeMap<Arc<str>, Share<'a>> = BTreeMap::new();
        let mut next: Option<Instant> = None;
        for wish in wanted {
            match inventory.due(&wish.reference, wish.digest, now) {
                Due::Never => {}
                Due::At(at) => next = Some(next.map_or(at, |next| next.min(at))),
                Due::Now => {
                    let share = shares.entry(Arc::clone(&wish.reference.namespace)).or_default();
                    match wish.object.resource.kind == ROUTE {
                        true => share.routes.push(wish),
                        false => share.foundation.push(wish),
                    }
                }
            }
        }
        (shares, next)
    }

    async fn raise(&self, share: Share<'_>, failures: &AtomicUsize) {
        if self.lay(&share.foundation, failures).await {
            self.build(&share.routes, failures).await;
        }
    }

    /// Applies one after the other. False: something is missing now.
    async fn lay(&self, wishes: &[&Wish], failures: &AtomicUsize) -> bool {
        for wish in wishes {
            if !self.apply(wish, failures).await {
                return false;
            }
        }
        true
    }

    async fn build(&self, wishes: &[&Wish], failures: &AtomicUsize) {
        let all: Vec<_> = wishes.iter().map(|wish| self.apply(wish, failures)).collect();
        stream::iter(all).buffer_unordered(ROUTES).for_each(|_| async {}).await;
    }

    async fn apply(&self, wish: &Wish, failures: &AtomicUsize) -> bool {
        let Wish {
            object,
            reference,
            digest,
        } = wish;
        match self.shared.apply(object, reference).await {
            Ok(applied) => {
                debug!(kind = %reference.kind, namespace = %reference.namespace, name = %reference.name, "Object applied.");
                if let Some(held) = Held::of(&applied.metadata) {
                    self.shared.inventory().applied(reference.clone(), *digest, held);
                }
                self.denials.note(wish, None);
                true
            }
            Err(error) => {
                match error.denied() {
                    Some(reason) => self.denials.note(wish, Some(self.denial(wish, reason))),
                    None => self.complain(reference, &error, "An object cannot be applied."),
                }
                failures.fetch_add(1, Ordering::Relaxed);
                false
            }
        }
    }

    fn denial(&self, wish: &Wish, reason: String) -> Denial {
        let object = &wish.object;
        let own = *object.place.namespace == *self.shared.namespace;
        Denial {
            kind: object.resource.kind.as_str().into(),
            place: object.place.clone(),
            purpose: object.purpose,
            // As `run` goes about it.
            scope: match (object.resource.kind == ROUTE, own) {
                (true, _) => Scope::Object,
                (false, true) => Scope::Gateway,
                (false, false) => Scope::Namespace,
            },
            owners: object.owners.clone(),
            reason,
        }
    }

    /// Deletes what is not wanted: routes first, and the rest only when they are gone.
    async fn sweep(&self, wanted: &HashSet<&Reference>, failures: &AtomicUsize) {
        let strays = self.shared.inventory().strays(self.gateway, wanted);
        let (routes, rest): (Vec<_>, Vec<_>) = strays.into_iter().partition(|(stray, _)| is_route(stray));
        for list in [routes, rest] {
            let before = failures.load(Ordering::Relaxed);
            let all: Vec<_> = list
                .iter()
                .map(|(stray, held)| self.delete(stray, held, failures))
                .collect();
            stream::iter(all).buffer_unordered(ROUTES).for_each(|()| async {}).await;
            if failures.load(Ordering::Relaxed) != before {
                return;
            }
        }
    }

    async fn delete(&self, stray: &Reference, held: &Held, failures: &AtomicUsize) {
        match self.shared.delete(stray, held).await {
            Ok(()) => {
                info!(kind = %stray.kind, namespace = %stray.namespace, name = %stray.name, "Object deleted.");
                self.shared.inventory().deleted(stray, &held.uid);
            }
            Err(error) => {
                self.complain(stray, &error, "An object cannot be deleted.");
                failures.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn complain(&self, reference: &Reference, error: &Refused, message: &'static str) {
        let Reference { kind, namespace, name } = reference;
        match error {
            Refused::Standby => {}
            // The next news from the index takes the whole namespace away.
            Refused::Terminating => debug!(%kind, %namespace, %name, %error, message),
            Refused::Slow | Refused::Unknown | Refused::Kube(_) => {
                warn!(%kind, %namespace, %name, %error, message);
            }
        }
    }
}

fn is_route(reference: &Reference) -> bool {
    reference.kind.split('.').next() == Some(ROUTE)
}

/// Names a wanted object.
pub(super) fn reference(object: &Object) -> Reference {
    Reference {
        kind: super::shared::kind(&object.resource).into(),
        namespace: Arc::clone(&object.place.namespace),
        name: Arc::clone(&object.place.name),
    }
}
