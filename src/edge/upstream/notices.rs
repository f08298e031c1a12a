//! Carries out what nobody waits for: the end of upstream sessions, cancelled calls, log levels.
//!
//! Bounded in number and time. One task, owned by `app`; what is still queued when it ends is dropped, because upstreams
//! end idle sessions themselves.

use super::line::{Line, SMALL, Tie};
use crate::edge::http::Target;
use crate::engine::exchange::step::Notice;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// At once, of each upstream: one that is slow holds up nobody else's.
const TOGETHER: usize = 32;
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

/// What is to be told to one upstream.
#[derive(Default)]
struct Lane {
    /// On their way.
    under_way: usize,
    waiting: VecDeque<Errand>,
}

impl Lane {
    /// The next one, if it may go now.
    fn next(&mut self) -> Option<Errand> {
        let errand = (self.under_way < TOGETHER)
            .then(|| self.waiting.pop_front())
            .flatten()?;
        self.under_way += 1;
        Some(errand)
    }
}

impl Notices {
    /// Runs until cancelled.
    pub async fn run(mut self, cancel: CancellationToken) {
        let mut lanes: HashMap<Arc<str>, Lane> = HashMap::new();
        let mut work = FuturesUnordered::new();
        let mut open = true;
        while open || !work.is_empty() {
            let name = tokio::select! {
                () = cancel.cancelled() => break,
                errand = self.queue.recv(), if open => match errand {
                    Some(errand) => {
                        let name = Arc::clone(errand.0.name());
                        lanes.entry(Arc::clone(&name)).or_default().waiting.push_back(errand);
                        name
                    }
                    None => {
                        open = false;
                        continue;
                    }
                },
                Some(name) = work.next() => {
                    lanes.entry(Arc::clone(&name)).or_default().under_way -= 1;
                    name
                }
            };
            let lane = lanes.entry(Arc::clone(&name)).or_default();
            match lane.next() {
                Some((target, notice)) => work.push(async move {
                    carry_out(target, notice).await;
                    name
                }),
                None if lane.under_way == 0 => drop(lanes.remove(&name)),
                None => {}
            }
        }
        let overtime = async { while work.next().await.is_some() {} };
        let _ = tokio::time::timeout(FAREWELL, overtime).await;
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
        // Hearsay, and what the session map remembers: not passed on here.
        Notice::Changed { .. } | Notice::Delegated { .. } | Notice::Refreshed { .. } | Notice::Spent(_) => return,
    };
    let line = Line::new(target, Tie::Session(binding.clone()));
    match &notice {
        Notice::Relist { .. }
        | Notice::Changed { .. }
        | Notice::Delegated { .. }
        | Notice::Refreshed { .. }
        | Notice::Spent(_) => {}
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::mcp::Version;
    use crate::engine::session::Binding;
    use crate::engine::snapshot::testing::{mk_inputs, mk_upstream};
    use tokio::io::{AsyncBufReadExt, BufReader};
    use tokio::net::TcpListener;

    async fn mk_target(name: &str) -> (TcpListener, Arc<Target>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/mcp", listener.local_addr().expect("an address"));
        let upstream = mk_upstream(name).config(|config| config.url = url.parse().expect("a URL"));
        let inputs = mk_inputs(&[upstream]);
        let target = Target::new(&inputs[0].config, None).expect("it can be called");
        (listener, Arc::new(target))
    }

    fn mk_close(target: &Arc<Target>) -> Errand {
        let binding = Binding {
            id: Some("s".into()),
            ..Binding::stateless(Version::NEWEST_LEGACY)
        };
        let upstream = Arc::clone(target.name());
        (Arc::clone(target), Notice::Close { upstream, binding })
    }

    #[tokio::test]
    async fn an_upstream_that_hangs_holds_up_nobody_else() {
        let (_never_accepts, slow) = mk_target("slow").await;
        let (listener, quick) = mk_target("quick").await;
        let (sender, queue) = mpsc::unbounded_channel();
        for _ in 0..3 * TOGETHER {
            sender.send(mk_close(&slow)).expect("somebody reads");
        }
        sender.send(mk_close(&quick)).expect("somebody reads");
        let cancel = CancellationToken::new();
        let running = tokio::spawn(Notices { queue }.run(cancel.clone()));
        let heard = async {
            let (stream, _) = listener.accept().await.expect("a connection");
            let mut line = String::new();
            BufReader::new(stream).read_line(&mut line).await.expect("a line");
            line
        };
        let line = tokio::time::timeout(TIME / 2, heard)
            .await
            .expect("before the others are given up");
        assert!(line.starts_with("DELETE /mcp"), "{line}");
        cancel.cancel();
        running.await.expect("it ends");
    }

    #[tokio::test]
    async fn it_ends_with_its_queue_once_all_is_told() {
        let (listener, target) = mk_target("one").await;
        let (sender, queue) = mpsc::unbounded_channel();
        for _ in 0..2 * TOGETHER {
            sender.send(mk_close(&target)).expect("somebody reads");
        }
        drop((sender, listener));
        let run = Notices { queue }.run(CancellationToken::new());
        tokio::time::timeout(2 * TIME, run)
            .await
            .expect("nothing is left to do");
    }
}
