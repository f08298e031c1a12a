//! One attempt at a time for a pair (gateway session, upstream), shared by all who wait for it.

use super::{Binder, Flight, FlightKey, Inner, Outcome, is_lost, now};
use crate::edge::upstream::line::{Line, SMALL, Tie};
use crate::edge::upstream::span;
use crate::engine::exchange::event::UpstreamFailure;
use crate::engine::exchange::step::SessionRef;
use crate::engine::jsonrpc::splice::quote;
use crate::engine::session::{Binding, Lookup};
use futures_util::{FutureExt, StreamExt};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

/// Subscriptions told to a new upstream session at once.
const RESUBSCRIBING: usize = 8;

impl Binder {
    /// Joins the attempt that is under way, or begins one.
    pub(super) async fn fly(&self, session: SessionRef, upstream: Arc<str>, stale: Option<Binding>) -> Outcome {
        let flight = {
            let key = (session.key, Arc::clone(&upstream));
            let mut flights = self.inner.flights();
            match flights.get(&key) {
                Some(flight) => flight.clone(),
                // The last attempt may have ended between our look-up and here.
                None => match self.inner.settled(session, &upstream, stale.as_ref()) {
                    Some(outcome) => return outcome,
                    None => {
                        let flight = self.begin(session, upstream, stale);
                        flights.insert(key, flight.clone());
                        flight
                    }
                },
            }
        };
        flight.await
    }

    fn begin(&self, session: SessionRef, upstream: Arc<str>, stale: Option<Binding>) -> Flight {
        let inner = Arc::clone(&self.inner);
        let attempt = self.inner.runtime.spawn(span::inherited(async move {
            let landing = Landing {
                key: (session.key, upstream),
                inner,
            };
            landing.inner.attempt(session, &landing.key.1, stale).await
        }));
        let outcome = attempt.map(|done| done.unwrap_or(Outcome::Failed(UpstreamFailure::Unreachable)));
        outcome.boxed().shared()
    }
}

/// Takes an attempt off the list however it ends.
struct Landing {
    key: FlightKey,
    inner: Arc<Inner>,
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.inner.flights().remove(&self.key);
    }
}

impl Inner {
    /// Who held the session is no longer among the upstream's addresses: it ended with it.
    pub(super) fn is_gone(&self, upstream: &str, binding: &Binding) -> bool {
        let Some(address) = binding.address else { return false };
        self.target(upstream).is_some_and(|target| !target.is_at(address))
    }

    /// What the store knows by now, if it needs no attempt.
    fn settled(&self, session: SessionRef, upstream: &str, stale: Option<&Binding>) -> Option<Outcome> {
        match self.store.lookup(session.key, upstream, now()) {
            Lookup::Ended => Some(Outcome::Ended),
            Lookup::Bound(binding) if Some(&binding) != stale => Some(Outcome::Bound(binding)),
            Lookup::Bound(_) | Lookup::Unbound => None,
        }
    }

    async fn attempt(&self, session: SessionRef, upstream: &Arc<str>, stale: Option<Binding>) -> Outcome {
        if let Some(stale) = stale {
            let Some(target) = self.target(upstream) else {
                return Outcome::Failed(UpstreamFailure::Unreachable);
            };
            if !is_lost(&target, &stale).await {
                return Outcome::StillThere(stale);
            }
            self.store.unbind(session.key, upstream, stale.id.as_deref());
        }
        let (client, level) = self.store.client(session.key);
        let delegation = self.store.delegation(session.key, upstream);
        let opened = self.open(upstream, &client, session.version, level, &delegation);
        let binding = match opened.await {
            Ok(binding) => binding,
            Err(failure) => return Outcome::Failed(failure),
        };
        self.resubscribe(session, upstream, &binding).await;
        let kept = self
            .store
            .bind(session.key, session.expires, upstream, binding.clone(), now());
        if kept {
            Outcome::Bound(binding)
        } else {
            // The gateway session was ended meanwhile.
            self.close(Arc::clone(upstream), binding);
            Outcome::Ended
        }
    }

    /// A new upstream session knows nothing of what the client had subscribed to in the one before.
    async fn resubscribe(&self, session: SessionRef, upstream: &Arc<str>, binding: &Binding) {
        let mut subscriptions = self.store.subscriptions(session.key);
        subscriptions.retain(|subscription| subscription.upstream == *upstream);
        let Some(target) = self.target(upstream).filter(|_| !subscriptions.is_empty()) else {
            return;
        };
        let time = target.timeout().list;
        let line = Line::new(target, Tie::Session(binding.clone()));
        let requests = subscriptions.iter().map(|subscription| {
            let line = &line;
            async move {
                let uri = String::from_utf8_lossy(&quote(&subscription.uri)).into_owned();
                let members = format!(r#""uri":{uri}"#);
                if let Err(failure) = line.request("resources/subscribe", &members, SMALL, time).await {
                    tracing::debug!(upstream = %line.target().name(), %failure, "Subscription was not taken.");
                }
            }
        });
        let all = futures_util::stream::iter(requests).for_each_concurrent(RESUBSCRIBING, |request| request);
        // A call waits for it: all of them together take no longer than one may.
        if tokio::time::timeout(time, all).await.is_err() {
            tracing::debug!(%upstream, "Not all subscriptions were taken in time.");
        }
    }

    fn flights(&self) -> std::sync::MutexGuard<'_, HashMap<FlightKey, Flight>> {
        // Nothing panics while it is held; and if: the map is still a map.
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
