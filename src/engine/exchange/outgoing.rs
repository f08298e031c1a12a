//! Calls to upstreams: what every way of making one has in common.
//!
//! Here is the call itself; beside it whose turn it is among several (`calls`, `gather`), what speaks for the caller
//! (`delegate`), the tie to the upstream and the way that the call goes (`tie`), which headers go and come (`heading`), what
//! to make of the answer's head (`verdict`), and what is remembered of it (`subscribe`).

pub(super) mod calls;
pub(super) mod delegate;
pub(super) mod gather;
pub(super) mod heading;
pub(super) mod subscribe;
pub(super) mod tie;
pub(super) mod verdict;

use crate::engine::mcp::params::ParamHeaders;
use crate::engine::session::{Delegation, Wanted};
use crate::engine::snapshot::Upstream;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// A call ready to be made, once the tie to the upstream is known.
#[derive(Debug, Clone)]
pub(super) struct Outgoing {
    /// To whom.
    pub(super) upstream: Arc<Upstream>,
    /// Spliced.
    pub(super) body: Bytes,
    /// The upstream's own name, where it was spliced.
    pub(super) renamed: Option<Arc<str>>,
    /// The arguments of a tool that a modern upstream wants mirrored into headers; who translates computes them.
    pub(super) params: ParamHeaders,
    /// The answer may name tasks of one of several upstreams: their ids must be rewritten.
    pub(super) tasks: bool,
    /// How long the upstream may take.
    pub(super) patience: Patience,
    /// What is remembered of the session once the upstream has agreed: the URI as the upstream knows it.
    pub(super) subscription: Option<(Arc<str>, Wanted)>,
    /// What speaks for the caller; see `delegate`.
    pub(super) delegation: Delegation,
}

/// How long an upstream may be silent until response headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// `timeout.call`
    Usual,
    /// Others are asked too.
    Brief,
    /// As long as a task takes (`tasks/result`).
    Endless,
}

/// See [`Patience::Brief`].
const BRIEF: Duration = Duration::from_secs(10);

impl Outgoing {
    /// Until response headers; `None`: for as long as the client waits.
    pub(super) fn deadline(&self) -> Option<Duration> {
        match self.patience {
            Patience::Usual => Some(self.upstream.call_timeout),
            Patience::Brief => Some(self.upstream.call_timeout.min(BRIEF)),
            Patience::Endless => None,
        }
    }
}

/// Who answers, and what the client called it.
#[derive(Debug)]
pub(super) struct Routed {
    /// The calls to try in turn: one, or several when an unknown resource is asked around.
    pub(super) calls: Vec<Outgoing>,
    /// All of them are to be asked, and their answers to become one.
    pub(super) gather: bool,
    /// Exposed name or URI, for log and messages.
    pub(super) name: Option<Arc<str>>,
}
