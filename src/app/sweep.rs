//! Ends what nobody uses: upstream sessions of idle gateway sessions, expired sessions and ids.

use super::desk::{Desk, now};
use crate::engine::config::Config;
use crate::engine::exchange::step::Notice;
use crate::engine::session::{SessionStore, Timestamp};
use arc_swap::ArcSwap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// At most this long between two sweeps.
const PAUSE: Duration = Duration::from_secs(10);

/// Sweeps until `stop`.
pub(super) async fn run(desk: Arc<Desk>, config: Arc<ArcSwap<Config>>, stop: CancellationToken) {
    loop {
        let idle = config.load().session.idle;
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PAUSE.min(idle / 2).max(Duration::from_millis(50))) => {}
        }
        let now = now();
        let before = now
            .0
            .saturating_sub(u64::try_from(idle.as_millis()).unwrap_or(u64::MAX));
        let mut over = desk.store.take_idle(Timestamp(before));
        over.extend(desk.store.expire(now));
        for (upstream, binding) in over {
            desk.binder.notify(Notice::Close {
                upstream: upstream.into(),
                binding,
            });
        }
    }
}
