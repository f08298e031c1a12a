//! Ends what nobody uses: upstream sessions of idle gateway sessions, free ones of the pool, parked calls that nobody came
//! back for, expired sessions and ids.

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

/// For the sessions that nobody uses, when the gateway ends.
const FAREWELL: Duration = Duration::from_secs(1);

/// Sweeps until `stop`.
pub(super) async fn run(desk: Arc<Desk>, config: Arc<ArcSwap<Config>>, stop: CancellationToken) {
    loop {
        let (idle, parked) = {
            let session = &config.load().session;
            (session.idle, session.parked)
        };
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(PAUSE.min(idle.min(parked) / 2).max(Duration::from_millis(50))) => {}
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
        desk.binder.sweep(idle);
        desk.relay.sweep(idle);
        desk.throttle.sweep();
        desk.views.sweep();
        desk.parked
            .expire(now)
            .into_iter()
            .for_each(|parked| desk.give_up(parked));
    }
    for parked in desk.parked.clear() {
        parked
            .released()
            .into_iter()
            .for_each(|notice| desk.binder.notify(notice));
    }
    desk.binder.close_free(FAREWELL).await;
}
