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

use super::Hearsay;
use crate::edge::http::{Target, Targets};
use crate::engine::exchange::HubEvent;
use crate::engine::exchange::step::{Listen, Notice, SessionRef};
use crate::engine::mcp::Era;
use crate::engine::session::{Binding, Delegation, EndpointHash, SessionKey, SessionStore};
use crate::engine::snapshot::Snapshot;
use crate::engine::stream::{Kinds, Part, event_id};
use arc_swap::ArcSwap;
use bytes::Bytes;
use ear::{Ear, End};
use futures_util::Stream;
pub use held::Bodies;
use pump::{Ended, Pump, Way};
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

struct Inner {
    targets: Arc<Targets>,
    store: Arc<dyn SessionStore>,
    cell: Arc<ArcSwap<Snapshot>>,
    runtime: Handle,
    notices: mpsc::UnboundedSender<(Arc<Target>, Notice)>,
    hearsay: Hearsay,
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
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                targets,
                store,
                cell,
                runtime,
                notices,
                hearsay: Hearsay::default(),
                bodies,
                seats: Mutex::default(),
            }),
        }
    }

    /// What upstreams say in clients' sessions about their lists.
    #[must_use]
    pub fn hearsay(&self) -> Hearsay {
        self.inner.hearsay.clone()
    }

    /// `Command::Listen`. Dropping the stream ends everything that was begun for it.
    #[must_use]
    pub fn listen(&self, subscription: Listen) -> Pin<Box<dyn Stream<Item = HubEvent> + Send>> {
        let (number, ear, session) = match subscription {
            Listen::Session { session, last, alone } => {
                let (number, ear) = self.inner.sit_session(session, last.as_deref(), alone.as_ref());
                (number, ear, Some(session.key))
            }
            Listen::Modern {
                endpoint,
                tag,
                kinds,
                parts,
                delegations,
            } => {
                let (number, ear) = self.inner.sit_listen(endpoint, tag, kinds, parts, &delegations);
                (number, ear, None)
            }
        };
        if let Some(session) = session {
            self.inner.store.attend(session);
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
    /// A GET of a session. One that resumes a stream stands beside the session's own, or is it, if there is none.
    fn sit_session(
        self: &Arc<Self>,
        session: SessionRef,
        last: Option<&str>,
        alone: Option<&Arc<str>>,
    ) -> (u64, Arc<Ear>) {
        let ear = Arc::new(Ear::new(Kinds::ALL, None));
        let resumed = last.and_then(|last| self.resumable(session.key, last, alone));
        let mut seats = self.seats();
        let seat = Seat {
            resumes: resumed.as_ref().map(|(upstream, ..)| Arc::clone(upstream)),
            session: Some(session),
            alone: alone.is_some(),
            ..Seat::new(session.endpoint, Arc::clone(&ear))
        };
        let number = seats.add(seat);
        if resumed.is_none() || seats.main_of(session.key).is_none() {
            self.make_main(&mut seats, number);
        }
        if let Some((upstream, binding, id)) = resumed {
            self.resume(&mut seats, number, &upstream, &binding, id);
        }
        (number, ear)
    }

    fn sit_listen(
        self: &Arc<Self>,
        endpoint: EndpointHash,
        tag: Bytes,
        kinds: Kinds,
        parts: Vec<Part>,
        delegations: &[(Arc<str>, Delegation)],
    ) -> (u64, Arc<Ear>) {
        let ear = Arc::new(Ear::new(kinds, Some(tag)));
        let mut seats = self.seats();
        let number = seats.add(Seat::new(endpoint, Arc::clone(&ear)));
        for part in parts {
            let delegation = delegations.iter().find(|(name, _)| *name == part.upstream);
            let delegation = delegation.map_or(Delegation::NONE, |(_, delegation)| delegation.clone());
            self.hold_part(&mut seats, number, part, delegation);
        }
        (number, ear)
    }

    /// Who is meant by a `Last-Event-ID`: its upstream, the tie to it, and the upstream's own id.
    fn resumable(
        &self,
        session: SessionKey,
        last: &str,
        alone: Option<&Arc<str>>,
    ) -> Option<(Arc<str>, Binding, String)> {
        let mut ties = self.store.ties(session);
        let (upstream, id) = match (alone, event_id::reveal(last)) {
            (None, Some((upstream, id))) => (upstream.to_owned(), id),
            // With one upstream, ids are its own. With several, those of forwarded answers are.
            (Some(only), _) => (only.to_string(), last),
            (None, None) => match ties.as_slice() {
                [(only, _)] => (only.clone(), last),
                _ => return None,
            },
        };
        let at = ties.iter().position(|(name, _)| *name == upstream)?;
        let (upstream, binding) = ties.swap_remove(at);
        Some((upstream.into(), binding, id.to_owned()))
    }

    /// The seat becomes the one that hears everything of its session; an older one ends, or goes on with what it resumes.
    fn make_main(self: &Arc<Self>, seats: &mut Seats, number: u64) {
        let Some(session) = seats.get(number).and_then(|seat| seat.session) else {
            return;
        };
        if let Some(older) = seats.main_of(session.key) {
            seats.retire(older);
        }
        let Some(seat) = seats.get_mut(number) else { return };
        seat.main = true;
        for (upstream, binding) in self.store.ties(session.key) {
            if seat.resumes.as_deref() != Some(upstream.as_str()) {
                let _ = self.begin(seat, number, &upstream.into(), &binding);
            }
        }
        self.hold_listens(seats, number);
    }

    fn join(
        self: &Arc<Self>,
        session: SessionKey,
        upstream: &Arc<str>,
        binding: &Binding,
    ) -> Option<watch::Receiver<bool>> {
        let mut seats = self.seats();
        let number = seats.main_of(session)?;
        let seat = seats.get_mut(number)?;
        let known = seat.feeds.iter().find(|feed| feed.upstream == *upstream);
        match known {
            Some(feed) if feed.binding.as_ref() == Some(binding) => Some(feed.opened.clone()),
            Some(_) | None => self.begin(seat, number, upstream, binding),
        }
    }

    /// Opens the upstream's stream for this seat, in place of an older one.
    fn begin(
        self: &Arc<Self>,
        seat: &mut Seat,
        number: u64,
        upstream: &Arc<str>,
        binding: &Binding,
    ) -> Option<watch::Receiver<bool>> {
        let _ = number;
        let session = self.session_feed(seat, upstream)?;
        let line = session.tied(self.target(upstream)?, binding);
        let (pump, opened) = Pump::new(line, Way::Get, &self.bodies);
        let task = self.runtime.spawn(async move {
            session.run(pump).await;
        });
        seat.set(Feed::new(upstream, Some(binding), opened.clone(), task.abort_handle()));
        Some(opened)
    }

    /// Takes up a stream where its client lost it. If the upstream knows nothing of it, the client gets a fresh one.
    fn resume(self: &Arc<Self>, seats: &mut Seats, number: u64, upstream: &Arc<str>, binding: &Binding, id: String) {
        let Some(seat) = seats.get_mut(number) else { return };
        let (Some(target), Some(session)) = (self.target(upstream), self.session_feed(seat, upstream)) else {
            return;
        };
        let (pump, opened) = Pump::new(session.tied(target, binding), Way::Resume(id), &self.bodies);
        let inner = Arc::clone(self);
        let ear = Arc::clone(&seat.ear);
        let task = self.runtime.spawn(async move {
            match session.run(pump).await {
                // As at the upstream: its client comes again, if it wants more.
                Ended::Closed => ear.end(End::Over),
                Ended::NoStream | Ended::SessionLost => inner.afresh(number),
                Ended::Stopped => {}
            }
        });
        seat.set(Feed::new(upstream, Some(binding), opened, task.abort_handle()));
    }

    /// There was nothing to resume: the seat hears what any GET hears.
    fn afresh(self: &Arc<Self>, number: u64) {
        let mut seats = self.seats();
        let Some(seat) = seats.get_mut(number) else { return };
        let resumed = seat.resumes.take();
        if !seat.main {
            return self.make_main(&mut seats, number);
        }
        let tie = seat.session.zip(resumed).and_then(|(session, upstream)| {
            let ties = self.store.ties(session.key);
            let (_, binding) = ties.into_iter().find(|(name, _)| **name == *upstream)?;
            Some((upstream, binding))
        });
        if let Some((upstream, binding)) = tie {
            let _ = self.begin(seat, number, &upstream, &binding);
        }
    }

    /// Holds a listen at each modern upstream where the session has subscriptions.
    fn hold_listens(self: &Arc<Self>, seats: &mut Seats, number: u64) {
        let Some(seat) = seats.get_mut(number) else { return };
        let Some(session) = seat.session else { return };
        let parts = self.session_parts(session);
        seat.feeds
            .retain(|feed| feed.binding.is_some() || parts.iter().any(|part| part.upstream == feed.upstream));
        for part in parts {
            let (Some(target), Some(session)) = (self.target(&part.upstream), self.session_feed(seat, &part.upstream))
            else {
                continue;
            };
            let (pump, opened) = Pump::new(
                session.modern(target, part.version),
                Way::Listen(part.members()),
                &self.bodies,
            );
            let task = self.runtime.spawn(async move {
                session.run_listen(pump).await;
            });
            seat.set(Feed::new(&part.upstream, None, opened, task.abort_handle()));
        }
    }

    /// What the session has subscribed to at upstreams that are not of its era.
    fn session_parts(&self, session: SessionRef) -> Vec<Part> {
        let subscriptions = self.store.subscriptions(session.key);
        if subscriptions.is_empty() {
            return Vec::new();
        }
        let snapshot = self.cell.load();
        let endpoint = snapshot
            .endpoints
            .iter()
            .find(|endpoint| endpoint.hash == session.endpoint);
        let upstreams = endpoint.map_or(&[][..], |endpoint| &endpoint.upstreams);
        let part = |upstream: &Arc<crate::engine::snapshot::Upstream>| {
            let (era, speech) = upstream.spoken_to(Era::Legacy).filter(|(era, _)| *era == Era::Modern)?;
            let own = subscriptions.iter().filter(|one| one.upstream == upstream.name);
            let uris: Vec<Box<str>> = own.map(|one| (*one.uri).into()).collect();
            (!uris.is_empty()).then(|| Part {
                upstream: Arc::clone(&upstream.name),
                era,
                version: speech.version,
                rewrites: upstream.rewrites,
                uris,
                tasks: Vec::new(),
                more: Box::default(),
            })
        };
        upstreams.iter().filter_map(part).collect()
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

    fn session_feed(&self, seat: &Seat, upstream: &Arc<str>) -> Option<feed::Session> {
        Some(feed::Session {
            ear: Arc::clone(&seat.ear),
            store: Arc::clone(&self.store),
            hearsay: self.hearsay.clone(),
            key: seat.session?.key,
            upstream: Arc::clone(upstream),
            alone: seat.alone,
            rewrites: self.rewrites(seat.endpoint, upstream),
        })
    }

    /// Clients of this endpoint know the upstream's resources by URIs that bear its name.
    fn rewrites(&self, endpoint: EndpointHash, upstream: &Arc<str>) -> bool {
        let snapshot = self.cell.load();
        let endpoint = snapshot.endpoints.iter().find(|one| one.hash == endpoint);
        let mut upstreams = endpoint.into_iter().flat_map(|endpoint| &endpoint.upstreams);
        upstreams.any(|one| one.name == *upstream && one.rewrites)
    }

    /// The client has left.
    fn leave(self: &Arc<Self>, number: u64) {
        let mut seats = self.seats();
        let Some(seat) = seats.remove(number) else { return };
        if let Some(session) = seat.session.filter(|_| seat.main) {
            // Whoever resumed a stream beside it is the session's only one now.
            if let Some(next) = seats.of(session.key).pop() {
                self.make_main(&mut seats, next);
            }
        }
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
