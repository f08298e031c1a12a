//! What exchanges ask for: here the questions of ext_proc streams meet the session map, the binder, the relay.

mod sessions;
mod ties;

use crate::edge::delegation::{Delegations, Look as Sought};
use crate::edge::extproc::{Admission, Asked, Backroom, Budget, CallStream, Gate, HubStream, Mail};
use crate::edge::http::Voices;
use crate::edge::identity::Passwords;
use crate::edge::identity::passwords::Look;
use crate::edge::relay::{Mailbox, Outliving, ParkingLot, Relay};
use crate::edge::store::{MemoryStore, Principals};
use crate::edge::telemetry::Telemetry;
use crate::edge::throttle::{Counted, Places, Throttle, Verdict};
use crate::edge::upstream::{Allowance, Binder, Bodies, Hub, Look as Sight, Views};
use crate::engine::config::{Limits, Lists};
use crate::engine::exchange::event::Refusal;
use crate::engine::exchange::step::{Attended, Call, Listen, Notice, ParkKey, Question, SessionRef};
use crate::engine::exchange::{Finding, Parked, Record, UPSTREAM_UNAUTHORIZED};
use crate::engine::mcp::trace::Ratio;
use crate::engine::session::{SessionKey, SessionStore, Subscription, Timestamp, Wanted};
use crate::engine::snapshot::Snapshot;
use arc_swap::ArcSwap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Everything an exchange may need, shared by all runtimes.
pub(super) struct Desk {
    pub(super) cell: Arc<ArcSwap<Snapshot>>,
    pub(super) store: Arc<MemoryStore>,
    pub(super) binder: Arc<Binder>,
    pub(super) hub: Hub,
    pub(super) views: Views,
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
        self.views.set_bounds(Allowance::of(lists));
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
}

fn counted(verdict: Verdict) -> Finding {
    match verdict {
        Verdict::Admitted(quota) => Finding::Admitted(quota),
        Verdict::Exhausted(exhausted) => Finding::Exhausted(exhausted),
        Verdict::Uncounted => Finding::Uncounted,
    }
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
            Question::View(viewer) => match self.views.look(viewer) {
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
            Question::Recall(session) => self.recall(session),
            Question::Introduce(session) => self.introduce(session),
            Question::Start {
                session,
                principal,
                client,
            } => self.start(session, principal, client),
            Question::SetLevel { session, level } => self.set_level(session, level),
            Question::End(session) => self.end(session),
            Question::Tell { session, to, message } => self.tell(session.key, to, message),
            Question::Bind {
                session,
                upstream,
                call,
                trace,
            } => self.bind(session, upstream, &call, trace),
            Question::OneShot {
                upstream,
                version,
                delegation,
                trace,
            } => self.one_shot(upstream, version, delegation, trace),
            Question::Borrow { borrower, trace } => self.borrow(borrower, trace),
            Question::Renew { borrower, stale, trace } => self.renew(borrower, stale, trace),
            Question::Recover {
                session,
                upstream,
                stale,
                trace,
            } => self.recover(session, upstream, stale, trace),
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
                    self.views.changed(upstream, principal, *kinds);
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
            self.views.refused(upstream, principal);
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
