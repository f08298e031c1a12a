//! Watches the public keys of issuers, beside Envoy, which verifies with them.
//!
//! Envoy never lets go of the keys that it got last, and does not tell how old they are. So they are fetched here too,
//! from the same place and as often: keys that could not be had for longer than `jwks.keepLastGood` are no ground to let
//! anybody in, and a key that its issuer has taken back is known as such. Only the configured URL is ever asked, a
//! redirect is no answer. When they were had last is kept on disk: a restart begins where the process before has ended.

mod document;
mod kept;

use crate::edge::backoff::{Backoff, Bounds};
use crate::edge::http::{HttpError, Target, TargetError};
use crate::engine::config::{Authority, Config, Jwks, Timeouts, Upstream};
use crate::engine::policy::{Standing, Standings};
use document::Unusable;
use futures_util::future::join_all;
use http::{HeaderMap, HeaderValue};
use kept::Kept;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use url::Url;

/// For connecting, and for the whole answer.
const CONNECT: Duration = Duration::from_secs(5);
const TIME: Duration = Duration::from_secs(10);
/// Bytes of an answer.
const MAX_BYTES: usize = 1 << 20;
/// Between failures; never longer than `refresh`.
const BOUNDS: Bounds = Bounds {
    shortest: Duration::from_millis(500),
    first: Duration::from_secs(2),
    longest: Duration::from_secs(60),
};
/// Keys that were taken back so long ago that this many followed them sign no token that has not expired.
const MOST_RETIRED: usize = 64;
/// What is written down may be this much older than what is known.
const WRITE: Duration = Duration::from_secs(60);

/// What is known of the keys of one issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerKeys {
    /// As tokens say it.
    pub issuer: Arc<str>,
    /// What follows for its tokens.
    pub standing: Standing,
    /// How many keys there were last.
    pub keys: usize,
    /// When they were had last.
    pub fetched: Option<SystemTime>,
    /// Why they cannot be had, if the last attempt failed.
    pub error: Option<String>,
    /// Attempts that failed, since the start.
    pub failures: u64,
}

/// The watchers of all issuers whose keys are at a URL.
#[derive(Debug)]
pub struct Keysets {
    watchers: Vec<Watcher>,
    known: watch::Sender<Vec<IssuerKeys>>,
}

/// Why keys cannot be had. Shows no URL: its query may be secret.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("HTTP status {0}")]
    Status(u16),
    #[error("the answer {0}")]
    Unusable(#[from] Unusable),
}

/// Looks after one issuer.
#[derive(Debug)]
struct Watcher {
    /// Its place in what is known.
    at: usize,
    issuer: Arc<str>,
    url: Url,
    refresh: Duration,
    keep: Duration,
    ca: Option<Authority>,
    file: kept::File,
    /// What was had last, and when, as far as this process can tell.
    last: Option<Kept>,
    /// When that is too old. In the past: it is.
    lapses: Instant,
    written: Option<Instant>,
}

impl Keysets {
    /// For these issuers; nothing is asked yet. What an earlier process had counts for the rest of its time. Needs a
    /// runtime.
    #[must_use]
    pub fn open(config: &Config) -> Self {
        let folder = config.state_dir.join("jwks");
        let issuers = config.authentication.iter().flat_map(|section| &section.jwt);
        let mut watchers: Vec<Watcher> = Vec::new();
        let mut known = Vec::new();
        for issuer in issuers {
            let Jwks::Url { url, refresh, keep, ca } = &issuer.jwks else {
                continue;
            };
            let watcher = Watcher::open(
                watchers.len(),
                &issuer.issuer,
                url,
                *refresh,
                *keep,
                ca.clone(),
                &folder,
            );
            known.push(watcher.begin());
            watchers.push(watcher);
        }
        Self {
            watchers,
            known: watch::Sender::new(known),
        }
    }

    /// What is known, and all news of it.
    #[must_use]
    pub fn known(&self) -> watch::Receiver<Vec<IssuerKeys>> {
        self.known.subscribe()
    }

    /// Watches until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let Self { watchers, known } = self;
        let all = join_all(watchers.into_iter().map(|watcher| watcher.run(&known)));
        tokio::select! {
            () = stop.cancelled() => {}
            // There is none, or it never ends.
            _ = all => stop.cancelled().await,
        }
    }
}

/// What follows for tokens.
#[must_use]
pub fn standings(known: &[IssuerKeys]) -> Standings {
    let each = known.iter();
    each.map(|keys| ((*keys.issuer).into(), keys.standing.clone()))
        .collect()
}

// === impl Watcher ===

impl Watcher {
    fn open(
        at: usize,
        issuer: &str,
        url: &Url,
        refresh: Duration,
        keep: Duration,
        ca: Option<Authority>,
        folder: &Path,
    ) -> Self {
        let file = kept::File::of(folder, issuer, url);
        let last = file.read();
        let now = Instant::now();
        // A clock that went back says nothing about how old they are.
        let age = last.as_ref().and_then(|kept| kept.fetched.elapsed().ok());
        Self {
            at,
            issuer: issuer.into(),
            url: url.clone(),
            refresh,
            keep,
            ca,
            file,
            last,
            lapses: now + age.map_or(Duration::ZERO, |age| keep.saturating_sub(age)),
            written: None,
        }
    }

    fn begin(&self) -> IssuerKeys {
        let last = self.last.as_ref();
        IssuerKeys {
            issuer: Arc::clone(&self.issuer),
            standing: Standing {
                lapsed: self.lapses <= Instant::now(),
                retired: last.map(|kept| kept.retired.clone()).unwrap_or_default(),
            },
            keys: last.map_or(0, |kept| kept.keys.len()),
            fetched: last.map(|kept| kept.fetched),
            error: None,
            failures: 0,
        }
    }

    async fn run(mut self, known: &watch::Sender<Vec<IssuerKeys>>) {
        let mut backoff = Backoff::new(BOUNDS);
        let mut target = None;
        let mut wait = Duration::ZERO;
        loop {
            let mut fetched = {
                let mut attempt = pin!(async {
                    tokio::time::sleep(wait).await;
                    self.fetch(&mut target).await
                });
                loop {
                    let lapsed = known.borrow().get(self.at).is_none_or(|keys| keys.standing.lapsed);
                    tokio::select! {
                        biased;
                        fetched = &mut attempt => break fetched,
                        () = tokio::time::sleep_until(self.lapses), if !lapsed => self.lapse(known),
                    }
                }
            };
            wait = match &mut fetched {
                Ok(keys) => {
                    self.good(std::mem::take(keys), known);
                    backoff.reset();
                    self.refresh
                }
                Err(error) => {
                    // Its certificate authority may be another one by then.
                    target = None;
                    self.failed(error, known);
                    backoff.next_wait_within(self.refresh)
                }
            };
        }
    }

    async fn fetch(&self, target: &mut Option<Target>) -> Result<Vec<Box<str>>, FetchError> {
        let target = match target {
            Some(target) => target,
            None => target.insert(self.target()?),
        };
        let mut headers = HeaderMap::new();
        headers.insert("accept", HeaderValue::from_static("application/json"));
        let asking = async {
            let response = target.fetch(headers, TIME).await?;
            match response.status() {
                200 => Ok(document::keys(&response.collect(MAX_BYTES, TIME).await?)?),
                status => Err(FetchError::Status(status)),
            }
        };
        tokio::time::timeout(TIME, asking)
            .await
            .unwrap_or(Err(FetchError::Http(HttpError::TimedOut(TIME))))
    }

    fn target(&self) -> Result<Target, TargetError> {
        let timeout = Timeouts {
            connect: CONNECT,
            call: TIME,
            list: TIME,
        };
        let place = Upstream::elsewhere("issuer", self.url.clone(), self.ca.clone(), timeout);
        Target::new(&place, None)
    }

    fn good(&mut self, keys: Vec<Box<str>>, known: &watch::Sender<Vec<IssuerKeys>>) {
        let now = Instant::now();
        let before = self.last.take();
        let kept = Kept::after(before.as_ref(), keys, SystemTime::now(), MOST_RETIRED);
        self.lapses = now + self.keep;
        let news = before.is_none_or(|before| before.keys != kept.keys);
        if news || self.written.is_none_or(|at| now - at >= WRITE.min(self.keep / 8)) {
            match self.file.write(&kept) {
                Ok(()) => self.written = Some(now),
                Err(error) => warn!(issuer = %self.issuer, %error, "When keys were had last cannot be written down."),
            }
        }
        known.send_modify(|all| {
            let Some(keys) = all.get_mut(self.at) else { return };
            if keys.standing.lapsed || keys.error.is_some() {
                info!(issuer = %self.issuer, keys = kept.keys.len(), "Keys of an issuer are there.");
            }
            keys.standing = Standing {
                lapsed: false,
                retired: kept.retired.clone(),
            };
            keys.keys = kept.keys.len();
            keys.fetched = Some(kept.fetched);
            keys.error = None;
        });
        self.last = Some(kept);
    }

    fn failed(&self, error: &FetchError, known: &watch::Sender<Vec<IssuerKeys>>) {
        known.send_modify(|all| {
            let Some(keys) = all.get_mut(self.at) else { return };
            if keys.error.is_none() {
                let serving = !keys.standing.lapsed;
                warn!(issuer = %self.issuer, %error, serving, "Keys of an issuer cannot be fetched.");
            }
            keys.error = Some(error.to_string());
            keys.failures += 1;
        });
    }

    fn lapse(&self, known: &watch::Sender<Vec<IssuerKeys>>) {
        known.send_modify(|all| {
            let Some(keys) = all.get_mut(self.at) else { return };
            keys.standing.lapsed = true;
            let keep = humantime::format_duration(self.keep);
            error!(issuer = %self.issuer, %keep, error = keys.error, "Keys of an issuer are too old: its tokens do not count any more.");
        });
    }
}

#[cfg(test)]
mod tests;
