//! One client stream: what waits for it, and who is woken when something does.

use crate::engine::exchange::HubEvent;
use crate::engine::stream::{Kinds, Outbox, say};
use bytes::Bytes;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// See the module. Shared by the exchange that reads and all who write.
#[derive(Debug)]
pub(super) struct Ear {
    wants: Kinds,
    /// Raw JSON id of a modern listen.
    tag: Option<Bytes>,
    /// Held for a push or a take.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    outbox: Outbox,
    end: End,
    waker: Option<Waker>,
}

/// How far the stream is from its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum End {
    #[default]
    Open,
    /// Once all is said: the gateway ends.
    Drained,
    /// Once all is said: for any other reason.
    Over,
    /// It was said.
    Said,
}

impl Ear {
    pub(super) fn new(wants: Kinds, tag: Option<Bytes>) -> Self {
        Self {
            wants,
            tag,
            state: Mutex::default(),
        }
    }

    pub(super) const fn tag(&self) -> Option<&Bytes> {
        self.tag.as_ref()
    }

    /// One more event. False: nobody will hear it.
    pub(super) fn push(&self, event: Bytes) -> bool {
        let mut state = self.state();
        if state.end != End::Open {
            return false;
        }
        let fits = state.outbox.push(event);
        if let Err(full) = fits {
            tracing::debug!(%full, "Stream of a client is ended.");
            state.end = End::Over;
        }
        wake(state);
        fits.is_ok()
    }

    /// These lists have changed, if this client minds.
    pub(super) fn change(&self, kinds: Kinds) {
        let kinds = kinds.and(self.wants);
        if kinds.is_empty() {
            return;
        }
        let mut state = self.state();
        state.outbox.change(kinds);
        wake(state);
    }

    /// Ends the stream once what waits was taken.
    pub(super) fn end(&self, how: End) {
        let mut state = self.state();
        if state.end == End::Open {
            state.end = how;
        }
        wake(state);
    }

    pub(super) fn poll(&self, context: &mut Context<'_>) -> Poll<Option<HubEvent>> {
        let mut state = self.state();
        if !state.outbox.is_empty() {
            let (mut events, changed) = state.outbox.take();
            events.extend(say::changed(changed, self.tag.as_deref()));
            return Poll::Ready(Some(HubEvent::Events(events)));
        }
        let last = match state.end {
            End::Open => {
                if !state
                    .waker
                    .as_ref()
                    .is_some_and(|waker| waker.will_wake(context.waker()))
                {
                    state.waker = Some(context.waker().clone());
                }
                return Poll::Pending;
            }
            End::Drained => HubEvent::Drained,
            End::Over => HubEvent::Over,
            End::Said => return Poll::Ready(None),
        };
        state.end = End::Said;
        Poll::Ready(Some(last))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Outside of the lock: whoever is woken may run at once on another thread.
fn wake(mut state: MutexGuard<'_, State>) {
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::stream::outbox::EVENTS;

    fn next(ear: &Ear) -> Option<HubEvent> {
        match ear.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(event) => event,
            Poll::Pending => panic!("nothing waits"),
        }
    }

    #[test]
    fn what_waits_is_said_before_the_end() {
        let ear = Ear::new(Kinds::ALL, None);
        assert!(ear.push(Bytes::from_static(b"data: 1\n\n")));
        ear.change(Kinds::ALL);
        ear.end(End::Drained);
        assert!(!ear.push(Bytes::from_static(b"data: 2\n\n")), "too late");
        assert!(matches!(next(&ear), Some(HubEvent::Events(events)) if events.len() == 4));
        assert!(matches!(next(&ear), Some(HubEvent::Drained)));
        assert!(next(&ear).is_none());
    }

    #[test]
    fn whoever_does_not_read_is_cut() {
        let ear = Ear::new(Kinds::ALL, None);
        for _ in 0..EVENTS {
            assert!(ear.push(Bytes::from_static(b"data: 1\n\n")));
        }
        assert!(!ear.push(Bytes::from_static(b"data: 1\n\n")));
        assert!(matches!(next(&ear), Some(HubEvent::Over)));
    }

    #[test]
    fn what_was_not_asked_for_is_not_told() {
        let wants = Kinds {
            tools: true,
            ..Kinds::default()
        };
        let ear = Ear::new(wants, Some(Bytes::from_static(b"7")));
        ear.change(Kinds::ALL);
        assert!(matches!(next(&ear), Some(HubEvent::Events(events)) if events.len() == 1));
    }
}
