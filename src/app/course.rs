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

/// Reports taken in one go; one fold for all of them.
const BATCH: usize = 256;

/// The parts that follow each other in a fixed order.
pub(super) struct Course {
    pub(super) writer: Writer,
    pub(super) roster: Roster,
    pub(super) board: Arc<Board>,
    pub(super) desk: Arc<Desk>,
    pub(super) reports: mpsc::UnboundedReceiver<Report>,
}

impl Course {
    /// Discovers what is served, as it is served now.
    pub(super) fn discover(&mut self, config: &Config) {
        self.roster.follow(config, self.writer.inputs());
    }

    /// Waits for reports of discovery and takes them all. May be given up and called again.
    pub(super) async fn hear(&mut self) {
        let mut batch = Vec::new();
        self.reports.recv_many(&mut batch, BATCH).await;
        for report in batch {
            self.writer.report(report);
        }
        self.publish();
    }

    /// Other endpoints are served from now on; `kept` are catalogs for upstreams that nothing is known of. The snapshot
    /// that was in force until now comes back. Exchanges that run keep theirs.
    pub(super) fn serve(&mut self, config: &Config, drafts: Vec<Draft>, kept: HashMap<String, Kept>) -> Arc<Snapshot> {
        // What was said of upstreams as they were is taken while they still are; nothing is said between here and the
        // end of those who said it.
        while let Ok(report) = self.reports.try_recv() {
            self.writer.report(report);
        }
        self.writer.configure(drafts, kept);
        let before = self.publish();
        self.roster.follow(config, self.writer.inputs());
        before
    }

    /// What was folded comes into force, and clients that hold a stream open hear which lists have changed.
    pub(super) fn publish(&mut self) -> Arc<Snapshot> {
        let published = self.writer.publish();
        for news in published.news {
            self.desk.hub.tell(news.endpoint, news.legacy, news.modern);
        }
        for endpoint in published.closed {
            self.desk.hub.close(endpoint);
        }
        published.before
    }
}
