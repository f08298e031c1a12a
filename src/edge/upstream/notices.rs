//! Carries out what nobody waits for: the end of upstream sessions, cancelled calls, log levels.
//!
//! Bounded in number and time. One task, owned by `app`; what is still queued when it ends is dropped, because upstreams
//! end idle sessions themselves.

use super::line::{Line, SMALL, Tie};
use crate::edge::http::Target;
use crate::engine::exchange::step::Notice;
use futures_util::StreamExt;
use futures_util::stream;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// At once.
const TOGETHER: usize = 64;
/// For each.
const TIME: Duration = Duration::from_secs(5);
/// For those on their way when the gateway ends.
const FAREWELL: Duration = Duration::from_secs(1);

/// The receiving end of [`super::Binder::notify`].
#[derive(Debug)]
pub struct Notices {
    pub(super) queue: mpsc::UnboundedReceiver<Errand>,
}

/// A notice and the upstream as it was when the notice was given: it is heard there even if its configuration changes.
pub(super) type Errand = (Arc<Target>, Notice);

impl Notices {
    /// Runs until cancelled.
    pub async fn run(self, cancel: CancellationToken) {
        let Self { queue } = self;
        let queue = stream::unfold(queue, |mut queue| async move { Some((queue.recv().await?, queue)) });
        let until = Box::pin(cancel.clone().cancelled_owned());
        let work = queue
            .take_until(until)
            .for_each_concurrent(TOGETHER, |(target, notice)| carry_out(target, notice));
        let overtime = async {
            cancel.cancelled().await;
            tokio::time::sleep(FAREWELL).await;
        };
        tokio::select! {
            () = work => {}
            () = overtime => {}
        }
    }
}

/// Carries one out; what takes too long is given up.
pub(super) async fn carry_out(target: Arc<Target>, notice: Notice) {
    let _ = tokio::time::timeout(TIME, attempt(target, notice)).await;
}

async fn attempt(target: Arc<Target>, notice: Notice) {
    let binding = match &notice {
        Notice::Close { binding, .. }
        | Notice::Return { binding, .. }
        | Notice::Level { binding, .. }
        | Notice::Cancelled { binding, .. }
        | Notice::Tell { binding, .. } => binding,
        Notice::Relist { .. } => return target.doubt(),
        // Hearsay, which is not passed on here.
        Notice::Changed { .. } => return,
    };
    let line = Line::new(target, Tie::Session(binding.clone()));
    match &notice {
        Notice::Relist { .. } | Notice::Changed { .. } => {}
        // One that is given back comes here only if there is no room for it.
        Notice::Close { .. } | Notice::Return { .. } => line.delete(TIME).await,
        Notice::Level { level, .. } => {
            let members = format!(r#""level":"{}""#, level.as_str());
            // Many upstreams know no levels.
            if let Err(failure) = line.request("logging/setLevel", &members, SMALL, TIME).await {
                tracing::debug!(upstream = %line.target().name(), %failure, "Log level was not taken.");
            }
        }
        Notice::Tell { message, .. } => {
            if !line.say(message.clone(), TIME).await {
                tracing::debug!(upstream = %line.target().name(), "Message of a client was not taken.");
            }
        }
        Notice::Cancelled { id, .. } => {
            let members = format!(r#""requestId":{id},"reason":"timed out or left by its client""#);
            if let Err(failure) = line.notify("notifications/cancelled", &members, TIME).await {
                tracing::debug!(upstream = %line.target().name(), %failure, "Cancel was not taken.");
            }
        }
    }
}
