//! Keeps the listing of one upstream in one era fresh: lists, watches, lists again, backs off.
//!
//! One keeper per era, so that an era that hangs never delays the other. Tells what it finds as [`State`]; what both eras
//! mean together is for `discovery` to say.

use super::backoff::Backoff;
use super::handshake::{self, Handshake};
use super::line::{CAPABLE, Line, Tie};
use super::pulse::Pulse;
use super::watch::{News, Watch};
use super::{Failure, Hearsay, Settings, listing, probe};
use crate::edge::http::Target;
use crate::engine::catalog::Listing;
use crate::engine::mcp::capabilities::ServerFlags;
use crate::engine::mcp::{Era, Version};
use crate::engine::session::Client;
use crate::engine::stream::Kinds;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;

/// Changes come in bursts: one for tools, one for prompts.
const DEBOUNCE: Duration = Duration::from_millis(50);
/// What has come from an upstream is read within.
const AT_HAND: Duration = Duration::from_millis(5);
/// An upstream that announces a change with every listing must not keep us listing.
const BETWEEN: Duration = Duration::from_millis(500);
/// For the farewell to a discovery session.
const FAREWELL: Duration = Duration::from_secs(1);

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

/// Which eras are fresh, known to both keepers of an upstream.
#[derive(Debug, Default)]
pub(super) struct FreshEras {
    legacy: Freshness,
    modern: Freshness,
}

#[derive(Debug, Default)]
struct Freshness {
    fresh: AtomicBool,
    /// Told whenever `fresh` becomes true.
    came_up: Notify,
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

/// What to list, and how it was agreed on.
struct Agreed {
    line: Line,
    listing: Listing,
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
            backoff: Backoff::default(),
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
            News::SessionLost => {
                self.session = None;
                self.watch = None;
            }
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
        let next = |backoff: &mut Backoff| backoff.next().min(settings.pulse.unwrap_or(Duration::MAX));
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

    async fn attempt(&mut self) -> Result<(Arc<Listing>, Vec<String>), Failure> {
        if !self.target.is_asked_in(self.era) {
            return Err(Failure::NotAsked);
        }
        match self.era {
            Era::Legacy => self.attempt_legacy().await,
            Era::Modern => self.attempt_modern().await,
        }
    }

    /// In the session that is open, or in a new one. An upstream without session ids is greeted each time: it may have
    /// become another.
    async fn attempt_legacy(&mut self) -> Result<(Arc<Listing>, Vec<String>), Failure> {
        if let Some(session) = self.session.clone().filter(|session| session.binding.id.is_some()) {
            match self.list(Agreed::legacy(&self.target, &session)).await {
                Err(failure) if failure.session_may_be_lost() => {
                    self.session = None;
                    self.watch = None;
                }
                listed => return listed,
            }
        }
        let own = capable();
        let session = handshake::open_own(&self.target, &own, self.page_time()).await?;
        let listed = self.list(Agreed::legacy(&self.target, &session)).await;
        if session.binding.id.is_some() || !self.watches(session.flags) {
            let line = Line::own(Arc::clone(&self.target), Tie::Session(session.binding.clone()));
            self.watch = Some(Watch::legacy(line, session.flags));
        }
        self.session = Some(session);
        listed
    }

    async fn attempt_modern(&mut self) -> Result<(Arc<Listing>, Vec<String>), Failure> {
        let discovered = probe::discover(&self.target, self.page_time()).await?;
        let version = discovered.version;
        let flags = discovered.flags;
        let listed = self.list(Agreed::modern(&self.target, discovered)).await;
        if !self.watches(flags) {
            let line = Line::own(Arc::clone(&self.target), Tie::Modern(version));
            self.watch = Some(Watch::modern(line, flags));
        }
        listed
    }

    async fn list(&mut self, agreed: Agreed) -> Result<(Arc<Listing>, Vec<String>), Failure> {
        let Agreed { line, mut listing } = agreed;
        let lists = listing::read(&line, listing.flags, self.page_time()).await?;
        [listing.tools, listing.prompts, listing.resources, listing.templates] = lists.items;
        listing.ttl_ms = lists.ttl_ms;
        listing.public = lists.public;
        let mut warnings = lists.warnings;
        if let Err(failure) = self.reserve(&mut listing).await {
            warnings.push(format!(
                "what it lists for clients that take no requests is not known: {failure}"
            ));
        }
        Ok((Arc::new(listing), warnings))
    }

    /// Marks the tools that the upstream does not list to a client that it may not send requests. Everything was listed
    /// as one that it may.
    async fn reserve(&mut self, listing: &mut Listing) -> Result<(), Failure> {
        // Without a session a legacy upstream knows nothing of who asks.
        if listing.tools.is_empty() || (self.era == Era::Legacy && !listing.stateful) {
            return Ok(());
        }
        let names = listing.tools.iter().map(|tool| &tool.key);
        if !names.eq(self.compared.iter().map(|(name, _)| name)) {
            let plain = self.plain_tools(listing).await?;
            let compared = listing
                .tools
                .iter()
                .map(|tool| (tool.key.clone(), !plain.contains(&tool.key)));
            self.compared = compared.collect();
        }
        for (tool, (_, reserved)) in listing.tools.iter_mut().zip(&self.compared) {
            tool.reserved = *reserved;
        }
        Ok(())
    }

    /// What the upstream lists to a client that it may not send requests, asked in a session of its own.
    async fn plain_tools(&self, listing: &Listing) -> Result<HashSet<Box<str>>, Failure> {
        let session = match self.era {
            Era::Legacy => {
                let plain = Client::default();
                Some(handshake::open_own(&self.target, &plain, self.page_time()).await?)
            }
            Era::Modern => None,
        };
        let tie = match &session {
            Some(session) => Tie::Session(session.binding.clone()),
            None => Tie::Modern(listing.version),
        };
        let line = Line::own(Arc::clone(&self.target), tie);
        let tools_alone = ServerFlags {
            tools: true,
            ..ServerFlags::default()
        };
        let lists = listing::read(&line, tools_alone, self.page_time()).await;
        line.delete(FAREWELL).await;
        let [tools, ..] = lists?.items;
        Ok(tools.into_iter().map(|tool| tool.key).collect())
    }

    /// A watch for an upstream that declares this is running.
    fn watches(&self, flags: ServerFlags) -> bool {
        self.watch.as_ref().is_some_and(|watch| watch.flags() == flags)
    }

    fn page_time(&self) -> Duration {
        self.target.timeout().list
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

impl Agreed {
    fn legacy(target: &Arc<Target>, session: &Handshake) -> Self {
        Self {
            line: Line::own(Arc::clone(target), Tie::Session(session.binding.clone())),
            listing: Listing {
                version: session.binding.version,
                stateful: session.binding.id.is_some(),
                capabilities: session.capabilities.clone(),
                flags: session.flags,
                instructions: session.instructions.clone(),
                ..empty()
            },
        }
    }

    fn modern(target: &Arc<Target>, discovered: probe::Discovered) -> Self {
        Self {
            line: Line::own(Arc::clone(target), Tie::ModernCapable(discovered.version)),
            listing: Listing {
                version: discovered.version,
                stateful: false,
                capabilities: discovered.capabilities,
                flags: discovered.flags,
                instructions: discovered.instructions,
                ..empty()
            },
        }
    }
}

/// Who lists: a client that can do everything that upstreams ask of clients. It will not do it: what is asked in its
/// session is refused by `watch`.
fn capable() -> Client {
    Client {
        capabilities: CAPABLE.into(),
        ..Client::default()
    }
}

fn empty() -> Listing {
    Listing {
        version: Version::NEWEST_LEGACY,
        stateful: false,
        capabilities: "{}".into(),
        flags: ServerFlags::default(),
        instructions: None,
        tools: Vec::new(),
        prompts: Vec::new(),
        resources: Vec::new(),
        templates: Vec::new(),
        ttl_ms: 0,
        public: false,
    }
}

impl FreshEras {
    fn came_up(&self, era: Era) {
        let this = self.of(era);
        if !this.fresh.swap(true, Ordering::Relaxed) {
            this.came_up.notify_waiters();
        }
    }

    fn failed(&self, era: Era) {
        self.of(era).fresh.store(false, Ordering::Relaxed);
    }

    const fn other(&self, era: Era) -> &Freshness {
        match era {
            Era::Legacy => &self.modern,
            Era::Modern => &self.legacy,
        }
    }

    const fn of(&self, era: Era) -> &Freshness {
        match era {
            Era::Legacy => &self.legacy,
            Era::Modern => &self.modern,
        }
    }
}
