//! One processor's stream, the controller's side: tells it the newest version, hears its verdicts and reports.
//!
//! It is polled as the response's body and has no task of its own. One update is under way at a time: versions that come
//! meanwhile are told as one. An unlucky reader slows down nobody but itself.

use super::certificate::{Identity, Peer};
use super::ledger::{Place, Version};
use super::{difference, proto, report};
use crate::engine::assignment::{Report, Told};
use futures_util::Stream;
use proto::from_processor::Message;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::{Status, Streaming};
use tracing::{info, warn};

/// Certificates expire without anybody saying so.
const RECHECK: Duration = Duration::from_secs(600);
/// After a report nothing more is heard of that processor for so long: it cannot flood whoever listens.
const QUIET: Duration = Duration::from_millis(50);
/// Bytes of a refusal's text that are passed on.
const LONGEST_REASON: usize = 2 << 10;

pub(super) struct Session {
    place: Place,
    peer: Peer,
    identity: watch::Receiver<Identity>,
    inbound: Streaming<proto::FromProcessor>,
    /// What the processor serves.
    held: Option<Version>,
    /// What it was told last, whether it took it or not.
    told: Option<Version>,
    /// It owes a verdict on `told`.
    waiting: bool,
    /// Pieces of `told` that are still to be sent.
    pieces: VecDeque<proto::Update>,
    reports: report::Told,
    recheck: Instant,
    quiet: Instant,
    ended: bool,
}

impl Session {
    pub(super) fn new(
        place: Place,
        peer: Peer,
        identity: watch::Receiver<Identity>,
        inbound: Streaming<proto::FromProcessor>,
        held: Option<&proto::Position>,
    ) -> Self {
        let mut session = Self {
            place,
            peer,
            identity,
            inbound,
            held: None,
            told: None,
            waiting: false,
            pieces: VecDeque::new(),
            reports: report::Told::default(),
            recheck: Instant::now() + RECHECK,
            quiet: Instant::now(),
            ended: false,
        };
        session.resume(held);
        info!(
            gateway = %session.place.ticket.gateway(),
            processor = %session.place.ticket.processor(),
            held = session.held.as_ref().map(|version| version.number),
            "A processor follows.",
        );
        session
    }

    /// A processor that serves the newest version already is told nothing.
    fn resume(&mut self, held: Option<&proto::Position>) {
        let current = self.place.current.borrow().clone();
        let is_held = |version: &Version| {
            held.is_some_and(|held| held.version == version.number && held.epoch == *self.place.epoch)
        };
        if let Some(version) = current.filter(is_held) {
            self.accepted(version.number);
            self.told = Some(version.clone());
            self.held = Some(version);
        }
    }

    /// The messages to the processor. Ends with an error, or with the processor.
    pub(super) fn into_stream(self) -> impl Stream<Item = Result<proto::Update, Status>> + Send {
        futures_util::stream::unfold(self, |mut session| async move {
            let item = session.next().await?;
            session.ended = item.is_err();
            Some((item, session))
        })
    }

    async fn next(&mut self) -> Option<Result<proto::Update, Status>> {
        if self.ended {
            return None;
        }
        loop {
            if let Err(status) = self.prepare() {
                return Some(Err(status));
            }
            if let Some(piece) = self.pieces.pop_front() {
                return Some(Ok(piece));
            }
            let now = Instant::now();
            let heard = tokio::select! {
                () = self.place.leave.cancelled() => Err(Status::unavailable("this stream is over: connect again")),
                changed = self.place.current.changed() => {
                    changed.map_err(|_| Status::unavailable("not the leader any more"))
                }
                changed = self.identity.changed() => {
                    changed.map_err(|_| Status::unavailable("the controller is going")).and_then(|()| self.recheck())
                }
                () = tokio::time::sleep_until(self.recheck) => self.recheck(),
                () = tokio::time::sleep_until(self.quiet), if self.quiet > now => Ok(()),
                message = self.inbound.message(), if self.quiet <= now => match message {
                    Ok(Some(message)) => self.hear(message),
                    Ok(None) | Err(_) => return None,
                },
            };
            if let Err(status) = heard {
                return Some(Err(status));
            }
        }
    }

    /// Cuts the newest version into pieces, unless it was told already or an answer is due.
    fn prepare(&mut self) -> Result<(), Status> {
        if self.waiting || !self.pieces.is_empty() {
            return Ok(());
        }
        let current = self.place.current.borrow_and_update().clone();
        let is_told = |version: &Version| self.told.as_ref().is_some_and(|told| told.number == version.number);
        let Some(version) = current.filter(|version| !is_told(version)) else {
            return Ok(());
        };
        let position = proto::Position {
            epoch: self.place.epoch.to_string(),
            version: version.number,
        };
        let held = self.held.as_ref().map(|held| (held.number, &*held.assignment));
        // It was checked when it was assigned.
        self.pieces = difference::pieces(held, &version.assignment, &position)
            .map_err(|error| Status::internal(error.to_string()))?;
        self.told = Some(version);
        self.waiting = true;
        Ok(())
    }

    fn hear(&mut self, message: proto::FromProcessor) -> Result<(), Status> {
        match message.message {
            Some(Message::Verdict(verdict)) => self.judge(verdict),
            Some(Message::Report(piece)) => {
                if let Some(upstreams) = self.reports.take(piece) {
                    let processor = Arc::clone(self.place.ticket.processor());
                    self.place.ticket.tell(Told::Report(Report { processor, upstreams }));
                    self.quiet = Instant::now() + QUIET;
                }
                Ok(())
            }
            Some(Message::Hello(_)) => Err(Status::invalid_argument("hello comes first and once")),
            // Of a newer processor.
            None => Ok(()),
        }
    }

    fn judge(&mut self, verdict: proto::Verdict) -> Result<(), Status> {
        let expected = self
            .told
            .take()
            .filter(|told| self.waiting && told.number == verdict.version);
        let Some(version) = expected else {
            return Err(Status::invalid_argument("a verdict on a version that was not told"));
        };
        self.waiting = false;
        self.told = Some(version.clone());
        let Some(refusal) = verdict.refusal else {
            self.accepted(version.number);
            self.held = Some(version);
            return Ok(());
        };
        let end = refusal.floor_char_boundary(LONGEST_REASON);
        let reason = refusal.get(..end).unwrap_or_default().to_owned();
        let ticket = &self.place.ticket;
        warn!(
            gateway = %ticket.gateway(),
            processor = %ticket.processor(),
            version = version.number,
            reason,
            "A processor refuses its assignment.",
        );
        ticket.tell(Told::Refused {
            processor: Arc::clone(ticket.processor()),
            version: version.number,
            reason,
        });
        Ok(())
    }

    fn accepted(&self, version: u64) {
        let processor = Arc::clone(self.place.ticket.processor());
        self.place.ticket.tell(Told::Accepted { processor, version });
    }

    fn recheck(&mut self) -> Result<(), Status> {
        self.recheck = Instant::now() + RECHECK;
        if self.peer.is_trusted(&self.identity.borrow_and_update()) {
            return Ok(());
        }
        Err(Status::unauthenticated(
            "the certificate of this connection is not trusted any more",
        ))
    }
}
