//! Keeps the generated objects of one Gateway as they are wanted: applies what is due, deletes what is not wanted.
//!
//! Order is safety: a route to an upstream must never stand without the policies and grants that guard it. So what is not
//! a route comes first, and where any of it cannot be applied, no route of that namespace is; deletions go the other way
//! round.

use super::ledger::{Due, Held, Reference};
use super::shared::{Refused, Shared};
use crate::edge::kube::objects::Object;
use futures_util::{StreamExt, stream};
use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};
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
pub(super) type Wanted = Arc<Vec<Object>>;

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
) {
    let mut pause = SHORTEST;
    let mut standing = shared.health.standing();
    loop {
        standing.mark_unchanged();
        let now = Arc::clone(&wanted.borrow_and_update());
        let outcome = Pass {
            shared: &shared,
            gateway: &gateway,
        }
        .run(&now)
        .await;
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
}

/// A wanted object that is due.
struct Task<'a> {
    object: &'a Object,
    reference: Reference,
    digest: u64,
}

/// The due objects of one namespace.
#[derive(Default)]
struct Share<'a> {
    foundation: Vec<Task<'a>>,
    routes: Vec<Task<'a>>,
}

// === impl Pass ===

impl Pass<'_> {
    async fn run(&self, wanted: &[Object]) -> Outcome {
        let references: HashSet<Reference> = wanted.iter().map(reference).collect();
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

    fn due<'a>(&self, wanted: &'a [Object]) -> (BTreeMap<Arc<str>, Share<'a>>, Option<Instant>) {
        let now = Instant::now();
        let ledger = self.shared.ledger();
        let mut shares: BTreeMap<Arc<str>, Share<'a>> = BTreeMap::new();
        let mut next: Option<Instant> = None;
        for object in wanted {
            let (reference, digest) = (reference(object), digest(object));
            match ledger.due(&reference, digest, now) {
                Due::Never => {}
                Due::At(at) => next = Some(next.map_or(at, |next| next.min(at))),
                Due::Now => {
                    let share = shares.entry(Arc::clone(&reference.namespace)).or_default();
                    let list = match object.resource.kind == ROUTE {
                        true => &mut share.routes,
                        false => &mut share.foundation,
                    };
                    list.push(Task {
                        object,
                        reference,
                        digest,
                    });
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
    async fn lay(&self, tasks: &[Task<'_>], failures: &AtomicUsize) -> bool {
        for task in tasks {
            if !self.apply(task, failures).await {
                return false;
            }
        }
        true
    }

    async fn build(&self, tasks: &[Task<'_>], failures: &AtomicUsize) {
        let all: Vec<_> = tasks.iter().map(|task| self.apply(task, failures)).collect();
        stream::iter(all).buffer_unordered(ROUTES).for_each(|_| async {}).await;
    }

    async fn apply(&self, task: &Task<'_>, failures: &AtomicUsize) -> bool {
        let Task {
            object,
            reference,
            digest,
        } = task;
        match self.shared.apply(object, reference).await {
            Ok(applied) => {
                debug!(kind = %reference.kind, namespace = %reference.namespace, name = %reference.name, "Object applied.");
                if let Some(held) = Held::of(&applied.metadata) {
                    self.shared.ledger().applied(reference.clone(), *digest, held);
                }
                true
            }
            Err(error) => {
                self.complain(reference, &error, "An object cannot be applied.");
                failures.fetch_add(1, Ordering::Relaxed);
                false
            }
        }
    }

    /// Deletes what is not wanted: routes first, and the rest only when they are gone.
    async fn sweep(&self, wanted: &HashSet<Reference>, failures: &AtomicUsize) {
        let strays = self.shared.ledger().strays(self.gateway, wanted);
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
                self.shared.ledger().deleted(stray, &held.uid);
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

/// Equal for equal wishes, in this process.
fn digest(object: &Object) -> u64 {
    let mut hasher = DefaultHasher::new();
    object.body.to_string().hash(&mut hasher);
    hasher.finish()
}
