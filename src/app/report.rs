//! Tells a registry how upstreams are, whenever that changes.

use super::status::Board;
use crate::engine::status::UpstreamStatus;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Changes come in bursts.
const PAUSE: Duration = Duration::from_millis(50);

/// Tells until `stop`.
pub(super) async fn run(board: &Board, out: watch::Sender<Arc<Vec<UpstreamStatus>>>, stop: CancellationToken) {
    let mut changes = board.changes();
    loop {
        changes.mark_unchanged();
        let now = board.status(0).upstreams;
        out.send_if_modified(|told| {
            let news = **told != now;
            if news {
                *told = Arc::new(now);
            }
            news
        });
        let next = async {
            // The board outlives this loop.
            let _ = changes.changed().await;
            tokio::time::sleep(PAUSE).await;
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = next => {}
        }
    }
}
