//! What the processors of each Gateway have said of its upstreams, and what was found on the way there: by probes of the
//! routes, by the registry, by the API server.
//!
//! A processor that is gone, and one that has not come back to a new controller yet, are given a grace: what they said, or
//! what the objects show, counts until it ends. So a rolling update is no outage in the status.

use super::Timestamp;
use super::denial::Denial;
use super::road::Road;
use crate::engine::assignment::{Report, Told};
use crate::engine::config;
use crate::engine::status::{Reason, UpstreamStatus};
use k8s_openapi::jiff::SignedDuration;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// What is known of one Gateway's processors.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    processors: BTreeMap<Arc<str>, Processor>,
    /// What probes found of the routes to upstreams.
    roads: HashMap<String, Road>,
    /// Upstreams that cannot be told to processors, and why.
    unsent: BTreeMap<Arc<str>, String>,
    /// Why nothing of the newest assignment is told to processors.
    unassigned: Option<String>,
    /// Generated objects that the API server refuses.
    denials: Vec<Denial>,
}

#[derive(Debug, Default)]
struct Processor {
    state: State,
    refused: Option<String>,
    upstreams: HashMap<String, UpstreamStatus>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Its stream is open.
    #[default]
    Here,
    /// It went since the last look at the clock.
    Leaving,
    /// It went then.
    Left(Timestamp),
}

/// Whom a message is about.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Concerns {
    /// Only these upstreams.
    Upstreams(Vec<String>),
    /// Everything on the Gateway.
    All,
}

/// What the processors together say of one upstream.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Finding {
    /// No processor is there to say anything.
    NoProcessor,
    /// Nobody has said anything that fits how it is called now.
    Silent,
    /// At least one has it listed; the fullest report of those.
    Ready(Box<UpstreamStatus>),
    /// None has; the most telling report.
    Failing(Box<UpstreamStatus>),
}

impl Heard {
    /// Takes the message in.
    pub(crate) fn take(&mut self, told: Told) -> Concerns {
        match told {
            Told::Connected { processor } => {
                let entry = self.processors.entry(processor).or_default();
                entry.state = State::Here;
                entry.refused = None;
                Concerns::All
            }
            Told::Accepted { processor, version: _ } => {
                let entry = self.processors.entry(processor).or_default();
                let was_refused = entry.refused.take().is_some();
                if was_refused {
                    Concerns::All
                } else {
                    Concerns::Upstreams(Vec::new())
                }
            }
            Told::Refused {
                processor,
                version: _,
                reason,
            } => {
                self.processors.entry(processor).or_default().refused = Some(reason);
                Concerns::All
            }
            Told::Report(report) => self.report(report),
            Told::Unsent { upstreams, whole } => {
                self.unsent = upstreams;
                self.unassigned = whole;
                Concerns::All
            }
            Told::Gone { processor } => {
                if let Some(entry) = self.processors.get_mut(&processor) {
                    entry.state = State::Leaving;
                }
                Concerns::All
            }
        }
    }

    fn report(&mut self, report: Report) -> Concerns {
        let entry = self.processors.entry(report.processor).or_default();
        let named = report.upstreams.into_iter().map(|status| (status.name.clone(), status));
        let before = std::mem::replace(&mut entry.upstreams, named.collect());
        let after = &entry.upstreams;
        let changed = after.iter().filter(|(name, status)| before.get(*name) != Some(*status));
        let gone = before.keys().filter(|name| !after.contains_key(*name));
        Concerns::Upstreams(changed.map(|(name, _)| name).chain(gone).cloned().collect())
    }

    /// A probe found this. True where that is news.
    pub(crate) fn probed(&mut self, upstream: &str, road: Option<Road>) -> bool {
        let Some(road) = road else {
            return self.roads.remove(upstream).is_some();
        };
        let news = self.roads.get(upstream) != Some(&road);
        self.roads.insert(upstream.to_owned(), road);
        news
    }

    /// The API server refuses these and no others. True where that is news.
    pub(crate) fn denied(&mut self, denials: Vec<Denial>) -> bool {
        let news = self.denials != denials;
        self.denials = denials;
        news
    }

    /// Generated objects that the API server refuses.
    #[must_use]
    pub(crate) fn denials(&self) -> &[Denial] {
        &self.denials
    }

    /// Why an upstream cannot be told to processors.
    #[must_use]
    pub(crate) fn unsent(&self, upstream: &str) -> Option<&str> {
        self.unsent.get(upstream).map(String::as_str)
    }

    /// What probes have found of the route to an upstream.
    #[must_use]
    pub(crate) fn road(&self, upstream: &str) -> Option<&Road> {
        self.roads.get(upstream)
    }

    /// Lets go of processors whose grace has ended. Returns whether any was, and when the next grace ends.
    pub(crate) fn settle(&mut self, now: Timestamp, grace: SignedDuration) -> (bool, Option<Timestamp>) {
        let end = |left: Timestamp| left.checked_add(grace).unwrap_or(Timestamp::MAX);
        for processor in self.processors.values_mut() {
            if processor.state == State::Leaving {
                processor.state = State::Left(now);
            }
        }
        let before = self.processors.len();
        self.processors.retain(|_, processor| match processor.state {
            State::Here | State::Leaving => true,
            State::Left(left) => end(left) > now,
        });
        let next = self.processors.values().filter_map(|processor| match processor.state {
            State::Here | State::Leaving => None,
            State::Left(left) => Some(end(left)),
        });
        (self.processors.len() != before, next.min())
    }

    /// How many have their stream open.
    #[must_use]
    pub(crate) fn connected(&self) -> usize {
        self.processors.values().filter(|one| one.state == State::Here).count()
    }

    /// Whether any is there, or was a moment ago.
    #[must_use]
    pub(crate) fn any(&self) -> bool {
        !self.processors.is_empty()
    }

    /// Why the newest assignment is not in force everywhere: a sentence.
    #[must_use]
    pub(crate) fn refusal(&self) -> Option<String> {
        if let Some(reason) = &self.unassigned {
            return Some(format!("the configuration cannot be told to processors: {reason}"));
        }
        let here = self.processors.iter().filter(|(_, one)| one.state == State::Here);
        let mut refusals = here.filter_map(|(name, one)| Some((name, one.refused.as_deref()?)));
        let (processor, reason) = refusals.next()?;
        Some(format!("processor {processor} refused the configuration: {reason}"))
    }

    /// What they say of this upstream. A report that speaks of another URL or prefix is of an earlier assignment.
    #[must_use]
    pub(crate) fn of(&self, upstream: &config::Upstream) -> Finding {
        if self.processors.is_empty() {
            return Finding::NoProcessor;
        }
        let url = shown(&upstream.url);
        let reports = self.reports(&upstream.name);
        let fitting = reports.filter(|report| {
            report.prefix == upstream.prefix && report.enabled == upstream.enabled && report.url == url
        });
        let telling = |report: &&UpstreamStatus| (report.ready, report.reason != Reason::Pending, report.tools);
        match fitting.max_by_key(telling) {
            None => Finding::Silent,
            Some(report) if report.ready => Finding::Ready(Box::new(report.clone())),
            Some(report) => Finding::Failing(Box::new(report.clone())),
        }
    }

    fn reports(&self, upstream: &str) -> impl Iterator<Item = &UpstreamStatus> {
        let all = self.processors.values();
        all.filter_map(|one| one.upstreams.get(upstream))
    }

    /// Whether a processor has it ready, as it is called now or was called before. Cheaper than [`Heard::of`].
    #[must_use]
    pub(crate) fn may_be_ready(&self, upstream: &str) -> bool {
        self.reports(upstream).any(|report| report.ready)
    }

    /// How many processors have it ready, and how many speak of it.
    #[must_use]
    pub(crate) fn share(&self, upstream: &str) -> (usize, usize) {
        let mut share = (0, 0);
        for report in self.reports(upstream) {
            share.0 += usize::from(report.ready);
            share.1 += 1;
        }
        share
    }
}

/// As a status shows a URL: without user info and query.
fn shown(url: &url::Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // Both fail only for URLs without a host.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.to_string()
}
