//! What is known of the gateway for admin port, ready line and gauges, gathered in one place.

use crate::edge::upstream::Report;
use crate::engine::config::{self, Config};
use crate::engine::status::{GatewayStatus, Reason, UpstreamStatus};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// The board: written by the writer and the reload, read by everybody.
#[derive(Debug)]
pub(super) struct Board {
    /// Short critical sections without waiting: a row changes, a copy is taken.
    known: Mutex<Known>,
    /// Tells waiters that something changed.
    changed: watch::Sender<()>,
    started: Instant,
}

#[derive(Debug, Default)]
struct Known {
    generation: u64,
    config_error: Option<String>,
    first: Duration,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    status: UpstreamStatus,
    /// Listed or failed at least once, in both eras.
    tried: bool,
    /// Of the last fold.
    folded: Vec<String>,
}

impl Board {
    pub(super) fn new() -> Self {
        Self {
            known: Mutex::default(),
            changed: watch::channel(()).0,
            started: Instant::now(),
        }
    }

    /// A configuration is in force. Rows of upstreams that stay keep what is known.
    pub(super) fn configured(&self, config: &Config) {
        self.change(|known| {
            let mut old = std::mem::take(&mut known.rows);
            known.first = config.lists.first;
            for upstream in &config.upstreams {
                let fresh = row(upstream);
                let kept = old.iter().position(|row| {
                    row.status.name == upstream.name
                        && row.status.url == fresh.status.url
                        && row.status.enabled == upstream.enabled
                });
                let mut row = kept.map_or(fresh, |at| old.swap_remove(at));
                row.status.prefix.clone_from(&upstream.prefix);
                known.rows.push(row);
            }
        });
    }

    /// The configuration file on disk cannot be used, or can again.
    pub(super) fn config_error(&self, error: Option<String>) {
        self.change(|known| known.config_error = error);
    }

    /// Discovery said something. Last words about an upstream that is switched off by now are not heard.
    pub(super) fn reported(&self, report: &Report) {
        self.change(|known| {
            let mut rows = known.rows.iter_mut().filter(|row| row.status.enabled);
            if let Some(row) = rows.find(|row| row.status.name == *report.upstream) {
                fill(&mut row.status, report);
                row.tried = row.tried || report.settled;
            }
        });
    }

    /// An enabled upstream that cannot even be tried.
    pub(super) fn unusable(&self, upstream: &str, reason: Reason, error: String) {
        self.change(|known| {
            let mut rows = known.rows.iter_mut().filter(|row| row.status.enabled);
            if let Some(row) = rows.find(|row| row.status.name == upstream) {
                (row.status.ready, row.status.reason) = (false, reason);
                row.status.last_error = Some(error);
                row.tried = true;
            }
        });
    }

    /// A snapshot is in force.
    pub(super) fn folded(&self, generation: u64, warnings: &[(String, String)]) {
        self.change(|known| {
            known.generation = generation;
            for row in &mut known.rows {
                let own = warnings.iter().filter(|(name, _)| *name == row.status.name);
                row.folded = own.map(|(_, text)| text.clone()).collect();
            }
        });
    }

    /// The whole status; `sessions` is the store's knowledge.
    pub(super) fn status(&self, sessions: usize) -> GatewayStatus {
        let missing = self.missing();
        let known = self.lock();
        let upstreams = known.rows.iter().map(|row| {
            let mut status = row.status.clone();
            status.warnings.extend(row.folded.iter().cloned());
            status
        });
        GatewayStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ready: missing.is_empty(),
            generation: known.generation,
            sessions,
            config_error: known.config_error.clone(),
            upstreams: upstreams.collect(),
        }
    }

    /// Enabled upstreams that have neither been listed nor failed, while `lists.first` still runs. Empty: ready.
    pub(super) fn missing(&self) -> Vec<String> {
        let known = self.lock();
        if self.started.elapsed() >= known.first {
            return Vec::new();
        }
        let waiting = known.rows.iter().filter(|row| row.status.enabled && !row.tried);
        waiting
            .map(|row| format!("upstream {} is not listed yet", row.status.name))
            .collect()
    }

    /// Waits until nothing is missing.
    pub(super) async fn ready(&self) {
        let mut changes = self.changed.subscribe();
        loop {
            changes.mark_unchanged();
            if self.missing().is_empty() {
                return;
            }
            let rest = self.lock().first.saturating_sub(self.started.elapsed());
            // Either somebody reports, or the time is up.
            let _ = tokio::time::timeout(rest, changes.changed()).await;
        }
    }

    fn change(&self, change: impl FnOnce(&mut Known)) {
        change(&mut self.lock());
        self.changed.send_replace(());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn row(upstream: &config::Upstream) -> Row {
    let status = UpstreamStatus {
        name: upstream.name.clone(),
        prefix: upstream.prefix.clone(),
        url: shown(&upstream.url),
        enabled: upstream.enabled,
        ready: false,
        reason: if upstream.enabled {
            Reason::Pending
        } else {
            Reason::Disabled
        },
        eras: Vec::new(),
        protocol_version: None,
        tools: 0,
        prompts: 0,
        resources: 0,
        last_listed: None,
        last_error: None,
        warnings: Vec::new(),
    };
    Row {
        status,
        tried: false,
        folded: Vec::new(),
    }
}

fn fill(status: &mut UpstreamStatus, report: &Report) {
    status.ready = report.ready;
    status.reason = report.reason;
    status.eras.clone_from(&report.eras);
    status.protocol_version = report.version;
    (status.tools, status.prompts, status.resources) = (report.tools, report.prompts, report.resources);
    status.last_listed = report
        .last_listed
        .map(|at| humantime::format_rfc3339_seconds(at).to_string());
    status.last_error.clone_from(&report.last_error);
    status.warnings.clone_from(&report.warnings);
}

/// A URL without what may be secret in it.
fn shown(url: &url::Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::catalog::Catalog;
    use crate::engine::config::file::parse;
    use crate::engine::stream::Kinds;
    use std::path::Path;

    fn mk_config(enabled: bool) -> Config {
        let text = format!("upstreams: [{{name: a, url: 'http://a/', enabled: {enabled}}}]");
        parse(&text, Path::new("/etc"), Path::new("/state")).expect("valid")
    }

    fn mk_report() -> Report {
        Report {
            upstream: "a".into(),
            catalog: Catalog::default(),
            ready: true,
            reason: Reason::Ready,
            settled: true,
            eras: Vec::new(),
            version: None,
            tools: 3,
            prompts: 0,
            resources: 0,
            last_listed: None,
            last_error: None,
            warnings: Vec::new(),
            changed_legacy: Kinds::default(),
            changed_modern: Kinds::default(),
        }
    }

    fn only_row(board: &Board) -> UpstreamStatus {
        board.status(0).upstreams.remove(0)
    }

    #[test]
    fn what_is_known_outlives_a_reload() {
        let board = Board::new();
        board.configured(&mk_config(true));
        assert_eq!(only_row(&board).reason, Reason::Pending);
        board.reported(&mk_report());
        board.configured(&mk_config(true));
        assert_eq!(only_row(&board).tools, 3);
    }

    #[test]
    fn last_words_about_an_upstream_that_is_off_are_not_heard() {
        let board = Board::new();
        board.configured(&mk_config(true));
        board.reported(&mk_report());
        board.configured(&mk_config(false));
        board.reported(&mk_report());
        let row = only_row(&board);
        assert_eq!((row.ready, row.reason, row.tools), (false, Reason::Disabled, 0));
    }
}
