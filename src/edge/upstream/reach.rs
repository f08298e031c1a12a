//! Whether an upstream that is listed for each caller is there: nothing of what it lists is kept, or even asked for.
//!
//! In place of a [`super::Discovery`]. The gateway may have no credential of its own there: to be refused one is an answer.

use super::{Failure, PAUSES, Report, Settings, handshake, probe, survey};
use crate::edge::backoff::Backoff;
use crate::edge::http::Target;
use crate::engine::catalog::Catalog;
use crate::engine::mcp::Era;
use crate::engine::session::Client;
use crate::engine::status::Reason;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// See the module.
#[derive(Debug)]
pub struct Reach {
    /// Who is to be there.
    pub target: Arc<Target>,
    /// How often that is looked at.
    pub settings: watch::Receiver<Settings>,
    /// To the one writer.
    pub reports: mpsc::UnboundedSender<Report>,
}

impl Reach {
    /// Reports whatever changes, until cancelled.
    pub async fn run(mut self, cancel: CancellationToken) {
        tokio::select! {
            biased;
            () = cancel.cancelled() => {}
            () = self.look() => {}
        }
    }

    async fn look(&mut self) {
        let mut backoff = Backoff::new(PAUSES);
        let mut said = None;
        loop {
            let settings = *self.settings.borrow_and_update();
            let (report, pause) = match Box::pin(self.attempt()).await {
                Ok(()) => {
                    backoff.reset();
                    let pause = settings
                        .pulse
                        .map_or(settings.refresh, |pulse| pulse.min(settings.refresh));
                    (self.report(Reason::Ready, None), pause)
                }
                Err(failure) => (self.report(failure.reason(), Some(failure.line())), backoff.next_wait()),
            };
            if said.as_ref() != Some(&report) {
                if self.reports.send(report.clone()).is_err() {
                    return;
                }
                said = Some(report);
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                Ok(()) = self.settings.changed() => {}
                () = self.target.doubted() => tokio::time::sleep(BETWEEN).await,
            }
        }
    }

    /// Anything that a server of this kind may say to a stranger.
    async fn attempt(&self) -> Result<(), Failure> {
        let time = self.target.timeout().list;
        let modern = match self.target.is_asked_in(Era::Modern) {
            true => probe::discover(&self.target, time).await.map(drop),
            false => Err(Failure::NotAsked),
        };
        let failure = match modern {
            Ok(()) | Err(Failure::Unauthorized(_)) => return Ok(()),
            Err(failure) if !self.target.is_asked_in(Era::Legacy) => return Err(failure),
            Err(failure) => failure,
        };
        match handshake::open_own(&self.target, &Client::default(), time).await {
            Ok(session) => {
                survey::close(&self.target, session).await;
                Ok(())
            }
            Err(Failure::Unauthorized(_)) => Ok(()),
            Err(legacy) if legacy.not_spoken() && !failure.not_spoken() => Err(failure),
            Err(legacy) => Err(legacy),
        }
    }

    fn report(&self, reason: Reason, last_error: Option<String>) -> Report {
        let name = Arc::clone(self.target.name());
        Report {
            settled: true,
            last_error,
            warnings: vec![FOR_CALLERS.to_owned()],
            ..Report::of(name, Catalog::default(), reason)
        }
    }
}

/// What its row in status says besides.
const FOR_CALLERS: &str = "listed for each caller: what it lists is not counted here";

/// An upstream that is doubted by many at once is looked at once.
const BETWEEN: Duration = Duration::from_millis(500);
