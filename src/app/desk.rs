//! What exchanges ask for: here the questions of ext_proc streams meet the session map, the binder, the relay.

use crate::edge::delegation::{Delegations, Look as Sought};
use crate::edge::extproc::{Admission, Asked, Backroom, Budget, CallStream, Gate, HubStream, Mail};
use crate::edge::http::Voices;
use crate::edge::identity::Passwords;
use crate::edge::identity::passwords::Look;
use crate::edge::relay::{Mailbox, Outliving, ParkingLot, Relay};
use crate::edge::store::{MemoryStore, Principals};
use crate::edge::telemetry::Telemetry;
use crate::edge::throttle::{Counted, Places, Throttle, Verdict};
use crate::edge::upstream::{Allowance, Binder, Bodies, Callers, Hub, Look as Sight, span};
use crate::engine::config::{Limits, Lists};
use crate::engine::exchange::event::Refusal;
use crate::engine::exchange::step::{Addressee, Attended, Call, Listen, Notice, ParkKey, Question, SessionRef};
use crate::engine::exchange::{Finding, Parked, Record, UPSTREAM_UNAUTHORIZED};
use crate::engine::mcp::trace::Ratio;
use crate::engine::session::{Binding, Lookup, Recall, SessionKey, SessionStore, Subscription, Timestamp, Wanted};
use crate::engine::snapshot::Snapshot;
use arc_swap::ArcSwap;
use bytes::Bytes;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Everything an exchange may need, shared by all runtimes.
pub(super) struct Desk {
    pub(super) cell: Arc<ArcSwap<Snapshot>>,
    pub(super) store: Arc<MemoryStore>,
    pub(super) binder: Arc<Binder>,
    pub(super) hub: Hub,
    pub(super) callers: Callers,
    pub(super) relay: Relay,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) outliving: Outliving,
    pub(super) parked: ParkingLot,
    pub(super) gate: Arc<Gate>,
    pub(super) bodies: Arc<Budget>,
    pub(super) replay: Budget,
    pub(super) throttle: Throttle,
    pub(super) places: Places,
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) passwords: Passwords,
    pub(super) delegations: Delegations,
    pub(super) principals: Principals,
    pub(super) room: ArcSwap<Room>,
}

/// For sessions of one principal.
pub(super) struct Room {
    /// `limits.sessionsPerPrincipal`
    pub(super) sessions: usize,
    /// One that was not used for so long does not count.
    pub(super) idle: Duration,
}

impl Bodies for Budget {
    fn reserve(&self, bytes: usize) -> bool {
        Self::reserve(self, bytes)
    }

    fn release(&self, bytes: usize) {
        Self::release(self, bytes);
    }
}

impl Desk {
    /// Limits of another configuration; what is under way stays.
    pub(super) fn set_limits(&self, limits: &Limits, lists: &Lists, idle: Duration) {
        self.callers.set_bounds(Allowance::of(lists));
        self.room.store(Arc::new(Room {
            sessions: limits.sessions_per_principal,
            idle,
        }));
        self.gate.set_limit(limits.streams);
        self.bodies.set_limit(limits.bodies);
        self.replay.set_limit(limits.replay);
        self.store.set_limit(limits.sessions);
    }
}

impl Desk {
    /// Whether the principal may begin another session.
    fn may_begin(&self, principal: u64, session: SessionKey) -> bool {
        let room = self.room.load();
        let idle = u64::try_from(room.idle.as_millis()).unwrap_or(u64::MAX);
        let before = Timestamp(now().0.saturating_sub(idle));
        self.principals
            .begin(principal, session, room.sessions, before, &self.store)
    }

    /// Every caller sees what this upstream lists for that caller.
    fn is_listed_for_callers(&self, upstream: &str) -> bool {
        self.cell.load().endpoints.iter().any(|endpoint| {
            let own = endpoint.listed_for_callers().iter();
            own.filter_map(|index| endpoint.upstream(*index))
                .any(|one| *one.name == *upstream)
        })
    }

    /// Nobody has come back for this call.
    pub(super) fn give_up(&self, parked: Parked) {
        for notice in parked.given_up() {
            self.notify(notice);
        }
    }

    /// Finds out who hears a client's message, and passes it on.
    fn tell(&self, session: SessionKey, to: Addressee, message: Bytes) -> Asked {
        if self.store.recall(session, now()) == Recall::Ended {
            return Asked::Now(Finding::Ended);
        }
        let tie = match to {
            Addressee::Stateless(upstream, binding) => {
                let delegation = self.store.delegation(session, &upstream);
                Some((upstream, Binding { delegation, ..binding }))
            }
            Addressee::Upstream(upstream) => match self.store.lookup(session, &upstream, now()) {
                Lookup::Bound(binding) => Some((upstream, binding)),
                Lookup::Unbound | Lookup::Ended => None,
            },
            Addressee::Exchange(id) => {
                let told = self.mailbox.deliver(session, &id, message);
                return Asked::Now(Finding::Told(told));
            }
            Addressee::Owner(call) if self.mailbox.cancel(session, &call) => return Asked::Now(Finding::Told(true)),
            Addressee::Owner(call) => self.store.owner(session, call.as_bytes()).map(named),
            Addressee::Only => match <[_; 1]>::try_from(self.store.ties(session)) {
                Ok([only]) => Some(named(only)),
                Err(_) => None,
            },
            Addressee::All => {
                for (upstream, binding) in self.store.ties(session).into_iter().map(named) {
                    let message = message.clone();
                    self.binder.notify(Notice::Tell {
                        upstream,
                        binding,
                        message,
                    });
                }
                return Asked::Now(Finding::Told(true));
            }
        };
        let Some((upstream, binding)) = tie else {
            tracing::debug!("Message of a client for an upstream session that is gone.");
            return Asked::Now(Finding::Told(false));
        };
        let binder = Arc::clone(&self.binder);
        Asked::Later(Box::pin(async move { binder.tell(upstream, binding, message).await }))
    }
}

/// A tie that has just been made is heard by the session's stream, if it holds one, before the call goes on.
async fn joined(hub: &Hub, session: SessionKey, upstream: &Arc<str>, found: Finding) -> Finding {
    if let Finding::Bound(binding) | Finding::Reopened(binding) = &found {
        hub.join(session, upstream, binding).await;
    }
    found
}

fn counted(verdict: Verdict) -> Finding {
    match verdict {
        Verdict::Admitted(quota) => Finding::Admitted(quota),
        Verdict::Exhausted(exhausted) => Finding::Exhausted(exhausted),
        Verdict::Uncounted => Finding::Uncounted,
    }
}

fn named((upstream, binding): (String, Binding)) -> (Arc<str>, Binding) {
    (upstream.into(), binding)
}

/// Milliseconds since the epoch, now.
pub(super) fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

impl Backroom for Desk {
    fn snapshot(&self) -> Arc<Snapshot> {
        self.cell.load_full()
    }

    fn admit(&self) -> Result<Admission, Refusal> {
        self.gate.admit()
    }

    fn now(&self) -> Timestamp {
        now()
    }

    fn entropy(&self) -> u128 {
        rand::random()
    }

    fn traces(&self) -> Option<Ratio> {
        self.telemetry.traces()
    }

    fn ask(&self, question: Question) -> Asked {
        match question {
            Question::Compare(claimed) => match self.passwords.compare(claimed) {
                Look::Now(compared) => Asked::Now(Finding::Compared(compared)),
                Look::Later(later) => Asked::Later(Box::pin(async move { Finding::Compared(later.await) })),
            },
            Question::Delegate(errand) => match self.delegations.find(errand) {
                Sought::Now(found) => Asked::Now(Finding::Delegated(found)),
                Sought::Later(later) => Asked::Later(Box::pin(async move { Finding::Delegated(later.await) })),
            },
            Question::View(viewer) => match self.callers.look(viewer) {
                Sight::Now(endpoint) => Asked::Now(Finding::Viewed(endpoint)),
                Sight::Later(later) => Asked::Later(Box::pin(async move { Finding::Viewed(later.await) })),
            },
            Question::Admit(charges) => match self.throttle.admit(charges) {
                Counted::Now(verdict) => Asked::Now(counted(verdict)),
                Counted::Later(verdict) => Asked::Later(Box::pin(async move { counted(verdict.await) })),
            },
            Question::Hold(places) => match self.places.take(&places) {
                Ok(held) => Asked::Held(Finding::Held, Box::new(held)),
                Err(kind) => Asked::Now(Finding::Crowded(kind)),
            },
            Question::Recall(session) => Asked::Now(match self.store.recall(session.key, now()) {
                Recall::Live => Finding::Live,
                Recall::Ended => Finding::Ended,
            }),
            Question::Introduce(session) => Asked::Now(match self.store.recall(session.key, now()) {
                Recall::Live => {
                    let (client, level) = self.store.client(session.key);
                    Finding::Introduced(client, level)
                }
                Recall::Ended => Finding::Ended,
            }),
            Question::Start {
                session,
                principal,
                client,
            } => {
                if !self.may_begin(principal, session.key) {
                    return Asked::Now(Finding::SessionsFull);
                }
                Asked::Now(match self.store.start(session.key, session.expires, client) {
                    Ok(()) => Finding::Live,
                    Err(_full) => Finding::SessionsFull,
                })
            }
            Question::SetLevel { session, level } => {
                if !self.store.set_level(session.key, session.expires, level) {
                    return Asked::Now(Finding::Ended);
                }
                // Upstream sessions opened later hear it in their handshake.
                for (upstream, binding) in self.store.ties(session.key) {
                    self.binder.notify(Notice::Level {
                        upstream: upstream.into(),
                        binding,
                        level,
                    });
                }
                Asked::Now(Finding::Live)
            }
            Question::Bind {
                session,
                upstream,
                call,
                trace,
            } => {
                let known = self.store.lookup(session.key, &upstream, now());
                // Released when the exchange is over, see `record`.
                self.store.hold(session.key, &upstream, &call);
                match known {
                    Lookup::Bound(binding) => Asked::Now(Finding::Bound(binding)),
                    Lookup::Ended => Asked::Now(Finding::Ended),
                    Lookup::Unbound => {
                        let binder = Arc::clone(&self.binder);
                        let hub = self.hub.clone();
                        Asked::Later(Box::pin(async move {
                            let opening = binder.bind(session, Arc::clone(&upstream));
                            let found = span::opened_for(trace, opening).await;
                            joined(&hub, session.key, &upstream, found).await
                        }))
                    }
                }
            }
            Question::OneShot {
                upstream,
                version,
                delegation,
                trace,
            } => {
                let binder = Arc::clone(&self.binder);
                Asked::Later(Box::pin(async move {
                    span::opened_for(trace, binder.one_shot(upstream, version, delegation)).await
                }))
            }
            Question::Borrow { borrower, trace } => {
                if let Some(finding) = self.binder.lend(&borrower) {
                    return Asked::Now(finding);
                }
                let binder = Arc::clone(&self.binder);
                Asked::Later(Box::pin(async move {
                    span::opened_for(trace, binder.borrow(borrower)).await
                }))
            }
            Question::Renew { borrower, stale, trace } => {
                let binder = Arc::clone(&self.binder);
                Asked::Later(Box::pin(async move {
                    span::opened_for(trace, binder.renew(borrower, stale)).await
                }))
            }
            Question::Recover {
                session,
                upstream,
                stale,
                trace,
            } => {
                let binder = Arc::clone(&self.binder);
                let hub = self.hub.clone();
                Asked::Later(Box::pin(async move {
                    let recovering = binder.recover(session, Arc::clone(&upstream), stale);
                    let found = span::opened_for(trace, recovering).await;
                    match session {
                        Some(session) => joined(&hub, session.key, &upstream, found).await,
                        None => found,
                    }
                }))
            }
            Question::End(session) => {
                let ended = self.store.end(session.key, session.expires);
                if !ended.first {
                    return Asked::Now(Finding::Ended);
                }
                self.hub.end(session.key);
                self.mailbox.end(session.key);
                for (upstream, binding) in ended.bindings {
                    self.binder.notify(Notice::Close {
                        upstream: upstream.into(),
                        binding,
                    });
                }
                Asked::Later(Box::pin(async move { Finding::EndWritten(ended.written.await) }))
            }
            Question::Tell { session, to, message } => self.tell(session.key, to, message),
        }
    }

    fn call(&self, call: Call) -> CallStream {
        self.relay.call(call)
    }

    fn listen(&self, subscription: Listen) -> HubStream {
        self.hub.listen(subscription)
    }

    fn outlive(&self, call: CallStream, cancelled: Option<Mail>) {
        self.outliving.keep(call, async move {
            match cancelled {
                Some(mail) => drop(mail.await),
                None => std::future::pending().await,
            }
        });
    }

    fn expect(&self, session: SessionKey, id: &str) -> Mail {
        Box::pin(self.mailbox.expect(session, id))
    }

    fn watch(&self, session: SessionKey, id: &str) -> Mail {
        Box::pin(self.mailbox.watch(session, id))
    }

    fn attend(&self, attended: Attended) -> CallStream {
        self.relay.attend(attended)
    }

    fn park(&self, key: ParkKey, parked: Box<Parked>, call: Option<CallStream>) {
        if let Some(evicted) = self.parked.park(key, parked, call) {
            self.give_up(*evicted);
        }
    }

    fn resume(&self, key: ParkKey) -> Option<(Box<Parked>, Option<CallStream>)> {
        self.parked.resume(key)
    }

    fn notify(&self, notice: Notice) {
        if let Notice::Delegated {
            session,
            upstream,
            delegation,
        } = notice
        {
            return self.store.delegate(session.key, session.expires, &upstream, delegation);
        }
        if let Notice::Refreshed {
            session,
            upstream,
            delegation,
        } = notice
        {
            return self.store.refresh(session.key, &upstream, delegation);
        }
        if let Notice::Spent(delegation) = &notice {
            return self.delegations.spent(delegation);
        }
        if let Notice::Close { upstream, binding } = &notice
            && let Some(session) = &binding.id
        {
            self.relay.forget(upstream, session);
        }
        if let Notice::Changed {
            upstream,
            principal,
            kinds,
        } = &notice
        {
            match principal {
                Some(principal) if self.is_listed_for_callers(upstream) => {
                    self.callers.changed(upstream, principal, *kinds);
                }
                Some(_) | None => self.hub.hearsay().tell(upstream, *kinds),
            }
        }
        self.binder.notify(notice);
    }

    fn subscribe(&self, session: SessionRef, subscription: Subscription, wanted: Wanted) {
        self.store.subscribe(session.key, session.expires, subscription, wanted);
        self.hub.resubscribed(session.key);
    }

    fn record(&self, record: &Record, elapsed: Duration) {
        if let Some((session, asked)) = record.tied {
            self.store.release(session, asked, now());
        }
        if let (Some(UPSTREAM_UNAUTHORIZED), Some(upstream), Some(principal)) =
            (record.reason, &record.upstream, &record.principal)
        {
            self.callers.refused(upstream, principal);
        }
        self.telemetry.record(record, elapsed);
    }

    fn bodies(&self) -> &Budget {
        &self.bodies
    }

    fn replay(&self) -> &Budget {
        &self.replay
    }
}
