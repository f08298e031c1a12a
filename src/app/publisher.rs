//! Everything that leads to a new snapshot, whoever asks for it: reports of discovery, other upstreams, other secrets.

use super::desk::Desk;
use super::endpoints::Draft;
use super::roster::Roster;
use super::status::Board;
use super::writer::Writer;
use crate::edge::upstream::{Kept, Report};
use crate::engine::config::Config;
use crate::engine::snapshot::Snapshot;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Reports taken in one go; one fold for all of them.
const BATCH: usize = 1024;

/// The parts that follow each other in a fixed order.
pub(super) struct Publisher {
    pub(super) writer: Writer,
    pub(super) roster: Roster,
    pub(super) board: Arc<Board>,
    pub(super) desk: Arc<Desk>,
    pub(super) reports: mpsc::UnboundedReceiver<Report>,
    /// Reports wait until then. A fold costs what all upstreams together weigh: as long as it took, twice, is left to
    /// others, and what is reported meanwhile is folded as one.
    pub(super) pause: Instant,
}

impl Publisher {
    /// Discovers what is served, as it is served now.
    pub(super) fn discover(&mut self, config: &Config) {
        self.roster.follow(config, self.writer.inputs());
    }

    /// Waits for reports of discovery and takes them all. May be given up and called again.
    pub(super) async fn hear(&mut self) {
        tokio::time::sleep_until(self.pause).await;
        let mut batch = Vec::new();
        self.reports.recv_many(&mut batch, BATCH).await;
        for report in batch {
            self.writer.report(&report);
        }
        self.publish();
    }

    /// Other endpoints are served from now on; `kept` are catalogs for upstreams that nothing is known of. The snapshot
    /// that was in force until now comes back. Exchanges that run keep theirs.
    pub(super) fn serve(&mut self, config: &Config, drafts: Vec<Draft>, kept: &HashMap<String, Kept>) -> Arc<Snapshot> {
        // What was said of upstreams as they were is taken while they still are; nothing is said between here and the
        // end of those who said it.
        while let Ok(report) = self.reports.try_recv() {
            self.writer.report(&report);
        }
        self.writer.configure(drafts, kept);
        let before = self.publish();
        self.roster.follow(config, self.writer.inputs());
        before
    }

    /// What was folded comes into force, and clients that hold a stream open hear which lists have changed.
    pub(super) fn publish(&mut self) -> Arc<Snapshot> {
        let begun = Instant::now();
        let published = self.writer.publish();
        let done = Instant::now();
        self.pause = done + (done - begun) * 2;
        for news in published.news {
            self.desk.hub.tell(news.endpoint, news.legacy, news.modern);
        }
        for endpoint in published.closed {
            self.desk.hub.close(endpoint);
        }
        published.before
    }
}
