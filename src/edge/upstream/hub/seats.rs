//! Who listens: one seat for each client stream, and which of a session's seats hears everything.

use super::ear::{Ear, End};
use crate::engine::exchange::step::SessionRef;
use crate::engine::session::{Binding, EndpointHash, SessionKey};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// All seats.
#[derive(Default)]
pub(super) struct Seats {
    next: u64,
    seats: HashMap<u64, Seat>,
    /// The seats of each session, oldest first.
    sessions: HashMap<SessionKey, Vec<u64>>,
    closed: bool,
}

/// One client stream.
pub(super) struct Seat {
    /// Whose changed lists it hears of.
    pub(super) endpoint: EndpointHash,
    pub(super) ear: Arc<Ear>,
    /// `None`: a modern listen.
    pub(super) session: Option<SessionRef>,
    /// Whose client; `None`: anonymous.
    pub(super) principal: Option<Arc<str>>,
    /// The endpoint has one upstream.
    pub(super) alone: bool,
    /// Of its session's seats the one that hears everything.
    pub(super) main: bool,
    /// The upstream whose stream it takes up.
    pub(super) resumes: Option<Arc<str>>,
    /// One per upstream.
    pub(super) feeds: Vec<Feed>,
}

/// A task that reads an upstream's stream; dropped, it ends, and the upstream's stream with it.
pub(super) struct Feed {
    pub(super) upstream: Arc<str>,
    /// `None`: not by a tie of the session.
    pub(super) binding: Option<Binding>,
    /// The first attempt to open it is over.
    pub(super) opened: watch::Receiver<bool>,
    task: AbortHandle,
}

impl Feed {
    pub(super) fn new(
        upstream: &Arc<str>,
        binding: Option<&Binding>,
        opened: watch::Receiver<bool>,
        task: AbortHandle,
    ) -> Self {
        Self {
            upstream: Arc::clone(upstream),
            binding: binding.cloned(),
            opened,
            task,
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Seat {
    pub(super) const fn new(endpoint: EndpointHash, ear: Arc<Ear>) -> Self {
        Self {
            endpoint,
            ear,
            session: None,
            principal: None,
            alone: false,
            main: false,
            resumes: None,
            feeds: Vec::new(),
        }
    }

    /// It hears what is said to this principal's clients.
    pub(super) fn is_of(&self, principal: &str) -> bool {
        self.principal.as_deref() == Some(principal) && (self.main || self.session.is_none())
    }

    /// Takes a feed, in place of the one of the same upstream.
    pub(super) fn set(&mut self, feed: Feed) {
        self.feeds.retain(|old| old.upstream != feed.upstream);
        self.feeds.push(feed);
    }
}

impl Seats {
    /// Takes a seat; after [`Seats::drain`] it is over at once.
    pub(super) fn add(&mut self, seat: Seat) -> u64 {
        let number = self.next;
        self.next += 1;
        if self.closed {
            seat.ear.end(End::Drained);
            return number;
        }
        if let Some(session) = seat.session {
            self.sessions.entry(session.key).or_default().push(number);
        }
        self.seats.insert(number, seat);
        number
    }

    pub(super) fn get(&self, number: u64) -> Option<&Seat> {
        self.seats.get(&number)
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut Seat> {
        self.seats.get_mut(&number)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Seat> {
        self.seats.values()
    }

    /// The seats of a session, oldest first.
    pub(super) fn of(&self, session: SessionKey) -> Vec<u64> {
        self.sessions.get(&session).cloned().unwrap_or_default()
    }

    /// The seat that hears everything of this session.
    pub(super) fn main_of(&self, session: SessionKey) -> Option<u64> {
        let numbers = self.sessions.get(&session)?;
        let is_main = |number: &&u64| self.seats.get(*number).is_some_and(|seat| seat.main);
        numbers.iter().find(is_main).copied()
    }

    /// A younger seat hears everything from now on: this one ends, or goes on with what it resumes.
    pub(super) fn retire(&mut self, number: u64) {
        let Some(seat) = self.seats.get_mut(&number) else {
            return;
        };
        seat.main = false;
        match &seat.resumes {
            Some(resumed) => seat.feeds.retain(|feed| feed.upstream == *resumed),
            None => {
                seat.ear.end(End::Over);
                self.remove(number);
            }
        }
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<Seat> {
        let seat = self.seats.remove(&number)?;
        if let Some(session) = seat.session
            && let Some(numbers) = self.sessions.get_mut(&session.key)
        {
            numbers.retain(|other| *other != number);
            if numbers.is_empty() {
                self.sessions.remove(&session.key);
            }
        }
        Some(seat)
    }

    /// Takes everybody of this endpoint out.
    pub(super) fn take(&mut self, endpoint: EndpointHash) -> Vec<Seat> {
        let there = self.seats.iter().filter(|(_, seat)| seat.endpoint == endpoint);
        let numbers: Vec<u64> = there.map(|(number, _)| *number).collect();
        numbers.into_iter().filter_map(|number| self.remove(number)).collect()
    }

    /// Takes everybody out for good.
    pub(super) fn drain(&mut self) -> Vec<Seat> {
        self.closed = true;
        self.sessions.clear();
        self.seats.drain().map(|(_, seat)| seat).collect()
    }
}
