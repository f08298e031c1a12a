//! The discovery of one upstream: two keepers, one per era, and what they mean together.
//!
//! One task per upstream, owned by `app`, ended by its token. A changed upstream (URL, credential, timeouts) gets a new
//! discovery with a new [`Target`]; the old one is cancelled. Nothing here waits for another upstream.

use super::keeper::{FreshEras, Keeper, State};
use super::{Failure, Hearsay, Kept, Report, Shelf};
use crate::edge::http::Target;
use crate::engine::catalog::{Catalog, Listing};
use crate::engine::mcp::Era;
use crate::engine::status::Reason;
use crate::engine::stream::Kinds;
use futures_util::future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// `lists:` of the configuration, as far as discovery needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// List again this often.
    pub refresh: Duration,
    /// Show the items of a dead upstream this long after it was last listed; from an earlier life: after the start.
    pub keep_last_good: Duration,
    /// A server that says nothing by itself is asked this often whether it is still there, and one that is not whether it
    /// is back. `None`: that is found out by calls, and at the next listing.
    pub pulse: Option<Duration>,
}

/// See the module.
#[derive(Debug)]
pub struct Discovery {
    /// Whom to discover.
    pub target: Arc<Target>,
    /// How often. A change means a new listing at once.
    pub settings: watch::Receiver<Settings>,
    /// Where good catalogs are kept; what it holds is shown until the first listing.
    pub shelf: Option<Shelf>,
    /// What is shown now, by an earlier discovery of the same server: it stays until the first listing.
    pub shown: Catalog,
    /// What clients' sessions hear of its lists.
    pub hearsay: Hearsay,
    /// To the one writer.
    pub reports: mpsc::UnboundedSender<Report>,
}

impl Discovery {
    /// Reports at once what is known beforehand, then whatever changes, until cancelled. Then ends its session, 1 s at
    /// most.
    pub async fn run(self, cancel: CancellationToken) {
        let kept = self.known().await;
        let (out, states) = mpsc::unbounded_channel();
        let eras = Arc::new(FreshEras::default());
        let keeper = |era| {
            let kept = kept.as_ref().and_then(|kept| kept.catalog.listing(era)).map(Arc::clone);
            let settings = self.settings.clone();
            Keeper::new(
                era,
                &self.target,
                settings,
                &eras,
                kept,
                self.hearsay.clone(),
                out.clone(),
            )
        };
        let mut legacy = keeper(Era::Legacy);
        let mut modern = keeper(Era::Modern);
        let mut ledger = Ledger::new(&self, kept);
        let work = future::join3(legacy.run(), modern.run(), ledger.keep(states));
        tokio::select! {
            // Once cancelled, it says nothing more: somebody else may speak for this name by now.
            biased;
            () = cancel.cancelled() => {}
            _ = work => {}
        }
        legacy.close().await;
    }

    /// What an earlier discovery has found, or an earlier life has left on the shelf.
    async fn known(&self) -> Option<Kept> {
        let kept = self.load().await;
        if self.shown.is_empty() {
            return kept;
        }
        // Perhaps it was not written yet.
        let listed = kept.map_or_else(SystemTime::now, |kept| kept.listed);
        Some(Kept {
            catalog: self.shown.clone(),
            listed,
        })
    }

    async fn load(&self) -> Option<Kept> {
        let shelf = self.shelf.clone()?;
        let target = Arc::clone(&self.target);
        let loaded = tokio::task::spawn_blocking(move || shelf.load(&target)).await;
        match loaded {
            Ok(Ok(kept)) => kept,
            Ok(Err(error)) => {
                tracing::warn!(upstream = %self.target.name(), %error, "Last good catalog is not used.");
                None
            }
            Err(_) => None,
        }
    }
}

/// What both eras are at, and what was said and saved of them.
struct Ledger<'a> {
    discovery: &'a Discovery,
    legacy: State,
    modern: State,
    listed: Option<SystemTime>,
    said: Option<Report>,
    saved: Option<Catalog>,
    /// Lists that the upstream said have changed, in the legacy and in the modern era; not reported yet.
    changed: (Kinds, Kinds),
}

impl<'a> Ledger<'a> {
    fn new(discovery: &'a Discovery, kept: Option<Kept>) -> Self {
        let listed = kept.as_ref().map(|kept| kept.listed);
        let catalog = kept.map(|kept| kept.catalog);
        let pending = |era| {
            State::Pending(
                catalog
                    .as_ref()
                    .and_then(|catalog| catalog.listing(era))
                    .map(Arc::clone),
            )
        };
        Self {
            discovery,
            legacy: pending(Era::Legacy),
            modern: pending(Era::Modern),
            listed,
            said: None,
            saved: catalog,
            changed: <(Kinds, Kinds)>::default(),
        }
    }

    /// Takes the states of both eras as they come; ends when nobody wants reports any more.
    async fn keep(&mut self, mut states: mpsc::UnboundedReceiver<(Era, State)>) {
        if !self.report() {
            return;
        }
        while let Some((era, state)) = states.recv().await {
            let fresh = self.note(era, state);
            if !self.report() {
                return;
            }
            if fresh {
                self.save().await;
            }
        }
    }

    /// True: there is something new worth keeping.
    fn note(&mut self, era: Era, state: State) -> bool {
        let name = self.discovery.target.name();
        let fresh = match &state {
            State::Fresh { at, listing, said, .. } => {
                self.listed = Some(*at);
                let changed = match era {
                    Era::Legacy => &mut self.changed.0,
                    Era::Modern => &mut self.changed.1,
                };
                *changed = changed.or(*said);
                tracing::debug!(upstream = %name, era = era.as_str(), tools = listing.tools.len(), "Upstream listed.");
                true
            }
            State::Failing { failure, .. } => {
                tracing::debug!(upstream = %name, era = era.as_str(), %failure, "Listing failed.");
                false
            }
            State::Pending(_) => false,
        };
        match era {
            Era::Legacy => self.legacy = state,
            Era::Modern => self.modern = state,
        }
        fresh
    }

    /// False: nobody listens.
    fn report(&mut self) -> bool {
        let (changed_legacy, changed_modern) = std::mem::take(&mut self.changed);
        let report = Report {
            changed_legacy,
            changed_modern,
            ..self.make_report()
        };
        if self.said.as_ref() == Some(&report) {
            return !self.discovery.reports.is_closed();
        }
        // What it said of its lists is news each time.
        self.said = Some(Report {
            changed_legacy: Kinds::default(),
            changed_modern: Kinds::default(),
            ..report.clone()
        });
        self.discovery.reports.send(report).is_ok()
    }

    async fn save(&mut self) {
        let catalog = self.catalog();
        let Some(shelf) = &self.discovery.shelf else { return };
        if self.saved.as_ref() == Some(&catalog) {
            return;
        }
        let target = &self.discovery.target;
        let kept = Kept {
            catalog: catalog.clone(),
            listed: self.listed.unwrap_or(SystemTime::UNIX_EPOCH),
        };
        match shelf.save(target, kept).await {
            Ok(()) => self.saved = Some(catalog),
            Err(error) => tracing::warn!(upstream = %target.name(), %error, "Catalog was not saved."),
        }
    }

    fn catalog(&self) -> Catalog {
        Catalog {
            legacy: shown(&self.legacy, &self.modern).map(Arc::clone),
            modern: shown(&self.modern, &self.legacy).map(Arc::clone),
        }
    }

    fn make_report(&self) -> Report {
        let (reason, last_error, mut warnings) = judge(&self.legacy, &self.modern);
        for (era, state) in [(Era::Legacy, &self.legacy), (Era::Modern, &self.modern)] {
            if let State::Fresh { warnings: odd, .. } = state {
                warnings.extend(odd.iter().map(|odd| format!("{}: {odd}", era.as_str())));
            }
        }
        let name = Arc::clone(self.discovery.target.name());
        Report {
            settled: !matches!(self.legacy, State::Pending(_)) && !matches!(self.modern, State::Pending(_)),
            last_listed: self.listed,
            last_error,
            warnings,
            ..Report::of(name, self.catalog(), reason)
        }
    }
}

/// What is shown of an era. An upstream that has said no to it, and is listed in the other one, has changed sides: its
/// clients are served by translation at once, and not by calls that would fail for as long as its old items are kept.
fn shown<'a>(state: &'a State, other: &State) -> Option<&'a Arc<Listing>> {
    let left = matches!(state, State::Failing { failure, .. } if failure.not_spoken());
    let listed = matches!(other, State::Fresh { .. });
    state.listing().filter(|_| !(left && listed))
}

/// What two eras mean together: the reason, the last error, and what is odd about one of them.
fn judge(legacy: &State, modern: &State) -> (Reason, Option<String>, Vec<String>) {
    match (legacy, modern) {
        (State::Fresh { .. }, State::Fresh { .. } | State::Pending(_)) | (State::Pending(_), State::Fresh { .. }) => {
            (Reason::Ready, None, Vec::new())
        }
        (State::Fresh { .. }, State::Failing { failure, kept }) => {
            (Reason::Ready, None, one_era(Era::Legacy, failure, kept.is_some()))
        }
        (State::Failing { failure, kept }, State::Fresh { .. }) => {
            (Reason::Ready, None, one_era(Era::Modern, failure, kept.is_some()))
        }
        (State::Failing { failure: old, .. }, State::Failing { failure: new, .. }) => {
            let telling = more_telling(old, new);
            let shown = legacy.listing().is_some() || modern.listing().is_some();
            let warnings = shown.then(|| "what it listed last is still shown".to_owned());
            (telling.reason(), Some(telling.line()), warnings.into_iter().collect())
        }
        (State::Failing { .. } | State::Pending(_), State::Pending(_)) | (State::Pending(_), State::Failing { .. }) => {
            (Reason::Pending, None, Vec::new())
        }
    }
}

/// The other era failed, this one is listed: worth a word unless the upstream simply does not speak it.
fn one_era(fresh: Era, failure: &Failure, kept: bool) -> Vec<String> {
    let (this, other) = (fresh.as_str(), fresh.other().as_str());
    let text = if failure.not_spoken() {
        return Vec::new();
    } else if kept {
        format!("{other}: {failure}; what it listed before is still shown")
    } else {
        format!("listed only as {this}: calls of {other} clients are translated ({other}: {failure})")
    };
    vec![text]
}

/// "Does not speak this era" says less than anything else; initialize is known to every server that is old enough.
const fn more_telling<'a>(legacy: &'a Failure, modern: &'a Failure) -> &'a Failure {
    if legacy.not_spoken() && !modern.not_spoken() {
        modern
    } else {
        legacy
    }
}

impl State {
    const fn listing(&self) -> Option<&Arc<Listing>> {
        match self {
            Self::Fresh { listing, .. } => Some(listing),
            Self::Pending(kept) | Self::Failing { kept, .. } => kept.as_ref(),
        }
    }
}
