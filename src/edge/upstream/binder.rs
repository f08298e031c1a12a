//! Ties gateway sessions to upstream sessions: opens them lazily, checks whether one is lost, opens it again.
//!
//! At most one attempt at a time for a pair (gateway session, upstream): whoever comes meanwhile, on whatever runtime,
//! waits for the same outcome. Attempts run on one runtime of their own, so that a client who leaves takes nothing down
//! with it, and an upstream session that was opened is always either kept or closed.

mod background;
mod flight;

use super::handshake;
use super::hub::{Bodies, Hub};
use super::line::{Line, SMALL, Tie};
use super::notices::{Errand, Notices};
use super::pool::Pool;
use super::span;
use super::views::{Allowance, Views};
use crate::edge::http::{Target, Targets};
use crate::engine::exchange::event::{Finding, UpstreamFailure};
use crate::engine::exchange::step::{Borrower, Notice, SessionRef};
use crate::engine::mcp::Version;
use crate::engine::session::past::Ending;
use crate::engine::session::{Binding, Client, Delegation, Lookup, SessionKey, SessionStore, Timestamp};
use crate::engine::snapshot::Snapshot;
use arc_swap::ArcSwap;
use bytes::Bytes;
use futures_util::future::{BoxFuture, Shared};
use futures_util::{StreamExt, stream};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, oneshot};

/// How long a message of a client may take: it waits for 202.
const TELLING: Duration = Duration::from_secs(10);

/// Bytes of clients' messages on their way in the background, all together.
const BESIDE: usize = 64 << 20;
/// What one of them counts for besides its bytes.
const OVERHEAD: usize = 4 << 10;

/// See the module.
#[derive(Clone)]
pub struct Binder {
    inner: Arc<Inner>,
}

struct Inner {
    targets: Arc<Targets>,
    store: Arc<dyn SessionStore>,
    runtime: Handle,
    notices: mpsc::UnboundedSender<Errand>,
    /// Bytes of clients' messages that may still be sent in the background.
    beside: Arc<Semaphore>,
    pool: Pool,
    /// Attempts under way. Held for a look-up or an insertion only.
    flights: Mutex<HashMap<FlightKey, Flight>>,
}

type FlightKey = (SessionKey, Arc<str>);
type Flight = Shared<BoxFuture<'static, Outcome>>;

/// How an attempt ended.
#[derive(Clone, Debug)]
enum Outcome {
    Bound(Binding),
    StillThere(Binding),
    Ended,
    Failed(UpstreamFailure),
}

impl Binder {
    /// A binder that works on `runtime`, and the end of its background work, to be run by a task of `app`.
    #[must_use]
    pub fn new(targets: Arc<Targets>, store: Arc<dyn SessionStore>, runtime: Handle) -> (Self, Notices) {
        let (notices, queue) = mpsc::unbounded_channel();
        let background = Notices { queue };
        let inner = Inner {
            targets,
            store,
            runtime,
            notices,
            beside: Arc::new(Semaphore::new(BESIDE)),
            pool: Pool::default(),
            flights: Mutex::default(),
        };
        let binder = Self { inner: Arc::new(inner) };
        (binder, background)
    }

    /// The hub that feeds client streams from the sessions that this binder opens; `bodies` is told what it holds.
    #[must_use]
    pub fn hub(&self, cell: Arc<ArcSwap<Snapshot>>, bodies: Arc<dyn Bodies>, allowance: Allowance) -> Hub {
        let inner = &self.inner;
        let targets = Arc::clone(&inner.targets);
        let views = Views::new(targets, inner.runtime.clone(), inner.notices.clone(), allowance);
        Hub::new(
            Arc::clone(&inner.targets),
            Arc::clone(&inner.store),
            cell,
            inner.runtime.clone(),
            inner.notices.clone(),
            bodies,
            views,
        )
    }

    /// `Question::Bind`: the tie of `session` to `upstream`, opened if there is none. -> Bound, Unbindable, Ended
    pub async fn bind(&self, session: SessionRef, upstream: Arc<str>) -> Finding {
        let gone = match self.inner.store.lookup(session.key, &upstream, now()) {
            Lookup::Bound(binding) if self.inner.is_gone(&upstream, &binding) => Some(binding),
            Lookup::Bound(binding) => return Finding::Bound(binding),
            Lookup::Ended => return Finding::Ended,
            Lookup::Unbound => None,
        };
        match self.fly(session, upstream, gone).await {
            // The latter from an attempt to recover that found the tie alive.
            Outcome::Bound(binding) | Outcome::StillThere(binding) => Finding::Bound(binding),
            Outcome::Ended => Finding::Ended,
            Outcome::Failed(failure) => Finding::Unbindable(failure),
        }
    }

    /// `Question::OneShot`: a tie for one exchange; the engine closes it by `Notice::Close`. -> Bound, Unbindable
    pub async fn one_shot(&self, upstream: Arc<str>, version: Version, delegation: Delegation) -> Finding {
        match self.open_one_shot(upstream, version, delegation).await {
            Ok(binding) => Finding::Bound(binding),
            Err(failure) => Finding::Unbindable(failure),
        }
    }

    /// `Question::Recover`: `stale` was answered 400 or 404; is it lost? Then it is opened again.
    /// -> StillThere, Reopened, Unbindable, Ended
    pub async fn recover(&self, session: Option<SessionRef>, upstream: Arc<str>, stale: Binding) -> Finding {
        let Some(session) = session else {
            return self.recover_one_shot(upstream, stale).await;
        };
        match self.inner.store.lookup(session.key, &upstream, now()) {
            Lookup::Ended => return Finding::Ended,
            // Somebody else has been here already.
            Lookup::Bound(binding) if binding != stale => return Finding::Reopened(binding),
            Lookup::Bound(_) | Lookup::Unbound => {}
        }
        match self.fly(session, upstream, Some(stale)).await {
            Outcome::Bound(binding) => Finding::Reopened(binding),
            Outcome::StillThere(_) => Finding::StillThere,
            Outcome::Ended => Finding::Ended,
            Outcome::Failed(failure) => Finding::Unbindable(failure),
        }
    }

    /// Sends a message of a client that has no answer. A client that leaves meanwhile does not take it back. -> Told
    pub async fn tell(&self, upstream: Arc<str>, binding: Binding, message: Bytes) -> Finding {
        let Some(target) = self.inner.target(&upstream) else {
            return Finding::Told(false);
        };
        let line = Line::new(target, Tie::Session(binding));
        let saying = self
            .inner
            .runtime
            .spawn(async move { line.say(message, TELLING).await });
        let told = saying.await.unwrap_or(false);
        if !told {
            tracing::debug!(%upstream, "Message of a client was not taken.");
        }
        Finding::Told(told)
    }

    /// Does something in the background; see [`Notices`].
    pub fn notify(&self, notice: Notice) {
        self.inner.notify(notice);
    }

    /// `Question::Borrow`, where a session is free. -> Bound
    #[must_use]
    pub fn lend(&self, borrower: &Borrower) -> Option<Finding> {
        let target = self.inner.target(&borrower.upstream)?;
        self.inner.pool.lend(borrower, &target).map(Finding::Bound)
    }

    /// `Question::Borrow`: opens a session for it. -> Bound, Unbindable
    pub async fn borrow(&self, borrower: Arc<Borrower>) -> Finding {
        match self.open_for(borrower).await {
            Ok(binding) => Finding::Bound(binding),
            Err(failure) => Finding::Unbindable(failure),
        }
    }

    /// `Question::Renew`: a lent session was answered 400 or 404; is it lost? Then another one is opened.
    /// -> StillThere, Reopened, Unbindable
    pub async fn renew(&self, borrower: Arc<Borrower>, stale: Binding) -> Finding {
        let Some(target) = self.inner.target(&borrower.upstream) else {
            return Finding::Unbindable(UpstreamFailure::Unreachable);
        };
        if !is_lost(&target, &stale).await {
            return Finding::StillThere;
        }
        for free in self.inner.pool.forget(&borrower.upstream) {
            free.target.over(free.binding.past(now(), Ending::Lost));
        }
        match self.open_for(borrower).await {
            Ok(binding) => Finding::Reopened(binding),
            Err(failure) => Finding::Unbindable(failure),
        }
    }

    /// Closes free sessions that were not used for `idle`, and those at upstreams that are no longer what they were.
    pub fn sweep(&self, idle: Duration) {
        let targets = self.inner.targets.load_full();
        let current = |target: &Arc<Target>| {
            let now = targets.get(&**target.name());
            now.is_some_and(|now| Arc::ptr_eq(now, target))
        };
        for free in self.inner.pool.sweep(idle, current) {
            self.inner.close_at(free);
        }
    }

    /// Closes all free sessions, as far as that is done within `time`: the gateway ends.
    pub async fn close_free(&self, time: Duration) {
        let free = self.inner.pool.sweep(Duration::ZERO, |_| false);
        let closing = stream::iter(free).for_each_concurrent(64, |free| async move {
            let line = Line::new(free.target, Tie::Session(free.binding));
            line.delete(time).await;
        });
        let _ = tokio::time::timeout(time, closing).await;
    }

    async fn open_for(&self, borrower: Arc<Borrower>) -> Result<Binding, UpstreamFailure> {
        let (reply, outcome) = oneshot::channel();
        let inner = Arc::clone(&self.inner);
        self.inner.runtime.spawn(span::inherited(async move {
            let Borrower {
                upstream,
                version,
                client,
                level,
                delegation,
                ..
            } = &*borrower;
            let outcome = inner.open(upstream, client, *version, *level, delegation).await;
            // The client has left meanwhile: the next one will be glad of it.
            if let Err(Ok(binding)) = reply.send(outcome) {
                inner.notify(Notice::Return { borrower, binding });
            }
        }));
        outcome.await.unwrap_or(Err(UpstreamFailure::Unreachable))
    }

    async fn recover_one_shot(&self, upstream: Arc<str>, stale: Binding) -> Finding {
        let Some(target) = self.inner.target(&upstream) else {
            return Finding::Unbindable(UpstreamFailure::Unreachable);
        };
        if !is_lost(&target, &stale).await {
            return Finding::StillThere;
        }
        match self.open_one_shot(upstream, stale.version, stale.delegation).await {
            Ok(binding) => Finding::Reopened(binding),
            Err(failure) => Finding::Unbindable(failure),
        }
    }

    async fn open_one_shot(
        &self,
        upstream: Arc<str>,
        version: Version,
        delegation: Delegation,
    ) -> Result<Binding, UpstreamFailure> {
        let (reply, outcome) = oneshot::channel();
        let inner = Arc::clone(&self.inner);
        self.inner.runtime.spawn(span::inherited(async move {
            let client = Client::default();
            let outcome = inner.open(&upstream, &client, version, None, &delegation).await;
            // The client has left meanwhile: nobody else will close what was opened.
            if let Err(Ok(binding)) = reply.send(outcome) {
                inner.close(upstream, binding);
            }
        }));
        outcome.await.unwrap_or(Err(UpstreamFailure::Unreachable))
    }
}

impl Inner {
    async fn open(
        &self,
        upstream: &str,
        client: &Client,
        version: Version,
        level: Option<crate::engine::session::Level>,
        delegation: &Delegation,
    ) -> Result<Binding, UpstreamFailure> {
        let target = self.target(upstream).ok_or(UpstreamFailure::Unreachable)?;
        let opened = handshake::open(&target, client, version, level, delegation).await;
        match opened {
            Ok(handshake) => Ok(handshake.binding),
            Err(failure) => {
                tracing::debug!(upstream, %failure, "Upstream session was not opened.");
                Err(failure.failure())
            }
        }
    }

    fn target(&self, upstream: &str) -> Option<Arc<Target>> {
        self.targets.load().get(upstream).map(Arc::clone)
    }
}

/// Asks the upstream itself, and tells if it is.
async fn is_lost(target: &Arc<Target>, stale: &Binding) -> bool {
    let lost = is_unknown(target, stale).await;
    if lost {
        target.over(stale.past(now(), Ending::Lost));
    }
    lost
}

/// Only a plain "no such session" means lost; silence does not.
async fn is_unknown(target: &Arc<Target>, stale: &Binding) -> bool {
    if stale.id.is_none() {
        return false;
    }
    if stale.address.is_some_and(|address| !target.is_at(address)) {
        return true;
    }
    let line = Line::new(Arc::clone(target), Tie::Session(stale.clone()));
    let ping = line.request("ping", "", SMALL, target.timeout().list).await;
    ping.is_err_and(|failure| failure.session_may_be_lost())
}

/// The time, for the store.
pub(super) fn now() -> Timestamp {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
}
