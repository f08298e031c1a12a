//! Where messages of a client meet the exchange that waits for them: answers to requests of the gateway's own, and
//! cancellations of calls that the gateway translates.
//!
//! In this process only. An entry lives as long as somebody waits for it; what nobody waits for is not kept.

use crate::engine::session::SessionKey;
use bytes::Bytes;
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use tokio::sync::oneshot;

/// All that is waited for, by session.
#[derive(Debug, Default)]
pub struct Mailbox {
    /// Held for a look-up, an insertion or a removal only.
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    waiting: HashMap<Address, (u64, oneshot::Sender<Bytes>)>,
    /// Tells two that wait at one address apart.
    next: u64,
}

type Address = (SessionKey, Kind, Box<str>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Answer,
    Cancel,
}

/// Waits for one message; forgotten when dropped.
#[derive(Debug)]
pub struct Waiting {
    mailbox: Arc<Mailbox>,
    address: Address,
    number: u64,
    receiver: oneshot::Receiver<Bytes>,
}

impl Mailbox {
    /// Waits for the response to our request `id` (raw).
    #[must_use]
    pub fn expect(self: &Arc<Self>, session: SessionKey, id: &str) -> Waiting {
        self.wait((session, Kind::Answer, spelled(id)))
    }

    /// Waits for the client to cancel its own request `id` (raw).
    #[must_use]
    pub fn watch(self: &Arc<Self>, session: SessionKey, id: &str) -> Waiting {
        self.wait((session, Kind::Cancel, spelled(id)))
    }

    /// Hands over a response. False: nobody waits for it (any more).
    pub fn deliver(&self, session: SessionKey, id: &str, message: Bytes) -> bool {
        self.hand_over(&(session, Kind::Answer, spelled(id)), message)
    }

    /// Tells that a client has cancelled its request. False: it is none that the gateway translates.
    pub fn cancel(&self, session: SessionKey, id: &str) -> bool {
        self.hand_over(&(session, Kind::Cancel, spelled(id)), Bytes::new())
    }

    /// Tells that a session is over: all its calls that the gateway translates are cancelled.
    pub fn end(&self, session: SessionKey) {
        let over = |(owner, kind, _): &Address| *owner == session && *kind == Kind::Cancel;
        let ended: Vec<_> = self.table().waiting.extract_if(|address, _| over(address)).collect();
        for (_, (_, sender)) in ended {
            let _gone = sender.send(Bytes::new());
        }
    }

    fn wait(self: &Arc<Self>, address: Address) -> Waiting {
        let (sender, receiver) = oneshot::channel();
        let number = {
            let mut table = self.table();
            table.next += 1;
            let number = table.next;
            table.waiting.insert(address.clone(), (number, sender));
            number
        };
        Waiting {
            mailbox: Arc::clone(self),
            address,
            number,
            receiver,
        }
    }

    fn hand_over(&self, address: &Address, message: Bytes) -> bool {
        let waiting = self.table().waiting.remove(address);
        waiting.is_some_and(|(_, sender)| sender.send(message).is_ok())
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Nothing panics while it is held; and if: the map is still a map.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A JSON string by its text, however it is spelled; anything else as it stands.
fn spelled(id: &str) -> Box<str> {
    match serde_json::from_str::<String>(id) {
        Ok(text) => format!("\"{text}").into(),
        Err(_) => id.into(),
    }
}

impl Future for Waiting {
    type Output = Bytes;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Bytes> {
        match Pin::new(&mut self.receiver).poll(context) {
            Poll::Ready(Ok(message)) => Poll::Ready(message),
            // Somebody else waits at this address now: nothing will come here.
            Poll::Ready(Err(_)) | Poll::Pending => Poll::Pending,
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut table = self.mailbox.table();
        if table
            .waiting
            .get(&self.address)
            .is_some_and(|(number, _)| *number == self.number)
        {
            table.waiting.remove(&self.address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: SessionKey = SessionKey(1);

    #[tokio::test]
    async fn a_message_meets_who_waits_for_it_once() {
        let mailbox = Arc::new(Mailbox::default());
        let waiting = mailbox.expect(ONE, r#""mg:1""#);
        assert!(
            !mailbox.deliver(SessionKey(2), r#""mg:1""#, "x".into()),
            "another session"
        );
        assert!(!mailbox.cancel(ONE, r#""mg:1""#), "another kind");
        assert!(mailbox.deliver(ONE, r#""m\u0067:1""#, "a".into()), "another spelling");
        assert!(!mailbox.deliver(ONE, r#""mg:1""#, "b".into()), "answered already");
        assert_eq!(waiting.await, "a");
    }

    #[tokio::test]
    async fn the_end_of_a_session_cancels_its_calls() {
        let mailbox = Arc::new(Mailbox::default());
        let (first, second) = (mailbox.watch(ONE, "1"), mailbox.watch(ONE, "2"));
        let other = mailbox.watch(SessionKey(2), "1");
        mailbox.end(ONE);
        assert_eq!((first.await, second.await), (Bytes::new(), Bytes::new()));
        assert_eq!(mailbox.table().waiting.len(), 1);
        drop(other);
    }

    #[tokio::test]
    async fn who_leaves_is_forgotten_but_not_who_came_after() {
        let mailbox = Arc::new(Mailbox::default());
        let first = mailbox.watch(ONE, "7");
        let second = mailbox.watch(ONE, "7");
        drop(first);
        assert!(mailbox.cancel(ONE, "7"));
        assert_eq!(second.await, "");
        drop(mailbox.watch(ONE, "7"));
        assert!(mailbox.table().waiting.is_empty());
    }
}
