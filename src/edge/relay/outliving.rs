//! Calls that go on after their client has left: a legacy client that disconnects has not cancelled, but a modern upstream
//! would take the end of its stream for just that.
//!
//! Bounded in number and time; each is dropped at the client's cancel. A gateway that ends waits for them as for running
//! exchanges, then drops what is left.

use super::CallStream;
use futures_util::StreamExt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

/// At once, in the whole process.
const TOGETHER: usize = 1024;
/// For each: nobody will ever see its answer.
const TIME: Duration = Duration::from_secs(600);

/// Keeps such calls running.
#[derive(Clone, Debug)]
pub struct Outliving {
    runtime: Handle,
    room: Arc<Semaphore>,
}

impl Outliving {
    /// Runs them on `runtime`, at most as long as that.
    #[must_use]
    pub fn new(runtime: Handle) -> Self {
        Self {
            runtime,
            room: Arc::new(Semaphore::new(TOGETHER)),
        }
    }

    /// Waits until none is left, for so long at most.
    pub async fn ended(&self, grace: Duration) {
        // Whoever has all permits knows that nobody else has one.
        let all = u32::try_from(TOGETHER).unwrap_or(u32::MAX);
        if tokio::time::timeout(grace, self.room.acquire_many(all)).await.is_err() {
            tracing::info!("Calls whose clients left are cut.");
        }
    }

    /// Reads `call` to its end, or until `cancelled` is ready. Where there is no room for it, it is dropped at once.
    pub fn keep(&self, mut call: CallStream, cancelled: impl Future<Output = ()> + Send + 'static) {
        let Ok(permit) = Arc::clone(&self.room).try_acquire_owned() else {
            tracing::debug!("A call whose client left is cancelled: there are too many.");
            return;
        };
        let cancelled: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(cancelled);
        self.runtime.spawn(async move {
            let _permit = permit;
            let to_the_end = async { while call.next().await.is_some() {} };
            tokio::select! {
                () = to_the_end => {}
                () = cancelled => {}
                () = tokio::time::sleep(TIME) => {}
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::exchange::CallEvent;
    use tokio::sync::{mpsc, oneshot};

    fn mk_call() -> (mpsc::UnboundedSender<CallEvent>, CallStream) {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let call = futures_util::stream::poll_fn(move |context| receiver.poll_recv(context));
        (sender, Box::pin(call))
    }

    #[tokio::test]
    async fn a_call_is_read_until_its_client_cancels() {
        let outliving = Outliving::new(Handle::current());
        let (upstream, call) = mk_call();
        let (cancel, cancelled) = oneshot::channel::<()>();
        outliving.keep(call, async {
            let _ = cancelled.await;
        });
        upstream.send(CallEvent::End).expect("it is still read");
        cancel.send(()).expect("waited for");
        upstream.closed().await;
        assert_eq!(outliving.room.available_permits(), TOGETHER);
    }

    #[tokio::test(start_paused = true)]
    async fn a_gateway_that_ends_waits_for_them_but_not_for_ever() {
        let outliving = Outliving::new(Handle::current());
        let (upstream, call) = mk_call();
        outliving.keep(call, std::future::pending());
        let began = tokio::time::Instant::now();
        outliving.ended(Duration::from_secs(20)).await;
        assert_eq!(began.elapsed(), Duration::from_secs(20), "it still runs");
        drop(upstream);
        outliving.ended(Duration::from_secs(20)).await;
        assert_eq!(began.elapsed(), Duration::from_secs(20), "it is over");
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_is_given_up_in_the_end() {
        let outliving = Outliving::new(Handle::current());
        let (upstream, call) = mk_call();
        outliving.keep(call, std::future::pending());
        let began = tokio::time::Instant::now();
        upstream.closed().await;
        assert_eq!(began.elapsed(), TIME);
    }
}
