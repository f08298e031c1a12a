//! A running exchange with everything that it waits for.

use super::holding::Holding;
use super::post::Post;
use super::timer::Timer;
use crate::edge::extproc::backroom::{Asked, Backroom, CallStream, HubStream, Place};
use crate::edge::extproc::gate::Admission;
use crate::engine::exchange::{Command, End, Event, Exchange, Finding, Message, Reply};
use futures_util::StreamExt;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// A call that keeps a place until it is over.
fn with(place: Option<Place>, call: CallStream) -> CallStream {
    match place {
        None => call,
        Some(place) => Box::pin(call.inspect(move |_| {
            let _taken = &place;
        })),
    }
}

type Question = Pin<Box<dyn Future<Output = Finding> + Send>>;

pub(super) struct Live<B: Backroom> {
    backroom: Arc<B>,
    exchange: Exchange,
    outbox: VecDeque<Reply>,
    end: End,
    question: Option<Question>,
    call: Option<CallStream>,
    /// `None`: nothing is waited for.
    post: Option<Box<Post>>,
    hub: Option<HubStream>,
    timer: Timer,
    /// Stays with the call that goes on without its exchange.
    place: Option<Place>,
    holding: Holding<B>,
    began: Instant,
    /// From the first message to the end of the exchange, once that is known.
    elapsed: Option<Duration>,
    /// `None`: it was not let in and only hears why.
    _admission: Option<Admission>,
}

impl<B: Backroom> Live<B> {
    pub(super) fn new(backroom: Arc<B>, exchange: Exchange, admission: Option<Admission>) -> Self {
        Self {
            holding: Holding::new(Arc::clone(&backroom)),
            backroom,
            exchange,
            outbox: VecDeque::new(),
            end: End::Open,
            question: None,
            call: None,
            post: None,
            hub: None,
            timer: Timer::default(),
            place: None,
            began: Instant::now(),
            elapsed: None,
            _admission: admission,
        }
    }

    pub(super) fn has_reply(&self) -> bool {
        !self.outbox.is_empty()
    }

    pub(super) fn take_reply(&mut self) -> Option<Reply> {
        self.outbox.pop_front()
    }

    pub(super) const fn end(&self) -> End {
        self.end
    }

    /// A message from Envoy; a piece of the request body only if there is room for it.
    pub(super) fn message(&mut self, message: Message) {
        let room = match &message {
            Message::RequestBody { chunk, .. } => self.holding.take(chunk.len()),
            Message::RequestHeaders(_)
            | Message::RequestTrailers
            | Message::ResponseHeaders(_)
            | Message::ResponseBody { .. }
            | Message::ResponseTrailers => true,
        };
        self.turn(if room { Event::Envoy(message) } else { Event::NoRoom });
    }

    /// What the exchange waits for besides Envoy.
    pub(super) fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Event> {
        if let Some(question) = &mut self.question
            && let Poll::Ready(finding) = question.as_mut().poll(context)
        {
            self.question = None;
            return Poll::Ready(Event::Finding(finding));
        }
        if let Some(call) = &mut self.call
            && let Poll::Ready(event) = call.as_mut().poll_next(context)
        {
            match event {
                Some(event) => return Poll::Ready(Event::Call(event)),
                None => self.call = None,
            }
        }
        if let Some(post) = &mut self.post
            && let Poll::Ready(event) = post.poll(context)
        {
            return Poll::Ready(event);
        }
        if let Some(hub) = &mut self.hub
            && let Poll::Ready(event) = hub.as_mut().poll_next(context)
        {
            match event {
                Some(event) => return Poll::Ready(Event::Hub(event)),
                None => self.hub = None,
            }
        }
        self.timer.poll(context).map(|()| Event::Timer)
    }

    /// One event, and all findings that are at hand.
    pub(super) fn turn(&mut self, event: Event) {
        let now = self.backroom.now();
        // A span is timed more finely than anything else.
        if self.exchange.may_be_traced() {
            self.exchange.set_elapsed(self.began.elapsed());
        }
        let mut next = Some(event);
        let mut crowded = false;
        while let Some(event) = next.take() {
            if self.end != End::Open {
                return;
            }
            let step = self.exchange.handle(event, now);
            self.end = step.end;
            if self.end != End::Open {
                self.elapsed = Some(self.began.elapsed());
            }
            self.outbox.extend(step.replies);
            for command in step.commands {
                if let Some(finding) = self.carry_out(command) {
                    next = Some(Event::Finding(finding));
                }
            }
            // Said once: an exchange that goes on in spite of it shall not be told for ever.
            if !self.account() && next.is_none() && !std::mem::replace(&mut crowded, true) {
                next = Some(Event::NoRoom);
            }
        }
    }

    fn carry_out(&mut self, command: Command) -> Option<Finding> {
        match command {
            Command::Ask(question) => {
                // The answer to the one before would be taken for the answer to this one.
                self.question = None;
                match self.backroom.ask(question) {
                    Asked::Now(finding) => return Some(finding),
                    Asked::Held(finding, place) => {
                        self.place = Some(place);
                        return Some(finding);
                    }
                    Asked::Later(question) => self.question = Some(question),
                }
            }
            Command::Call(call) => self.call = Some(self.backroom.call(call)),
            Command::Attend(attended) => self.call = Some(self.backroom.attend(attended)),
            Command::CancelCall => self.call = None,
            Command::OutliveCall => {
                if let Some(call) = self.call.take() {
                    let cancelled = self.post.as_mut().and_then(|post| post.take_watch());
                    self.backroom.outlive(with(self.place.take(), call), cancelled);
                }
            }
            Command::Expect { session, id } => {
                let mail = self.backroom.expect(session, &id);
                self.post.get_or_insert_default().expect(id, mail);
            }
            Command::Watch { session, id } => {
                let mail = self.backroom.watch(session, &id);
                self.post.get_or_insert_default().watch(mail);
            }
            Command::Park(key, parked) => self.backroom.park(key, parked, self.call.take()),
            Command::Resume(key) => {
                return Some(match self.backroom.resume(key) {
                    Some((parked, call)) => {
                        self.call = call;
                        Finding::Resumed(parked)
                    }
                    None => Finding::NotParked,
                });
            }
            Command::Listen(subscription) => self.hub = Some(self.backroom.listen(subscription)),
            Command::Notify(notice) => self.backroom.notify(notice),
            Command::Subscribe {
                session,
                subscription,
                wanted,
            } => self.backroom.subscribe(session, subscription, wanted),
            Command::Arm(after) => self.timer.arm(after),
            Command::Disarm => self.timer.disarm(),
        }
        None
    }

    /// Keeps the books on what the exchange holds. False: there is no room for it.
    fn account(&mut self) -> bool {
        let held = self.exchange.held();
        if self.end == End::Open && !self.exchange.decided() {
            return self.holding.undecided(held);
        }
        if !self.holding.decided(held) {
            self.exchange.drop_replay();
        }
        true
    }

    /// Lets the exchange close its affairs if it was cut short, and records the facts.
    pub(super) fn close(mut self: Box<Self>) {
        if self.end == End::Open {
            self.turn(Event::Closed);
        }
        let elapsed = self.elapsed.unwrap_or_else(|| self.began.elapsed());
        self.backroom.record(&self.exchange.finish(), elapsed);
    }
}
