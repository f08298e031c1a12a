//! What the index wants of the outside: told once, when it has changed.

use super::Timestamp;
use super::object::Key;
use crate::edge::kube::plan::{self, Owner, Place};
use crate::engine::assignment::Assignment;
use gateway_api::httproutes::HttpRouteStatusParents;
use std::sync::Arc;

/// `controllerName` in the status of HTTPRoutes.
pub const CONTROLLER: &str = "mcp-manifold.dev/controller";

/// Everything that has changed since the last time.
#[derive(Debug, Default)]
pub struct Changes {
    /// What processors of a Gateway serve; `None`: the Gateway is no longer served.
    pub assignments: Vec<(Place, Option<Arc<Assignment>>)>,
    /// What is generated for a Gateway; `None`: nothing any more.
    pub plans: Vec<(Place, Option<Arc<plan::Gateway>>)>,
    /// Statuses to write.
    pub statuses: Vec<StatusChange>,
    /// Events to record.
    pub notes: Vec<Note>,
    /// Ask again then, even if nothing has happened: a grace ends.
    pub wake: Option<Timestamp>,
}

impl Changes {
    /// Whether there is nothing to do now.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.assignments.is_empty() && self.plans.is_empty() && self.statuses.is_empty() && self.notes.is_empty()
    }
}

/// A status that is not what the object shows.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusChange {
    /// The object.
    pub key: Key,
    /// The same, with version and uid.
    pub owner: Owner,
    /// What to write.
    pub status: Status,
}

/// What is written to a status subresource.
#[derive(Clone, Debug, PartialEq)]
pub enum Status {
    /// Everything this controller says, as the value of `status`: applied server-side, so that conditions of others stay.
    Applied(serde_json::Value),
    /// The entries of `status.parents` whose `controllerName` is this controller's, replacing those that are there; other
    /// controllers' entries stay. The list is atomic for the API server: read, changed and replaced at one
    /// resourceVersion.
    Parents(Vec<HttpRouteStatusParents>),
}

/// An event about an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The object.
    pub about: Owner,
    /// Whether somebody should look.
    pub weight: Weight,
    /// One word.
    pub reason: String,
    /// A sentence.
    pub message: String,
}

/// The type of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// As it should be.
    Normal,
    /// Not so.
    Warning,
}

impl Weight {
    /// The word in the event.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}
