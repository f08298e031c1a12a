//! What is known of the gateway for admin port, ready line and gauges, gathered in one place.

use crate::edge::identity::IssuerKeys;
use crate::edge::upstream::Report;
use crate::engine::config;
use crate::engine::snapshot::fold::UpstreamInput;
use crate::engine::status::{GatewayStatus, IssuerStatus, Reason, UpstreamStatus};
use std::collections::HashMap;
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
    /// How long readiness waits for the first listing.
    first: Duration,
}

#[derive(Debug, Default)]
struct Known {
    generation: u64,
    config_error: Option<String>,
    /// Since when there is something to serve.
    since: Option<Instant>,
    rows: Vec<Row>,
    issuers: Vec<IssuerStatus>,
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
    /// Nothing is served yet; once it is, readiness waits for `first`.
    pub(super) fn new(first: Duration) -> Self {
        Self {
            known: Mutex::default(),
            changed: watch::channel(()).0,
            first,
        }
    }

    /// These upstreams are served from now on. Rows of those that stay keep what is known.
    pub(super) fn configured<'a>(&self, upstreams: impl Iterator<Item = &'a UpstreamInput>) {
        self.change(|known| {
            let old = std::mem::take(&mut known.rows).into_iter();
            let mut old: HashMap<String, Row> = old.map(|row| (row.status.name.clone(), row)).collect();
            for upstream in upstreams.map(|input| &input.config) {
                let fresh = row(upstream);
                let kept = old
                    .remove(&upstream.name)
                    .filter(|row| row.status.url == fresh.status.url && row.status.enabled == upstream.enabled);
                let mut row = kept.unwrap_or(fresh);
                row.status.prefix.clone_from(&upstream.prefix);
                known.rows.push(row);
            }
        });
    }

    /// What was configured is what is to be served: readiness waits for its upstreams from now on.
    pub(super) fn begun(&self) {
        self.change(|known| {
            known.since.get_or_insert_with(Instant::now);
        });
    }

    /// The configuration file on disk cannot be used, or can again.
    pub(super) fn config_error(&self, error: Option<String>) {
        self.change(|known| known.config_error = error);
    }

    /// How the keys of issuers are.
    pub(super) fn issuers(&self, known: &[IssuerKeys]) {
        let rows = known.iter().map(issuer).collect();
        self.change(|known| known.issuers = rows);
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

    /// A snapshot is in force; folding it gave these warnings: upstream, text.
    pub(super) fn folded<'a>(&self, generation: u64, warnings: impl Iterator<Item = &'a (String, String)>) {
        let mut of: HashMap<&str, Vec<String>> = HashMap::new();
        for (name, text) in warnings {
            of.entry(name).or_default().push(text.clone());
        }
        self.change(|known| {
            known.generation = generation;
            for row in &mut known.rows {
                row.folded = of.remove(row.status.name.as_str()).unwrap_or_default();
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
            // The board knows of no files.
            state_errors: Vec::new(),
            upstreams: upstreams.collect(),
            issuers: known.issuers.clone(),
        }
    }

    /// What is to be served, while nobody has said it; then enabled upstreams that have neither been listed nor failed,
    /// and issuers whose keys were neither fetched nor refused, while `lists.first` still runs. Empty: ready.
    pub(super) fn missing(&self) -> Vec<String> {
        let known = self.lock();
        match known.since {
            None => return vec!["nothing was assigned yet".to_owned()],
            Some(since) if since.elapsed() >= self.first => return Vec::new(),
            Some(_) => {}
        }
        let waiting = known.rows.iter().filter(|row| row.status.enabled && !row.tried);
        let waiting = waiting.map(|row| format!("upstream {} is not listed yet", row.status.name));
        let untried = |keys: &&IssuerStatus| !keys.usable && keys.last_error.is_none();
        let issuers = known.issuers.iter().filter(untried);
        let issuers = issuers.map(|keys| format!("keys of issuer {} are not there yet", keys.issuer));
        waiting.chain(issuers).collect()
    }

    /// Told of every change.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Waits until nothing is missing.
    pub(super) async fn ready(&self) {
        let mut changes = self.changed.subscribe();
        loop {
            changes.mark_unchanged();
            if self.missing().is_empty() {
                return;
            }
            let since = self.lock().since;
            let rest = since.map_or(Duration::MAX, |since| self.first.saturating_sub(since.elapsed()));
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

fn issuer(known: &IssuerKeys) -> IssuerStatus {
    IssuerStatus {
        issuer: known.issuer.to_string(),
        usable: !known.standing.lapsed,
        keys: known.keys,
        last_fetched: known
            .fetched
            .map(|at| humantime::format_rfc3339_seconds(at).to_string()),
        failures: known.failures,
        last_error: known.error.clone(),
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

    fn mk_board() -> Board {
        Board::new(Duration::from_secs(2))
    }

    fn configure(board: &Board, enabled: bool) {
        let text = format!("upstreams: [{{name: a, url: 'http://a/', enabled: {enabled}}}]");
        let config = parse(&text, Path::new("/etc"), Path::new("/state")).expect("valid");
        let inputs = config.upstreams.into_iter().map(|upstream| UpstreamInput {
            config: upstream.into(),
            credential: None,
            catalog: Catalog::default(),
        });
        board.configured(inputs.collect::<Vec<_>>().iter());
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
        let board = mk_board();
        configure(&board, true);
        assert_eq!(only_row(&board).reason, Reason::Pending);
        board.reported(&mk_report());
        configure(&board, true);
        assert_eq!(only_row(&board).tools, 3);
    }

    #[test]
    fn last_words_about_an_upstream_that_is_off_are_not_heard() {
        let board = mk_board();
        configure(&board, true);
        board.reported(&mk_report());
        configure(&board, false);
        board.reported(&mk_report());
        let row = only_row(&board);
        assert_eq!((row.ready, row.reason, row.tools), (false, Reason::Disabled, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_gateway_without_an_assignment_is_not_ready_however_long_it_waits() {
        let board = mk_board();
        let waiting = tokio::time::timeout(Duration::from_secs(3600), board.ready()).await;
        assert!(waiting.is_err());
        assert_eq!(board.missing(), ["nothing was assigned yet"]);
        board.begun();
        assert!(board.missing().is_empty(), "nothing is a thing to serve, too");
    }
}
