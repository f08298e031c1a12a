//! Follows the objects of one kind and tells what changed, through every interruption.
//!
//! The first complete list is announced by [`Seen::Complete`]; until every kind has been, nobody may conclude that an
//! object does not exist. After an interruption the objects that vanished meanwhile are told as gone. A kind that the
//! cluster does not know is complete and empty, and asked for again now and then.

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use kube::api::Resource;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, ResourceExt};
use serde::de::DeserializeOwned;
use std::collections::HashSet;
use std::fmt::Debug;
use std::pin::pin;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tracing::{info, warn};

/// Pause after a failure; doubled up to [`LONGEST`] while it lasts. An API server that comes back is noticed soon.
const SHORTEST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(3);
/// Pause before a kind that does not exist, or may not be read, is asked for again.
const ABSENT: Duration = Duration::from_secs(10);
/// A kind whose objects were seen counts as gone after so many refusals in a row.
const INSISTS: u32 = 3;
/// A watch is renewed after this many seconds, and given up when nothing was heard for longer.
const RENEWAL: u32 = 120;

/// One change.
#[derive(Debug)]
pub(super) enum Seen<T> {
    /// There, as it stands now.
    Object(T),
    /// Gone: namespace and name.
    Gone(String, String),
    /// Everything that is there has been told.
    Complete,
}

/// What a refusal of the API server means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Rights are missing that the controller cannot do without: nothing is complete.
    Waits,
    /// The controller does without this kind.
    Tolerated,
}

/// What is followed.
pub(super) struct Source<K> {
    /// Finds out where: a cluster may serve another version of a kind after a while.
    pub(super) api: Box<dyn Fn() -> BoxFuture<'static, Api<K>> + Send + Sync>,
    /// Only objects with these labels; empty: all.
    pub(super) labels: String,
    /// Only the one of this name; empty: all.
    pub(super) name: String,
    /// For logs.
    pub(super) kind: String,
    pub(super) refusal: Refusal,
}

/// Follows `source` until nobody listens any more.
pub(super) async fn follow<K, T>(source: Source<K>, out: mpsc::Sender<T>, tell: impl Fn(Seen<K>) -> Option<T>)
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let mut known = Known::default();
    let mut trouble = Trouble::new(source.kind);
    loop {
        let mut config = watcher::Config::default().timeout(RENEWAL);
        if !source.labels.is_empty() {
            config = config.labels(&source.labels);
        }
        if !source.name.is_empty() {
            config = config.fields(&format!("metadata.name={}", source.name));
        }
        let mut stream = pin!(watcher((source.api)().await, config));
        while let Some(event) = stream.next().await {
            let (pause, denied) = match &event {
                // Said before anything is asked.
                Ok(Event::Init) => (Duration::ZERO, false),
                Ok(_) => (trouble.over(), false),
                Err(error) => (trouble.pause(error), absent(error, source.refusal)),
            };
            let news = match event {
                Ok(event) => known.take(event),
                Err(_) if denied => known.none(trouble.refusals),
                Err(_) => Vec::new(),
            };
            for message in news.into_iter().filter_map(&tell) {
                if out.send(message).await.is_err() {
                    return;
                }
            }
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            if denied {
                break;
            }
        }
    }
}

/// True where the kind counts as empty: the cluster does not know it, or we may not see it and do without.
fn absent(error: &watcher::Error, refusal: Refusal) -> bool {
    match code(error) {
        Some(404) => true,
        Some(403) => refusal == Refusal::Tolerated,
        _ => false,
    }
}

fn code(error: &watcher::Error) -> Option<u16> {
    use watcher::Error::{InitialListFailed, NoResourceVersion, WatchError, WatchFailed, WatchStartFailed};
    match error {
        InitialListFailed(kube::Error::Api(status)) | WatchStartFailed(kube::Error::Api(status)) => Some(status.code),
        InitialListFailed(_) | WatchStartFailed(_) | WatchFailed(_) | WatchError(_) | NoResourceVersion => None,
    }
}

/// The objects that were told.
#[derive(Default)]
struct Known {
    all: HashSet<(String, String)>,
    /// Those of a new list that is not complete yet.
    listed: HashSet<(String, String)>,
    complete: bool,
}

// === impl Known ===

impl Known {
    fn take<K: Resource>(&mut self, event: Event<K>) -> Vec<Seen<K>> {
        match event {
            Event::Init => {
                self.listed.clear();
                Vec::new()
            }
            Event::InitApply(object) => {
                self.listed.insert(place(&object));
                self.all.insert(place(&object));
                vec![Seen::Object(object)]
            }
            Event::InitDone => self.vanished(),
            Event::Apply(object) => {
                self.all.insert(place(&object));
                vec![Seen::Object(object)]
            }
            Event::Delete(object) => {
                let (namespace, name) = place(&object);
                self.all.remove(&(namespace.clone(), name.clone()));
                vec![Seen::Gone(namespace, name)]
            }
        }
    }

    /// The API server denies the kind for the so-many-th time in a row. One that just started may do so for a moment:
    /// what was there goes away only when it insists.
    fn none<K>(&mut self, refusals: u32) -> Vec<Seen<K>> {
        if self.complete && refusals < INSISTS {
            return Vec::new();
        }
        self.listed.clear();
        self.vanished()
    }

    fn vanished<K>(&mut self) -> Vec<Seen<K>> {
        let listed = std::mem::take(&mut self.listed);
        let before = std::mem::replace(&mut self.all, listed);
        let gone = before.into_iter().filter(|place| !self.all.contains(place));
        let mut news: Vec<_> = gone.map(|(namespace, name)| Seen::Gone(namespace, name)).collect();
        if !std::mem::replace(&mut self.complete, true) {
            news.push(Seen::Complete);
        }
        news
    }
}

fn place<K: Resource>(object: &K) -> (String, String) {
    (object.namespace().unwrap_or_default(), object.name_any())
}

/// What is wrong with a watch, told once.
struct Trouble {
    kind: String,
    pause: Duration,
    since: Option<Instant>,
    /// In a row.
    refusals: u32,
}

// === impl Trouble ===

impl Trouble {
    const fn new(kind: String) -> Self {
        Self {
            kind,
            pause: SHORTEST,
            since: None,
            refusals: 0,
        }
    }

    fn over(&mut self) -> Duration {
        if let Some(since) = self.since.take() {
            info!(kind = %self.kind, seconds = since.elapsed().as_secs(), "Objects are followed again.");
        }
        self.pause = SHORTEST;
        self.refusals = 0;
        Duration::ZERO
    }

    fn pause(&mut self, error: &watcher::Error) -> Duration {
        let news = self.since.is_none();
        self.since.get_or_insert_with(Instant::now);
        let refused = matches!(code(error), Some(403 | 404));
        self.refusals = if refused { self.refusals.saturating_add(1) } else { 0 };
        match code(error) {
            Some(404) if news => info!(kind = %self.kind, "The cluster does not know this kind."),
            Some(403) if news => warn!(kind = %self.kind, "The API server does not let these objects be read."),
            _ if news => warn!(kind = %self.kind, %error, "Objects cannot be followed for now."),
            _ => {}
        }
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST);
        if refused { ABSENT } else { pause }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::Namespace;

    fn named(name: &str) -> Namespace {
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some(name.to_owned());
        namespace
    }

    fn told(known: &mut Known, event: Event<Namespace>) -> Vec<String> {
        let told = known.take(event).into_iter().map(|seen| match seen {
            Seen::Object(object) => format!("+{}", object.name_any()),
            Seen::Gone(_, name) => format!("-{name}"),
            Seen::Complete => "complete".to_owned(),
        });
        told.collect()
    }

    #[test]
    fn objects_that_vanished_during_an_interruption_are_gone() {
        let mut known = Known::default();
        assert!(told(&mut known, Event::Init).is_empty());
        assert_eq!(told(&mut known, Event::InitApply(named("a"))), ["+a"]);
        assert_eq!(told(&mut known, Event::InitApply(named("b"))), ["+b"]);
        assert_eq!(told(&mut known, Event::InitDone), ["complete"]);
        assert_eq!(told(&mut known, Event::Apply(named("c"))), ["+c"]);
        assert!(told(&mut known, Event::Init).is_empty());
        assert_eq!(told(&mut known, Event::InitApply(named("b"))), ["+b"]);
        let mut gone = told(&mut known, Event::InitDone);
        gone.sort();
        assert_eq!(gone, ["-a", "-c"], "complete is told once");
    }

    #[test]
    fn a_list_that_was_cut_short_removes_nothing() {
        let mut known = Known::default();
        told(&mut known, Event::InitApply(named("a")));
        told(&mut known, Event::InitDone);
        told(&mut known, Event::Init);
        told(&mut known, Event::InitApply(named("b")));
        told(&mut known, Event::Init);
        told(&mut known, Event::InitApply(named("a")));
        assert_eq!(told(&mut known, Event::InitDone), ["-b"]);
    }

    #[test]
    fn a_kind_that_goes_away_takes_its_objects_along() {
        let mut known = Known::default();
        told(&mut known, Event::InitApply(named("a")));
        told(&mut known, Event::InitDone);
        let early: Vec<Seen<Namespace>> = known.none(1);
        assert!(early.is_empty(), "an API server that just started may say so");
        let gone: Vec<Seen<Namespace>> = known.none(INSISTS);
        assert!(matches!(gone.as_slice(), [Seen::Gone(_, name)] if name == "a"));
    }

    #[test]
    fn a_deleted_object_is_gone_once() {
        let mut known = Known::default();
        told(&mut known, Event::InitApply(named("a")));
        told(&mut known, Event::InitDone);
        assert_eq!(told(&mut known, Event::Delete(named("a"))), ["-a"]);
        assert!(told(&mut known, Event::InitDone).is_empty());
    }
}
