//! The task list: every task has a name and an ending; one that ends too early ends the program.
//!
//! Two tokens: `drain` tells those who serve to let running exchanges finish; `stop` tells the others, which are needed
//! until then, that nobody is served any more.

use anyhow::Context;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

/// After everybody was told to stop.
const PATIENCE: Duration = Duration::from_secs(3);

/// The running tasks.
#[derive(Default)]
pub(super) struct Tasks {
    serving: JoinSet<Ending>,
    assisting: JoinSet<Ending>,
    drain: CancellationToken,
    stop: CancellationToken,
}

type Ending = (&'static str, anyhow::Result<()>);

impl Tasks {
    /// Cancelled: finish what runs, take nothing new.
    pub(super) const fn drain(&self) -> &CancellationToken {
        &self.drain
    }

    /// Cancelled: end.
    pub(super) const fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Runs a task that serves exchanges.
    pub(super) fn serve(
        &mut self,
        name: &'static str,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        self.serving.spawn(async move { (name, task.await) });
    }

    /// Runs a task that those who serve need.
    pub(super) fn assist(
        &mut self,
        name: &'static str,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        self.assisting.spawn(async move { (name, task.await) });
    }

    /// Resolves when a task ends that nobody asked to.
    pub(super) async fn lost(&mut self) -> anyhow::Error {
        let ended = tokio::select! {
            Some(ended) = self.serving.join_next() => ended,
            Some(ended) = self.assisting.join_next() => ended,
        };
        match ended {
            Ok((name, Ok(()))) => anyhow::anyhow!("task {name} ended by itself"),
            Ok((name, Err(error))) => error.context(format!("task {name} failed")),
            Err(panic) => anyhow::Error::new(panic).context("a task panicked"),
        }
    }

    /// Drains: those who serve finish, then the others end.
    pub(super) async fn end(mut self) -> anyhow::Result<()> {
        self.drain.cancel();
        let served = Self::wait(&mut self.serving).await;
        self.stop.cancel();
        let assisted = tokio::time::timeout(PATIENCE, Self::wait(&mut self.assisting)).await;
        if assisted.is_err() {
            self.assisting.abort_all();
        }
        info!("Everything has ended.");
        served.and(assisted.unwrap_or(Ok(())))
    }

    async fn wait(tasks: &mut JoinSet<Ending>) -> anyhow::Result<()> {
        let mut outcome = Ok(());
        while let Some(ended) = tasks.join_next().await {
            let result = match ended {
                Ok((name, result)) => result.with_context(|| format!("task {name}")),
                Err(panic) => Err(panic.into()),
            };
            if let Err(problem) = result {
                error!(error = format!("{problem:#}"), "A task did not end well.");
                outcome = outcome.and(Err(problem));
            }
        }
        outcome
    }
}
