//! What the admin port shows, gathered from the parts.

use super::desk::Desk;
use super::explain;
use super::status::Board;
use crate::edge::admin::Gateway;
use crate::edge::extproc::{Backroom, Health};
use crate::edge::upstream::Shelf;
use crate::engine::policy::{Explained, Question};
use crate::engine::session::SessionStore;
use crate::engine::status::{GatewayStatus, StateError, StatePart, ToolList};
use std::sync::Arc;
use std::time::Duration;

/// Envoy asks for our health every 2 s; one that was silent for this long is not there.
const SILENCE: Duration = Duration::from_secs(5);

/// The admin port's view.
pub(super) struct AdminPort {
    pub(super) board: Arc<Board>,
    pub(super) desk: Arc<Desk>,
    pub(super) shelf: Shelf,
    /// `up` only: ready needs an Envoy that was heard of lately.
    pub(super) envoy: Option<Health>,
}

impl AdminPort {
    fn state_errors(&self) -> Vec<StateError> {
        let error = |part| {
            let error = match part {
                StatePart::Sessions => self.desk.store.trouble(),
                StatePart::Catalogs => self.shelf.trouble(),
            };
            error.map(|error| StateError { part, error })
        };
        StatePart::ALL.into_iter().filter_map(error).collect()
    }
}

impl Gateway for AdminPort {
    fn missing(&self) -> Vec<String> {
        let mut missing = self.board.missing();
        if let Some(health) = &self.envoy {
            let silent = health.last_check().is_none_or(|at| at.elapsed() > SILENCE);
            if silent {
                missing.push("envoy has not asked for the processor's health in the last 5 s".to_owned());
            }
        }
        missing
    }

    fn status(&self) -> GatewayStatus {
        let mut status = self.board.status(self.desk.store.len());
        status.ready = self.missing().is_empty();
        status.state_errors = self.state_errors();
        status
    }

    fn tools(&self) -> ToolList {
        let snapshot = self.desk.snapshot();
        ToolList {
            tools: snapshot
                .endpoints
                .iter()
                .flat_map(|endpoint| endpoint.tools())
                .collect(),
        }
    }

    fn explain(&self, question: &Question) -> Result<Explained, String> {
        explain::explain(&self.desk.snapshot(), question)
    }

    fn metrics(&self) -> String {
        self.desk
            .telemetry
            .metrics()
            .observe(&self.status(), self.desk.bodies().used() + self.desk.replay().used());
        let metrics = self.desk.telemetry.metrics();
        metrics.observe_buckets(&self.desk.throttle.buckets());
        metrics.observe_callers(self.desk.views.len());
        self.desk.telemetry.scrape()
    }
}
