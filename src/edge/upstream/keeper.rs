//! Keeps the listing of one upstream in one era fresh: lists, watches, lists again, backs off.
//!
//! One keeper per era, so that an era that hangs never delays the other. Tells what it finds as [`State`]; what both eras
//! mean together is for `discovery` to say.

mod attempt;
mod eras;

use super::binder::now;
use super::handshake::Handshake;
use super::line::{Line, Tie};
use super::pulse::Pulse;
use super::survey::FAREWELL;
use super::watch::{News, Watch};
use super::{Failure, Hearsay, Settings};
use crate::edge::backoff::Backoff;
use crate::edge::http::Target;
use crate::engine::catalog::Listing;
use crate::engine::mcp::Era;
use crate::engine::session::past::Ending;
use crate::engine::stream::Kinds;
pub(super) use eras::FreshEras;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// Changes come in bursts: one for tools, one for prompts.
const DEBOUNCE: Duration = Duration::from_millis(50);
/// What has come from an upstream is read within.
const AT_HAND: Duration = Duration::from_millis(5);
/// An upstream that announces a change with every listing must not keep us listing.
const BETWEEN: Duration = Duration::from_millis(500);

/// What is known of one era.
#[derive(Clone, Debug)]
pub(super) enum State {
    /// Not tried to the end yet; perhaps with a listing from disk.
    Pending(Option<Arc<Listing>>),
    /// Listed.
    Fresh {
        listing: Arc<Listing>,
        warnings: Vec<String>,
        /// What the upstream said had changed.
        said: Kinds,
        at: SystemTime,
    },
    /// The last attempt failed; what was listed before is kept for a while.
    Failing {
        failure: Failure,
        kept: Option<Arc<Listing>>,
    },
}

/// See the module.
#[derive(Debug)]
pub(super) struct Keeper {
    era: Era,
    target: Arc<Target>,
    settings: watch::Receiver<Settings>,
    eras: Arc<FreshEras>,
    kept: Option<Arc<Listing>>,
    /// The tools as they were when it was last compared what two kinds of clients see, and whether they are reserved.
    compared: Vec<(Box<str>, bool)>,
    /// When `kept` has to go.
    until: Instant,
    backoff: Backoff,
    /// The last attempt failed.
    failing: bool,
    /// What the upstream said has changed, and was not listed since.
    said: Kinds,
    session: Option<Handshake>,
    watch: Option<Watch>,
    hearsay: Hearsay,
    out: mpsc::UnboundedSender<(Era, State)>,
}

impl Keeper {
    /// A keeper that begins with what was listed in an earlier life.
    pub(super) fn new(
        era: Era,
        target: &Arc<Target>,
        settings: watch::Receiver<Settings>,
        eras: &Arc<FreshEras>,
        kept: Option<Arc<Listing>>,
        hearsay: Hearsay,
        out: mpsc::UnboundedSender<(Era, State)>,
    ) -> Self {
        let until = Instant::now() + settings.borrow().keep_last_good;
        Self {
            era,
            target: Arc::clone(target),
            settings,
            eras: Arc::clone(eras),
            kept,
            compared: Vec::new(),
            until,
            backoff: Backoff::new(crate::edge::upstream::PAUSES),
            failing: false,
            said: Kinds::default(),
            session: None,
            watch: None,
            hearsay,
            out,
        }
    }

    /// Runs until nobody listens any more, or it is dropped.
    pub(super) async fn run(&mut self) {
        loop {
            let mut outcome = match Box::pin(self.attempt()).await {
                Ok((listing, warnings)) => self.succeed(listing, warnings),
                Err(failure) => self.fail(failure),
            };
            loop {
                let Some(pause) = outcome else { return };
                match self.rest(pause).await {
                    Ok(()) => break,
                    Err(failure) => outcome = self.fail(failure),
                }
            }
        }
    }

    /// Ends the discovery session; best effort.
    pub(super) async fn close(&mut self) {
        if let Some(session) = self.session.take() {
            let line = Line::own(Arc::clone(&self.target), Tie::Session(session.binding));
            let _ = tokio::time::timeout(FAREWELL, line.delete(FAREWELL)).await;
        }
    }

    /// The discovery session is not known there any more.
    fn lose_session(&mut self) {
        if let Some(session) = self.session.take() {
            self.target.over(session.binding.past(now(), Ending::Lost));
        }
        self.watch = None;
    }

    /// Waits until it is time to list again: a change is noticed, settings change, or the pause is over.
    ///
    /// # Errors
    /// The server is not there any more.
    async fn rest(&mut self, pause: Duration) -> Result<(), Failure> {
        let due = Instant::now() + pause;
        let earliest = Instant::now() + BETWEEN;
        let pulse = self.pulse();
        let noticed = tokio::select! {
            () = tokio::time::sleep_until(due) => return Ok(()),
            // A sender that is gone changes nothing any more.
            Ok(()) = self.settings.changed() => return Ok(()),
            // The server is back, and this era may be too.
            () = self.eras.other(self.era).came_up.notified(), if self.failing => return Ok(()),
            lost = lost(pulse.as_ref()) => lost?,
            () = self.target.doubted() => News::Changed(Kinds::default()),
            noticed = news(&mut self.watch) => noticed,
            kinds = said(self.era, &self.hearsay, self.target.name()) => News::Changed(kinds),
        };
        match noticed {
            News::SessionLost => self.lose_session(),
            News::Changed(kinds) => {
                self.said = self.said.or(kinds);
                tokio::time::sleep(DEBOUNCE).await;
            }
        }
        tokio::time::sleep_until(earliest).await;
        self.catch_up().await;
        Ok(())
    }

    /// How to learn that a listed server is gone; `None`: nobody looks, or its stream tells.
    fn pulse(&self) -> Option<Pulse> {
        let every = self.settings.borrow().pulse.filter(|_| !self.failing)?;
        if self.target.stays_connected() {
            return None;
        }
        let (method, tie) = match self.era {
            Era::Legacy => ("ping", Tie::Session(self.session.as_ref()?.binding.clone())),
            Era::Modern => ("server/discover", Tie::Modern(self.kept.as_ref()?.version)),
        };
        let line = Line::own(Arc::clone(&self.target), tie);
        Some(Pulse { line, method, every })
    }

    /// What has been said meanwhile is answered by the same listing.
    async fn catch_up(&mut self) {
        loop {
            let kinds = tokio::select! {
                biased;
                News::Changed(kinds) = news(&mut self.watch) => kinds,
                kinds = said(self.era, &self.hearsay, self.target.name()) => kinds,
                () = tokio::time::sleep(AT_HAND) => return,
            };
            self.said = self.said.or(kinds);
        }
    }

    fn succeed(&mut self, listing: Arc<Listing>, warnings: Vec<String>) -> Option<Duration> {
        let settings = *self.settings.borrow();
        // What has not changed stays the same value, so that nobody folds it again.
        let same = self.kept.take().filter(|kept| **kept == *listing);
        let listing = same.unwrap_or(listing);
        self.backoff.reset();
        self.until = Instant::now() + settings.keep_last_good;
        self.kept = Some(Arc::clone(&listing));
        self.failing = false;
        self.eras.came_up(self.era);
        let at = SystemTime::now();
        let said = std::mem::take(&mut self.said);
        let state = State::Fresh {
            listing,
            warnings,
            said,
            at,
        };
        self.tell(state).then_some(settings.refresh)
    }

    fn fail(&mut self, failure: Failure) -> Option<Duration> {
        let now = Instant::now();
        if now >= self.until {
            self.kept = None;
            self.watch = None;
        }
        self.failing = true;
        self.eras.failed(self.era);
        let settings = *self.settings.borrow();
        let settled = self.kept.is_none() && self.eras.other(self.era).fresh.load(Ordering::Relaxed);
        let next = |backoff: &mut Backoff| backoff.next_wait().min(settings.pulse.unwrap_or(Duration::MAX));
        let pause = if settled {
            // It speaks the other era, and this one perhaps never.
            settings.refresh
        } else if self.kept.is_some() {
            next(&mut self.backoff).min(self.until - now)
        } else {
            next(&mut self.backoff)
        };
        let kept = self.kept.clone();
        self.tell(State::Failing { failure, kept }).then_some(pause)
    }

    /// False: nobody listens.
    fn tell(&self, state: State) -> bool {
        self.out.send((self.era, state)).is_ok()
    }
}

/// What becomes of the server; nothing, where nobody looks.
async fn lost(pulse: Option<&Pulse>) -> Result<News, Failure> {
    match pulse {
        Some(pulse) => pulse.lost().await,
        None => std::future::pending().await,
    }
}

/// What `watch` notices; nothing, where there is none.
async fn news(watch: &mut Option<Watch>) -> News {
    match watch {
        Some(watch) => watch.next().await,
        None => std::future::pending().await,
    }
}

/// What sessions of clients hear of the lists: they are of the legacy era.
async fn said(era: Era, hearsay: &Hearsay, upstream: &Arc<str>) -> Kinds {
    match era {
        Era::Legacy => hearsay.hear(upstream).await,
        Era::Modern => std::future::pending().await,
    }
}
