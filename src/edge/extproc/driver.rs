//! Drives one exchange: messages, findings, call events and the timer in; replies out, in order.
//!
//! A hand-written stream rather than a task with channels: tonic polls it, it polls what it waits for. It ends cleanly
//! only after the exchange said [`End::Done`] and every reply was taken (I7). Dropped early (the client left, Envoy or the
//! server closed the connection), it lets the exchange close its affairs. Either way the facts are recorded once.
//!
//! ```text
//!  Envoy -> inbound --+
//!  question ----------+--> turn --> outbox --> tonic -> Envoy
//!  call --------------+     |
//!  timer -------------+     +--> Backroom
//! ```

mod holding;
mod live;
mod post;
mod timer;

use super::backroom::Backroom;
use super::decode::{DecodeError, Inbound};
use crate::engine::exchange::{BodyMode, BodyModes, Carried, End, Event, Exchange, Reply, Tracing};
use crate::engine::mcp::trace::Ratio;
use futures_util::Stream;
use live::Live;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tonic::Status;

/// Envoy 1.40 always tells its modes; one that does not is taken to be wired as our documents say.
const ASSUMED: BodyModes = BodyModes {
    request: BodyMode::FullDuplex,
    response: BodyMode::None,
};

/// A message, or why there is none.
pub(super) type Received = Result<Result<Inbound, DecodeError>, Status>;

/// One ext_proc stream. `S`: the messages from Envoy.
pub(super) struct Driver<B: Backroom, S> {
    backroom: Arc<B>,
    inbound: S,
    /// The span of Envoy's that this stream belongs to, until there is an exchange.
    ambient: Option<Box<Carried>>,
    state: State<B>,
}

enum State<B: Backroom> {
    /// No message yet.
    Fresh,
    /// An exchange runs, or its last replies wait to be taken.
    Open(Box<Live<B>>),
    /// To be ended with an error.
    Failed(Status),
    /// Nothing follows.
    Over,
}

impl<B, S> Driver<B, S>
where
    B: Backroom,
    S: Stream<Item = Received> + Unpin,
{
    pub(super) const fn new(backroom: Arc<B>, inbound: S, ambient: Option<Box<Carried>>) -> Self {
        Self {
            backroom,
            inbound,
            ambient,
            state: State::Fresh,
        }
    }

    /// Goes on until there is something to take: a reply, or the end.
    pub(super) fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut self.state {
                State::Failed(_) | State::Over => return Poll::Ready(()),
                State::Open(live) if live.has_reply() || live.end() != End::Open => return Poll::Ready(()),
                State::Open(live) => {
                    if let Poll::Ready(message) = Pin::new(&mut self.inbound).poll_next(context) {
                        self.receive(message);
                    } else {
                        let event = ready!(live.poll_event(context));
                        live.turn(event);
                    }
                }
                State::Fresh => {
                    let message = ready!(Pin::new(&mut self.inbound).poll_next(context));
                    self.receive(message);
                }
            }
        }
    }

    fn receive(&mut self, message: Option<Received>) {
        // `None` and an error alike: Envoy has closed the stream, because the client left or because all is said.
        let Some(Ok(message)) = message else {
            return self.fail(Status::cancelled("the stream was closed before its exchange was over"));
        };
        match message {
            Ok(inbound) => self.accept(inbound),
            Err(error) => self.fail(Status::failed_precondition(error.to_string())),
        }
    }

    fn accept(&mut self, inbound: Inbound) {
        let Some(message) = inbound.message else { return };
        match &mut self.state {
            State::Fresh => {
                let mut live = self.begin(inbound.modes.unwrap_or(ASSUMED));
                live.message(message);
                self.state = State::Open(Box::new(live));
            }
            State::Open(live) => live.message(message),
            State::Failed(_) | State::Over => {}
        }
    }

    /// A new exchange; one that is not let in has refused already.
    fn begin(&mut self, modes: BodyModes) -> Live<B> {
        let backroom = Arc::clone(&self.backroom);
        let exchange = Exchange::new(backroom.snapshot(), modes, backroom.entropy(), backroom.now());
        let exchange = match backroom.traces() {
            Some(ratio) => exchange.traced(self.tracing(ratio)),
            None => exchange,
        };
        match self.backroom.admit() {
            Ok(admission) => Live::new(backroom, exchange, Some(admission)),
            Err(refusal) => {
                let mut live = Live::new(backroom, exchange, None);
                live.turn(Event::Refused(refusal));
                live
            }
        }
    }

    fn tracing(&mut self, ratio: Ratio) -> Tracing {
        let spans = self.backroom.entropy();
        // Zero is no id.
        let halves = [spans >> 64, spans].map(|half| (half as u64).max(1));
        Tracing {
            ambient: self.ambient.take(),
            ratio,
            trace: self.backroom.entropy().max(1),
            spans: halves,
        }
    }

    fn fail(&mut self, status: Status) {
        self.close();
        self.state = State::Failed(status);
    }
}

impl<B: Backroom, S> Driver<B, S> {
    fn close(&mut self) {
        if let State::Open(live) = std::mem::replace(&mut self.state, State::Over) {
            live.close();
        }
    }
}

impl<B, S> Stream for Driver<B, S>
where
    B: Backroom,
    S: Stream<Item = Received> + Unpin,
{
    type Item = Result<Reply, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let driver = self.get_mut();
        ready!(driver.poll_ready(context));
        if let State::Open(live) = &mut driver.state
            && let Some(reply) = live.take_reply()
        {
            return Poll::Ready(Some(Ok(reply)));
        }
        match std::mem::replace(&mut driver.state, State::Over) {
            State::Failed(status) => Poll::Ready(Some(Err(status))),
            State::Open(live) => {
                let end = live.end();
                live.close();
                match end {
                    End::Done => Poll::Ready(None),
                    End::Abort => Poll::Ready(Some(Err(Status::aborted("the response cannot be completed")))),
                    // Not reached: ready without a reply means the exchange is over. Never clean if it were.
                    End::Open => Poll::Ready(Some(Err(Status::internal("undecided")))),
                }
            }
            State::Fresh | State::Over => Poll::Ready(None),
        }
    }
}

impl<B: Backroom, S> Drop for Driver<B, S> {
    fn drop(&mut self) {
        // A panic of the exchange has ended the stream with a reset; asking it again could panic twice.
        if !std::thread::panicking() {
            self.close();
        }
    }
}

#[cfg(test)]
mod tests;
