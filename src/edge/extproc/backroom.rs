//! What the driver asks of the rest of the program. Implemented in `app`; a scripted one in tests.

use super::budget::Budget;
use super::gate::Admission;
use crate::engine::exchange::event::Refusal;
use crate::engine::exchange::step::{Attended, Call, Listen, Notice, ParkKey, Question, SessionRef};
use crate::engine::exchange::{CallEvent, Finding, HubEvent, Parked, Record};
use crate::engine::mcp::trace::Ratio;
use crate::engine::session::{SessionKey, Subscription, Timestamp, Wanted};
use crate::engine::snapshot::Snapshot;
use bytes::Bytes;
use futures_util::Stream;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// Everything outside the stream that an exchange may need.
pub trait Backroom: Send + Sync + 'static {
    /// The snapshot in force. Taken once per exchange.
    fn snapshot(&self) -> Arc<Snapshot>;
    /// Lets an exchange in, or says why not. The guard is dropped when the exchange ends.
    ///
    /// # Errors
    /// [`Refusal`] while draining or at `limits.streams`.
    fn admit(&self) -> Result<Admission, Refusal>;
    /// The time.
    fn now(&self) -> Timestamp;
    /// 128 random bits.
    fn entropy(&self) -> u128;
    /// How many of the traces that begin here are kept; `None`: nothing is traced.
    fn traces(&self) -> Option<Ratio>;
    /// Answers at once where memory knows, else later.
    fn ask(&self, question: Question) -> Asked;
    /// Makes a call. Dropping the stream cancels it.
    fn call(&self, call: Call) -> CallStream;
    /// Lets a call go on to its end, or until `cancelled` is ready.
    fn outlive(&self, call: CallStream, cancelled: Option<Mail>);
    /// Waits for the response of a session's client to our request with this raw id.
    fn expect(&self, session: SessionKey, id: &str) -> Mail;
    /// Waits for a session's client to cancel its request with this raw id.
    fn watch(&self, session: SessionKey, id: &str) -> Mail;
    /// Makes a call with what belongs to it in its upstream session.
    fn attend(&self, attended: Attended) -> CallStream;
    /// Keeps a call for another exchange.
    fn park(&self, key: ParkKey, parked: Box<Parked>, call: Option<CallStream>);
    /// The call that was kept under this key, at most once.
    fn resume(&self, key: ParkKey) -> Option<(Box<Parked>, Option<CallStream>)>;

    /// Holds a stream open for a client. Dropping the stream ends it.
    fn listen(&self, subscription: Listen) -> HubStream;
    /// Does something in the background.
    fn notify(&self, notice: Notice);
    /// Remembers a subscription of a session, or that it is over.
    fn subscribe(&self, session: SessionRef, subscription: Subscription, wanted: Wanted);
    /// Takes the facts of one exchange; called exactly once each. `elapsed`: from the first message to our
    /// answer, or to the response headers of a forward.
    fn record(&self, record: &Record, elapsed: Duration);
    /// `limits.bodies`: request bodies held until the decision.
    fn bodies(&self) -> &Budget;
    /// `limits.replay`: request bodies kept after it.
    fn replay(&self) -> &Budget;
}

/// An answer, now or later.
pub enum Asked {
    /// Fed to the exchange in the same turn.
    Now(Finding),
    /// The same, with what the exchange keeps until it ends.
    Held(Finding, Place),
    /// Polled by the driver; dropped if the client leaves.
    Later(Pin<Box<dyn Future<Output = Finding> + Send>>),
}

/// Something that is free again when dropped.
pub type Place = Box<dyn std::any::Any + Send>;

/// A message that may come. Dropped: nobody waits for it any more.
pub type Mail = Pin<Box<dyn Future<Output = Bytes> + Send>>;

/// The events of a call, as they come. Ends after [`CallEvent::End`] or [`CallEvent::Failed`].
pub type CallStream = Pin<Box<dyn Stream<Item = CallEvent> + Send>>;

/// What a client that holds a stream open has to hear. Ends after [`HubEvent::Drained`] or [`HubEvent::Over`].
pub type HubStream = Pin<Box<dyn Stream<Item = HubEvent> + Send>>;
