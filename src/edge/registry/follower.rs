//! The processor's side: follows the registry for as long as the processor lives.
//!
//! What was accepted last is served whatever happens: the controller may be gone, send nonsense, or be another one; the
//! processor may be restarted without it. An update under way is always settled before the stream is opened anew, so that
//! both sides know what is held.

use super::files;
use super::kept::{self, Held};
use super::link::{self, Complete, Link, LinkError};
use super::{difference, proto};
use crate::edge::backoff::{Backoff, Bounds};
use crate::engine::assignment::Assignment;
use crate::engine::status::UpstreamStatus;
use futures_util::FutureExt;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

/// Between two reports: those that listen to a thousand upstreams starting up hear of many at once.
const REPORTS: Duration = Duration::from_millis(200);
/// Between two looks at the certificates: a mounted Secret is replaced by renaming folders above it.
const LOOKS: Duration = Duration::from_secs(1);
/// A stream that lasted so long was a good one.
const GOOD: Duration = Duration::from_secs(5);

/// Before the registry is tried again: short at first, since another controller may lead already.
const PAUSES: Bounds = Bounds {
    shortest: Duration::from_millis(50),
    first: Duration::from_millis(200),
    longest: Duration::from_secs(5),
};
/// A controller that does not lead has answered: one that does is near, or soon will be.
const LONGEST_ANSWERED: Duration = Duration::from_secs(1);

/// One processor that follows its gateway.
#[derive(Clone, Debug)]
pub struct Follower {
    /// `https://host:port`; the server's certificate must be for that host.
    pub url: String,
    /// The folder with `ca.crt`, `tls.crt` and `tls.key`; read again when they change.
    pub certificates: PathBuf,
    /// `<namespace>/<name>` of the Gateway; the certificate must be for it.
    pub gateway: Arc<str>,
    /// This processor's name, other than that of any other processor of the gateway: its pod's.
    pub processor: Arc<str>,
    /// The file that keeps the last assignment that was accepted. It holds secrets.
    pub state: PathBuf,
}

/// An assignment to be put in force.
#[derive(Debug)]
pub struct Assigned {
    /// Its version at the controller.
    pub version: u64,
    /// What did not change has the same `Arc` as in the last one accepted.
    pub assignment: Arc<Assignment>,
    /// What becomes of it. Refused (with a reason that holds no secret): the last one stays. Dropped: refused.
    pub verdict: oneshot::Sender<Result<(), String>>,
}

impl Follower {
    /// Hands out what was kept, then what the controller assigns, one at a time: the next one comes after the verdict.
    /// Reports `status` as it changes. Until `stop`; what was accepted by then is on the disk afterwards.
    pub async fn run(
        self,
        out: mpsc::Sender<Assigned>,
        status: watch::Receiver<Arc<Vec<UpstreamStatus>>>,
        stop: CancellationToken,
    ) {
        let (accepted, keep) = watch::channel(None);
        let (file, gateway) = (self.state.clone(), Arc::clone(&self.gateway));
        let following = async move {
            let mut following = Following {
                follower: self,
                out,
                status,
                held: None,
                pending: None,
                accepted,
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = following.run() => {}
            }
            // A verdict that was given counts.
            let pending = following.pending.as_mut();
            if let Some(verdict) = pending.and_then(|pending| (&mut pending.verdict).now_or_never()) {
                following.settle(&verdict);
            }
        };
        tokio::join!(following, kept::write(&file, &gateway, keep));
    }
}

struct Following {
    follower: Follower,
    out: mpsc::Sender<Assigned>,
    status: watch::Receiver<Arc<Vec<UpstreamStatus>>>,
    /// What is served.
    held: Option<Held>,
    /// What was handed out and not judged yet.
    pending: Option<Pending>,
    accepted: watch::Sender<Option<Held>>,
}

struct Pending {
    held: Held,
    verdict: Pin<Box<dyn Future<Output = Result<(), String>> + Send>>,
}

/// What happens on a stream.
enum Event {
    Update(proto::Update),
    Judged(u64, Result<(), String>),
    News,
    Look,
}

impl Following {
    /// Ends when nobody takes assignments any more.
    async fn run(&mut self) {
        self.recall().await;
        let mut pause = Backoff::new(PAUSES);
        let mut complaint = String::new();
        while !self.out.is_closed() {
            let begun = Instant::now();
            let Err(error) = self.follow().await;
            if let Some(pending) = &mut self.pending {
                let verdict = (&mut pending.verdict).await;
                self.settle(&verdict);
            }
            if begun.elapsed() > GOOD {
                pause.reset();
                complaint.clear();
            }
            if matches!(error, LinkError::Renewed) {
                info!("The certificates have changed: connecting anew.");
                continue;
            }
            let wait = if error.is_answered() {
                pause.next_wait_within(LONGEST_ANSWERED)
            } else {
                pause.next_wait()
            };
            let error = error.to_string();
            if error == complaint {
                debug!(error, ?wait, "The registry is still not followed.");
            } else {
                warn!(
                    url = self.follower.url,
                    error, "The registry is not followed; what was assigned last is served."
                );
                complaint = error;
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// Hands out what was kept.
    async fn recall(&mut self) {
        let held = match kept::load(&self.follower.state, &self.follower.gateway) {
            Ok(Some(held)) => held,
            Ok(None) => return,
            Err(error) => {
                warn!(%error, "The kept assignment is of no use; the controller's is awaited.");
                return;
            }
        };
        info!(
            version = held.position.version,
            "The assignment that was kept is served until the controller's comes."
        );
        self.offer(held);
        if let Some(pending) = &mut self.pending {
            let verdict = (&mut pending.verdict).await;
            if let Err(reason) = &verdict {
                warn!(reason, "The kept assignment is refused; the controller's is awaited.");
            }
            self.settle(&verdict);
        }
    }

    /// One connection.
    async fn follow(&mut self) -> Result<std::convert::Infallible, LinkError> {
        let (mut look, identity) = files::read(&self.follower.certificates);
        let endpoint = link::endpoint(&self.follower.url, &identity?)?;
        let mut link = Link::open(&endpoint, &self.follower, self.held.as_ref()).await?;
        info!(url = self.follower.url, gateway = %self.follower.gateway, "The registry is followed.");
        self.status.mark_changed();
        let mut due = Instant::now();
        let mut looks = tokio::time::interval(LOOKS);
        loop {
            let event = tokio::select! {
                message = link.inbound.message() => Event::Update(message?.ok_or(LinkError::Ended)?),
                (version, verdict) = judged(&mut self.pending) => Event::Judged(version, verdict),
                () = news(&mut self.status, due) => Event::News,
                _ = looks.tick() => Event::Look,
            };
            match event {
                Event::Update(piece) => {
                    if let Some(update) = link.take(piece)? {
                        self.take(&link, update).await?;
                    }
                }
                Event::Judged(version, verdict) => {
                    self.settle(&verdict);
                    link.judge(version, verdict).await?;
                }
                Event::News => {
                    due = Instant::now() + REPORTS;
                    let news = Arc::clone(&self.status.borrow_and_update());
                    link.report(news).await?;
                }
                Event::Look => look = self.renewed(look)?,
            }
        }
    }

    /// Takes an update. One that changes nothing is accepted at once, one that is of no use refused.
    async fn take(&mut self, link: &Link, update: Complete) -> Result<(), LinkError> {
        if self.pending.is_some() {
            return Err(LinkError::Nonsense("an update before the verdict on the last one"));
        }
        let version = update.position.version;
        let held = self.held.as_ref();
        let is_held =
            |held: &Held| held.position.epoch == update.position.epoch && held.position.version == update.base;
        if update.base != 0 && !held.is_some_and(is_held) {
            return Err(LinkError::Nonsense("a difference from what is not held"));
        }
        let nothing = Assignment::default();
        let old = held.map_or(&nothing, |held| &*held.assignment);
        let new = match difference::apply(old, update.pieces) {
            Ok(new) => new,
            Err(error) => {
                warn!(version, %error, "An assignment is refused.");
                return link.judge(version, Err(error.to_string())).await;
            }
        };
        let unchanged = held.filter(|held| *held.assignment == new);
        let new = Held {
            position: update.position,
            assignment: unchanged.map_or_else(|| Arc::new(new), |held| Arc::clone(&held.assignment)),
        };
        if unchanged.is_some() {
            self.hold(new);
            return link.judge(version, Ok(())).await;
        }
        self.offer(new);
        Ok(())
    }

    fn offer(&mut self, held: Held) {
        let (verdict, judged) = oneshot::channel();
        let assigned = Assigned {
            version: held.position.version,
            assignment: Arc::clone(&held.assignment),
            verdict,
        };
        let out = self.out.clone();
        let verdict = async move {
            if out.send(assigned).await.is_err() {
                return Err("the processor is ending".to_owned());
            }
            judged
                .await
                .unwrap_or_else(|_| Err("the processor gave no verdict".to_owned()))
        };
        self.pending = Some(Pending {
            held,
            verdict: Box::pin(verdict),
        });
    }

    fn settle(&mut self, verdict: &Result<(), String>) {
        let Some(pending) = self.pending.take() else { return };
        if verdict.is_ok() {
            self.hold(pending.held);
        }
    }

    fn hold(&mut self, held: Held) {
        debug!(version = held.position.version, "An assignment is in force.");
        self.accepted.send_replace(Some(held.clone()));
        self.held = Some(held);
    }

    /// Ends the stream if the new certificates are of use; they may be half written.
    fn renewed(&self, seen: files::Look) -> Result<files::Look, LinkError> {
        if files::look(&self.follower.certificates) == seen {
            return Ok(seen);
        }
        let (look, identity) = files::read(&self.follower.certificates);
        let usable = identity
            .map_err(LinkError::from)
            .and_then(|identity| link::endpoint(&self.follower.url, &identity));
        match usable {
            Ok(_) => Err(LinkError::Renewed),
            Err(error) => {
                warn!(%error, "The new certificates are of no use; the connection stays.");
                Ok(look)
            }
        }
    }
}

/// The verdict on what is pending; never, if nothing is.
async fn judged(pending: &mut Option<Pending>) -> (u64, Result<(), String>) {
    match pending {
        Some(pending) => {
            let verdict = (&mut pending.verdict).await;
            (pending.held.position.version, verdict)
        }
        None => std::future::pending().await,
    }
}

/// Waits until the time has come and there is something to report; for ever, if there never will be.
async fn news(status: &mut watch::Receiver<Arc<Vec<UpstreamStatus>>>, due: Instant) {
    tokio::time::sleep_until(due).await;
    if status.changed().await.is_err() {
        std::future::pending().await
    }
}
