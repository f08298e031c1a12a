//! Asks a server that was listed again and again whether it is still there.
//!
//! For those that say nothing by themselves: a stream that breaks tells sooner, a call that fails tells too. One question
//! that is not answered proves nothing; two in a row do.

use super::Failure;
use super::line::{Line, SMALL};
use super::watch::News;
use crate::engine::stream::Kinds;
use std::time::Duration;

/// For one answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Until the second question.
const AGAIN: Duration = Duration::from_millis(500);

/// The pulse of one server in one era.
#[derive(Debug)]
pub(super) struct Pulse {
    pub(super) line: Line,
    /// What is asked; any answer will do.
    pub(super) method: &'static str,
    /// Between two questions.
    pub(super) every: Duration,
}

/// What one question tells.
enum Beat {
    There,
    Silent(Failure),
    News(News),
}

impl Pulse {
    /// Waits until the server is not there, or not as it was.
    ///
    /// # Errors
    /// Why there was no answer.
    pub(super) async fn lost(&self) -> Result<News, Failure> {
        loop {
            tokio::time::sleep(self.every).await;
            match self.beat().await {
                Beat::There => continue,
                Beat::News(news) => return Ok(news),
                Beat::Silent(_) => tokio::time::sleep(AGAIN).await,
            }
            match self.beat().await {
                Beat::There => {}
                Beat::News(news) => return Ok(news),
                Beat::Silent(failure) => return Err(failure),
            }
        }
    }

    async fn beat(&self) -> Beat {
        let Err(failure) = self.line.request(self.method, "", SMALL, PATIENCE).await else {
            return Beat::There;
        };
        if self.line.has_session() && failure.session_may_be_lost() {
            return Beat::News(News::SessionLost);
        }
        match failure {
            Failure::Http(_) | Failure::Broken { .. } => Beat::Silent(failure),
            Failure::Unauthorized(_) => Beat::News(News::Changed(Kinds::default())),
            // It answers, and was listed.
            Failure::Refused { .. }
            | Failure::Redirects(_)
            | Failure::NotMcp(_)
            | Failure::Version(_)
            | Failure::NoModernVersion
            | Failure::OtherVersion { .. }
            | Failure::NotAsked => Beat::There,
        }
    }
}
