//! The streams that clients hold open, and what upstreams say on theirs.
//!
//! ```text
//! upstream GET (one per tie), listen --> feed (a task) --+
//! the gateway's own news (changed lists) ----------------+--> ear --> exchange --> client
//! ```
//!
//! A session has one stream for everything, the youngest GET; beside it may stand GETs that resume another stream. An
//! upstream's stream is held only while somebody hears it. What a client leaves behind is gone at once: its seat holds
//! the tasks.

mod ear;
mod feed;
mod held;
mod pump;
mod seats;
mod session;

use super::{Hearsay, Views};
use crate::edge::http::{Target, Targets};
use crate::engine::exchange::HubEvent;
use crate::engine::exchange::step::{Listen, Notice};
use crate::engine::mcp::Era;
use crate::engine::session::{Binding, Delegation, EndpointHash, SessionKey, SessionStore};
use crate::engine::snapshot::Snapshot;
use crate::engine::stream::{Kinds, Part};
use arc_swap::ArcSwap;
use ear::{Ear, End};
use futures_util::Stream;
pub use held::Bodies;
use seats::{Feed, Seat, Seats};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

/// A call that opens an upstream session waits this long for its stream: what is said during the call must not be lost.
const JOINING: Duration = Duration::from_millis(500);

/// See the module.
#[derive(Clone)]
pub struct Hub {
    inner: Arc<Inner>,
}

pub(super) struct Inner {
    targets: Arc<Targets>,
    store: Arc<dyn SessionStore>,
    cell: Arc<ArcSwap<Snapshot>>,
    runtime: Handle,
    notices: mpsc::UnboundedSender<(Arc<Target>, Notice)>,
    hearsay: Hearsay,
    views: Views,
    bodies: Arc<dyn Bodies>,
    /// Everybody who listens. Held for look-ups and changes; tasks are begun and ended under it, never waited for.
    seats: Mutex<Seats>,
}

impl Hub {
    /// A hub whose tasks run on `runtime`; `notices` ends the upstream sessions that it opens.
    pub(super) fn new(
        targets: Arc<Targets>,
        store: Arc<dyn SessionStore>,
        cell: Arc<ArcSwap<Snapshot>>,
        runtime: Handle,
        notices: mpsc::UnboundedSender<(Arc<Target>, Notice)>,
        bodies: Arc<dyn Bodies>,
        views: Views,
    ) -> Self {
        let inner = Arc::new(Inner {
            targets,
            store,
            cell,
            runtime,
            notices,
            hearsay: Hearsay::default(),
            views,
            bodies,
            seats: Mutex::default(),
        });
        inner.views.tell(Arc::downgrade(&inner));
        Self { inner }
    }

    /// What upstreams list for each caller.
    #[must_use]
    pub fn views(&self) -> Views {
        self.inner.views.clone()
    }

    /// What upstreams say in clients' sessions about their lists.
    #[must_use]
    pub fn hearsay(&self) -> Hearsay {
        self.inner.hearsay.clone()
    }

    /// `Command::Listen`. Dropping the stream ends everything that was begun for it.
    #[must_use]
    pub fn listen(&self, subscription: Listen) -> Pin<Box<dyn Stream<Item = HubEvent> + Send>> {
        let principal = match &subscription {
            Listen::Session { principal, .. } | Listen::Modern { principal, .. } => principal.clone(),
        };
        let (number, ear, session) = match subscription {
            Listen::Session {
                session,
                last,
                alone,
                principal,
            } => {
                let (number, ear) = self
                    .inner
                    .sit_session(session, last.as_deref(), alone.as_ref(), principal);
                (number, ear, Some(session.key))
            }
            Listen::Modern {
                endpoint,
                tag,
                principal,
                kinds,
                parts,
                delegations,
            } => {
                let ear = Arc::new(Ear::new(kinds, Some(tag)));
                let seat = Seat {
                    principal,
                    ..Seat::new(endpoint, Arc::clone(&ear))
                };
                (self.inner.sit_listen(seat, parts, &delegations), ear, None)
            }
        };
        if let Some(session) = session {
            self.inner.store.attend(session);
        }
        if let Some(principal) = principal {
            self.inner.views.attend(&principal);
        }
        Box::pin(Hearing {
            inner: Arc::clone(&self.inner),
            number,
            ear,
            session,
        })
    }

    /// The session has a tie to `upstream` now: if it holds a stream, it hears that upstream too. Returns once the
    /// upstream's stream is open, or will not be, or has taken too long.
    pub async fn join(&self, session: SessionKey, upstream: &Arc<str>, binding: &Binding) {
        let Some(mut opened) = self.inner.join(session, upstream, binding) else {
            return;
        };
        // An error: the stream is not to be had.
        let _ = tokio::time::timeout(JOINING, opened.wait_for(|opened| *opened)).await;
    }

    /// The session's subscriptions at upstreams of 2026-07-28 have changed.
    pub fn resubscribed(&self, session: SessionKey) {
        let mut seats = self.inner.seats();
        if let Some(number) = seats.main_of(session) {
            self.inner.hold_listens(&mut seats, number);
        }
    }

    /// These lists of an endpoint have changed, as clients of each era see them.
    pub fn tell(&self, endpoint: EndpointHash, legacy: Kinds, modern: Kinds) {
        for seat in self.inner.seats().all().filter(|seat| seat.endpoint == endpoint) {
            match seat.session {
                Some(_) if seat.main => seat.ear.change(legacy),
                Some(_) => {}
                None => seat.ear.change(modern),
            }
        }
    }

    /// The session has ended.
    pub fn end(&self, session: SessionKey) {
        let mut seats = self.inner.seats();
        for number in seats.of(session) {
            if let Some(seat) = seats.remove(number) {
                seat.ear.end(End::Over);
            }
        }
    }

    /// The endpoint is served no more: its streams end.
    pub fn close(&self, endpoint: EndpointHash) {
        for seat in self.inner.seats().take(endpoint) {
            seat.ear.end(End::Over);
        }
    }

    /// Ends all streams; nobody sits down any more.
    pub fn drain(&self) {
        for seat in self.inner.seats().drain() {
            seat.ear.end(End::Drained);
        }
    }

    /// Number of open streams.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.seats().all().count()
    }

    /// True if nobody listens.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Inner {
    fn sit_listen(self: &Arc<Self>, seat: Seat, parts: Vec<Part>, delegations: &[(Arc<str>, Delegation)]) -> u64 {
        let mut seats = self.seats();
        let number = seats.add(seat);
        for part in parts {
            let delegation = delegations.iter().find(|(name, _)| *name == part.upstream);
            let delegation = delegation.map_or(Delegation::NONE, |(_, delegation)| delegation.clone());
            self.hold_part(&mut seats, number, part, delegation);
        }
        number
    }

    /// These lists of one principal have changed.
    pub(super) fn tell_caller(&self, principal: &str, kinds: Kinds) {
        for seat in self.seats().all().filter(|seat| seat.is_of(principal)) {
            seat.ear.change(kinds);
        }
    }

    /// A session of this principal hears that upstream by a tie of its own.
    pub(super) fn feeds(&self, principal: &str, upstream: &str) -> bool {
        let seats = self.seats();
        let mut own = seats
            .all()
            .filter(|seat| seat.is_of(principal))
            .flat_map(|seat| &seat.feeds);
        own.any(|feed| *feed.upstream == *upstream && feed.binding.is_some())
    }

    /// A client of this principal would hear of changed lists.
    pub(super) fn hears(&self, principal: &str) -> bool {
        self.seats().all().any(|seat| seat.is_of(principal))
    }

    fn hold_part(&self, seats: &mut Seats, number: u64, part: Part, delegation: Delegation) {
        let (Some(seat), Some(target)) = (seats.get_mut(number), self.target(&part.upstream)) else {
            return;
        };
        let (upstream, era) = (Arc::clone(&part.upstream), part.era);
        let listen = feed::Listen {
            ear: Arc::clone(&seat.ear),
            part,
            delegation,
            notices: self.notices.clone(),
            bodies: Arc::clone(&self.bodies),
        };
        let task = self.runtime.spawn(async move {
            match era {
                Era::Modern => listen.run_modern(target).await,
                Era::Legacy => listen.run_legacy(target).await,
            }
        });
        let (_, opened) = watch::channel(true);
        seat.set(Feed::new(&upstream, None, opened, task.abort_handle()));
    }

    fn target(&self, upstream: &str) -> Option<Arc<Target>> {
        self.targets.load().get(upstream).map(Arc::clone)
    }

    fn seats(&self) -> MutexGuard<'_, Seats> {
        // Nothing panics while it is held; and if: the table is still a table.
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one client hears.
struct Hearing {
    inner: Arc<Inner>,
    number: u64,
    ear: Arc<Ear>,
    session: Option<SessionKey>,
}

impl Stream for Hearing {
    type Item = HubEvent;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<HubEvent>> {
        self.ear.poll(context)
    }
}

impl Drop for Hearing {
    fn drop(&mut self) {
        self.inner.leave(self.number);
        if let Some(session) = self.session {
            self.inner.store.release(session, 1, super::binder::now());
        }
    }
}
