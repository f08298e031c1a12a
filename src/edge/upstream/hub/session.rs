//! GETs of legacy sessions: which of a session's seats hears everything, and what feeds it.

use super::ear::{Ear, End};
use super::pump::{Ended, Pump, Way};
use super::seats::{Feed, Seat, Seats};
use super::{Inner, feed};
use crate::engine::exchange::step::SessionRef;
use crate::engine::mcp::Era;
use crate::engine::session::{Binding, EndpointHash, SessionKey};
use crate::engine::stream::{Kinds, Part, event_id};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::watch;

/// A stream that a client has lost.
struct Resumption {
    /// Who may know how it goes on, the likeliest first, each with the session's tie to it.
    asked: VecDeque<(Arc<str>, Binding)>,
    /// Of the last event that the client got, as its upstream made it.
    id: String,
}

impl Resumption {
    fn first(&self) -> Option<Arc<str>> {
        self.asked.front().map(|(upstream, _)| Arc::clone(upstream))
    }
}

impl Inner {
    /// A GET of a session. One that resumes a stream stands beside the session's own, or is it, if there is none.
    pub(super) fn sit_session(
        self: &Arc<Self>,
        session: SessionRef,
        last: Option<&str>,
        alone: Option<&Arc<str>>,
        principal: Option<Arc<str>>,
    ) -> (u64, Arc<Ear>) {
        let ear = Arc::new(Ear::new(Kinds::ALL, None));
        let resumption = last.and_then(|last| self.resumable(session.key, last, alone));
        let mut seats = self.seats();
        let seat = Seat {
            resumes: resumption.as_ref().and_then(Resumption::first),
            session: Some(session),
            principal,
            alone: alone.is_some(),
            ..Seat::new(session.endpoint, Arc::clone(&ear))
        };
        let number = seats.add(seat);
        if resumption.is_none() || seats.main_of(session.key).is_none() {
            self.make_main(&mut seats, number);
        }
        if let Some(resumption) = resumption {
            self.resume(&mut seats, number, resumption);
        }
        (number, ear)
    }

    /// Who may be meant by a `Last-Event-ID`. With one upstream, ids are its own. With several they name theirs, but for
    /// those of answers that went by unread: whoever made such an id knows it, and was most likely called last.
    fn resumable(&self, session: SessionKey, last: &str, alone: Option<&Arc<str>>) -> Option<Resumption> {
        let mut ties = self.store.ties(session);
        let (upstream, id) = match (alone, event_id::reveal(last)) {
            (None, Some((upstream, id))) => (Some(upstream), id),
            (Some(only), _) => (Some(&**only), last),
            (None, None) => (None, last),
        };
        ties.retain(|(name, _)| upstream.is_none_or(|upstream| upstream == name));
        let asked = ties.into_iter().map(|(name, binding)| (name.into(), binding));
        let resumption = Resumption {
            asked: asked.collect(),
            id: id.to_owned(),
        };
        (!resumption.asked.is_empty()).then_some(resumption)
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

    pub(super) fn join(
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

    /// Takes up a stream where its client lost it. If no upstream knows anything of it, the client gets a fresh one.
    fn resume(self: &Arc<Self>, seats: &mut Seats, number: u64, mut resumption: Resumption) {
        let Some(seat) = seats.get_mut(number) else { return };
        let Some((upstream, binding)) = resumption.asked.pop_front() else {
            return;
        };
        let (Some(target), Some(session)) = (self.target(&upstream), self.session_feed(seat, &upstream)) else {
            return;
        };
        let way = Way::Resume(resumption.id.clone());
        let (pump, opened) = Pump::new(session.tied(target, &binding), way, &self.bodies);
        let inner = Arc::clone(self);
        let ear = Arc::clone(&seat.ear);
        let task = self.runtime.spawn(async move {
            match session.run(pump).await {
                // As at the upstream: its client comes again, if it wants more.
                Ended::Closed => ear.end(End::Over),
                Ended::NoStream | Ended::SessionLost if resumption.asked.is_empty() => inner.afresh(number),
                Ended::NoStream | Ended::SessionLost => inner.resume_elsewhere(number, resumption),
                Ended::Stopped => {}
            }
        });
        seat.resumes = Some(Arc::clone(&upstream));
        seat.set(Feed::new(&upstream, Some(&binding), opened, task.abort_handle()));
    }

    /// The upstream that was asked knows nothing of it: the next one may.
    fn resume_elsewhere(self: &Arc<Self>, number: u64, resumption: Resumption) {
        let mut seats = self.seats();
        let Some(seat) = seats.get_mut(number) else { return };
        self.leave_resumed(seat, number);
        self.resume(&mut seats, number, resumption);
    }

    /// What the seat wanted to resume is not to be had there: it hears that upstream as any GET does, or not at all.
    fn leave_resumed(self: &Arc<Self>, seat: &mut Seat, number: u64) {
        let Some((session, upstream)) = seat.session.zip(seat.resumes.take()) else {
            return;
        };
        if !seat.main {
            seat.feeds.retain(|feed| feed.upstream != upstream);
            return;
        }
        let ties = self.store.ties(session.key);
        if let Some((_, binding)) = ties.into_iter().find(|(name, _)| **name == *upstream) {
            let _ = self.begin(seat, number, &upstream, &binding);
        }
    }

    /// There was nothing to resume: the seat hears what any GET hears.
    fn afresh(self: &Arc<Self>, number: u64) {
        let mut seats = self.seats();
        let Some(seat) = seats.get_mut(number) else { return };
        if seat.main {
            return self.leave_resumed(seat, number);
        }
        seat.resumes = None;
        self.make_main(&mut seats, number);
    }

    /// Holds a listen at each modern upstream where the session has subscriptions.
    pub(super) fn hold_listens(self: &Arc<Self>, seats: &mut Seats, number: u64) {
        let Some(seat) = seats.get_mut(number) else { return };
        let Some(session) = seat.session else { return };
        let parts = self.session_parts(session, seat.principal.as_ref());
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
    fn session_parts(&self, session: SessionRef, principal: Option<&Arc<str>>) -> Vec<Part> {
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
            let version = match upstream.spoken_to(Era::Legacy) {
                Some((Era::Modern, speech)) => speech.version,
                Some((Era::Legacy, _)) => return None,
                // What it speaks with those for whom it is listed one by one.
                None => self.views.modern_only(principal?, &upstream.name)?,
            };
            let own = subscriptions.iter().filter(|one| one.upstream == upstream.name);
            let uris: Vec<Box<str>> = own.map(|one| (*one.uri).into()).collect();
            (!uris.is_empty()).then(|| Part {
                upstream: Arc::clone(&upstream.name),
                era: Era::Modern,
                version,
                rewrites: upstream.rewrites,
                uris,
                tasks: Vec::new(),
                more: Box::default(),
            })
        };
        upstreams.iter().filter_map(part).collect()
    }

    fn session_feed(&self, seat: &Seat, upstream: &Arc<str>) -> Option<feed::Session> {
        Some(feed::Session {
            ear: Arc::clone(&seat.ear),
            store: Arc::clone(&self.store),
            hearsay: self.hearsay.clone(),
            caller: seat
                .principal
                .clone()
                .map(|principal| (self.views.clone(), principal))
                .filter(|_| self.is_listed_for_callers(seat.endpoint, upstream)),
            key: seat.session?.key,
            upstream: Arc::clone(upstream),
            alone: seat.alone,
            rewrites: self.rewrites(seat.endpoint, upstream),
        })
    }

    /// Every caller sees what this upstream lists for that caller.
    fn is_listed_for_callers(&self, endpoint: EndpointHash, upstream: &Arc<str>) -> bool {
        let snapshot = self.cell.load();
        let endpoint = snapshot.endpoints.iter().find(|one| one.hash == endpoint);
        endpoint.is_some_and(|endpoint| {
            let own = endpoint.listed_for_callers().iter();
            own.filter_map(|index| endpoint.upstream(*index))
                .any(|one| one.name == *upstream)
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
    pub(super) fn leave(self: &Arc<Self>, number: u64) {
        let mut seats = self.seats();
        let Some(seat) = seats.remove(number) else { return };
        if let Some(session) = seat.session.filter(|_| seat.main) {
            // Whoever resumed a stream beside it is the session's only one now.
            if let Some(next) = seats.of(session.key).pop() {
                self.make_main(&mut seats, next);
            }
        }
    }
}
