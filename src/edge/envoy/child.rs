//! Envoy as our child: started, awaited, restarted when it dies, drained, and never left behind.
//!
//! Its log lines become ours. What it serves is not looked at: the processor's health service tells that Envoy is
//! alive.

use super::binary;
use super::process::{ChildOptions, Process, StartError};
use std::time::Duration;
use tokio::time::{self, Instant};

/// A crashed Envoy is started again after this long, the next time after twice as long, and so on.
const BACKOFF: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(10)];
/// An Envoy that lived so long is not to blame for the crash before.
const SETTLED: Duration = Duration::from_secs(30);

/// A running Envoy. Dropped, it is killed.
#[derive(Debug)]
pub struct Envoy {
    options: ChildOptions,
    process: Process,
}

impl Envoy {
    /// Starts Envoy and waits until its listeners are open.
    ///
    /// # Errors
    /// It cannot be started, cannot bind, or refuses its bootstrap.
    pub async fn start(options: ChildOptions) -> Result<Self, StartError> {
        let (process, version) = tokio::join!(Process::start(&options), binary::version(&options.binary));
        let process = process?;
        match version.map_err(StartError::Spawn)? {
            Some(version) if binary::is_supported(&version) => {}
            version => tracing::warn!(
                version = version.as_deref().unwrap_or("unknown"),
                tried = binary::VERSION,
                "This Envoy is not the release that mcp-manifold was tried on."
            ),
        }
        Ok(Self { options, process })
    }

    /// Process id; changes with a restart. `None`: it has ended.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.process.id()
    }

    /// Keeps Envoy running until `shutdown`, then drains it: returns when it is gone.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        tokio::pin!(shutdown);
        let mut pause = BACKOFF[0];
        loop {
            let began = Instant::now();
            tokio::select! {
                () = &mut shutdown => return self.process.drain(&self.options).await,
                status = self.process.ended() => tracing::error!(%status, "Envoy died, it is started again."),
            }
            if began.elapsed() >= SETTLED {
                pause = BACKOFF[0];
            }
            tokio::select! {
                () = &mut shutdown => return,
                () = self.revive(&mut pause) => {}
            }
        }
    }

    async fn revive(&mut self, pause: &mut Duration) {
        loop {
            time::sleep(*pause).await;
            *pause = (*pause * 2).min(BACKOFF[1]);
            match Process::start(&self.options).await {
                Ok(process) => {
                    self.process = process;
                    tracing::info!("Envoy runs again.");
                    return;
                }
                Err(error) => tracing::error!(%error, "Envoy could not be started again."),
            }
        }
    }
}
