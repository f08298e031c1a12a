//! Follows a registry: one assignment after the other comes into force, or is refused and changes nothing.

use super::publisher::Publisher;
use super::{endpoints, folder};
use crate::edge::registry::Assigned;
use crate::edge::upstream::Shelf;
use crate::engine::assignment::Assignment;
use crate::engine::config::Config;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

/// The one that follows.
pub(super) struct FollowRegistry {
    /// What assignments leave open.
    pub(super) base: Arc<Config>,
    pub(super) publisher: Publisher,
    pub(super) assigned: mpsc::Receiver<Assigned>,
    /// Where catalogs of an earlier life are; taken for the first assignment.
    pub(super) shelf: Option<Shelf>,
}

impl FollowRegistry {
    /// Follows until `stop`; then ends the discoveries. Without a registry, what is in force stays so.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut told = true;
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.publisher.hear() => {}
                assigned = self.assigned.recv(), if told => match assigned {
                    Some(assigned) => self.obey(assigned),
                    None => told = false,
                },
            }
        }
        self.publisher.roster.ended().await;
    }

    fn obey(&mut self, assigned: Assigned) {
        let Assigned {
            version,
            assignment,
            verdict,
        } = assigned;
        let taken = self.take(version, &assignment);
        if let Err(reason) = &taken {
            error!(version, reason, "Assignment is refused; what was in force stays so.");
        }
        // Nobody waits for it any more: nothing depends on it here.
        let _ = verdict.send(taken);
    }

    fn take(&mut self, version: u64, assignment: &Assignment) -> Result<(), String> {
        let began = Instant::now();
        let drafts = endpoints::of_assignment(assignment, &self.base).map_err(|refusal| refusal.to_string())?;
        let kept = self
            .shelf
            .take()
            .map_or_else(HashMap::new, |shelf| folder::catalogs(&shelf, &drafts));
        let (endpoints, upstreams) = (assignment.endpoints.len(), assignment.upstreams.len());
        self.publisher.serve(&self.base, drafts, &kept);
        self.publisher.board.begun();
        let milliseconds = began.elapsed().as_millis();
        info!(version, endpoints, upstreams, milliseconds, "Assignment is in force.");
        Ok(())
    }
}
