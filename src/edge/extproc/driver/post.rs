//! What an exchange waits for from its client, which comes by other exchanges. Few exchanges have any.

use crate::edge::extproc::backroom::Mail;
use crate::engine::exchange::Event;
use std::task::{Context, Poll};

/// Everything that may come.
#[derive(Default)]
pub(super) struct Post {
    expected: Vec<(Box<str>, Mail)>,
    cancelled: Option<Mail>,
}

impl Post {
    pub(super) fn expect(&mut self, id: Box<str>, mail: Mail) {
        self.expected.push((id, mail));
    }

    pub(super) fn watch(&mut self, mail: Mail) {
        self.cancelled = Some(mail);
    }

    /// For a call that goes on without this exchange.
    pub(super) fn take_watch(&mut self) -> Option<Mail> {
        self.cancelled.take()
    }

    /// A cancellation first: what comes after it does not count.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Event> {
        if let Some(cancelled) = &mut self.cancelled
            && cancelled.as_mut().poll(context).is_ready()
        {
            self.cancelled = None;
            return Poll::Ready(Event::Cancelled);
        }
        let arrived = self.expected.iter_mut().enumerate().find_map(|(at, (_, mail))| {
            let Poll::Ready(message) = mail.as_mut().poll(context) else {
                return None;
            };
            Some((at, message))
        });
        match arrived {
            Some((at, message)) => {
                let (id, _) = self.expected.swap_remove(at);
                Poll::Ready(Event::Answered { id, message })
            }
            None => Poll::Pending,
        }
    }
}
