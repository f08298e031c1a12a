//! What the gateway itself has to say to upstreams: finding out what they offer, and holding sessions with them.
//!
//! - [`Discovery`]: one task per upstream. Probes both eras, lists, watches for changes, sends a [`Report`].
//! - [`Binder`]: opens, checks and closes upstream sessions on behalf of clients.
//! - [`Hub`]: the streams that clients hold open, and those of upstreams that feed them.
//! - [`Views`]: what upstreams list for each caller, where that differs.
//! - [`Shelf`]: the last good catalogs on disk.
//!
//! ```text
//! Discovery ─┬─ Keeper (legacy) ── handshake ─┐
//!            └─ Keeper (modern) ── probe ─────┼─ listing, watch ── line, answer ── http::Target
//! Binder ───────────────────────── handshake ─┘
//! ```
//!
//! Calls of clients are not made here: Envoy or `relay` makes them.

mod answer;
mod binder;
mod discovery;
mod disk;
mod failure;
mod handshake;
mod hearsay;
mod hub;
mod keeper;
mod line;
mod listing;
mod notices;
mod pool;
mod probe;
mod pulse;
mod reach;
mod report;
pub mod span;
mod survey;
mod views;
mod watch;

pub use binder::Binder;
pub use discovery::{Discovery, Settings};
pub use disk::{Kept, Shelf, ShelfError};
pub use failure::Failure;
pub use hearsay::Hearsay;
pub use hub::{Bodies, Hub};
pub use notices::Notices;
pub use reach::Reach;
pub use report::Report;
pub use views::{Allowance, Look, Views};

use crate::edge::backoff::Bounds;
use std::time::Duration;

/// Before an upstream that failed is tried again.
const PAUSES: Bounds = Bounds {
    shortest: Duration::from_millis(500),
    first: Duration::from_secs(1),
    longest: Duration::from_secs(30),
};
