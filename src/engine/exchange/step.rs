//! What an exchange wants done: replies to Envoy, in its order, and commands to the edge rooms.

mod command;
mod notice;
mod question;
pub(super) mod quota;
mod reply;

pub use command::{Attended, Call, Command, Listen, ParkKey, Resumption};
pub use notice::Notice;
pub use question::{Addressee, Borrower, Question, SessionRef, Viewer};
pub use reply::{Answer, HeaderName, HeaderWork, Metadata, Reply};

/// The outcome of one event.
#[derive(Debug, Default)]
pub struct Step {
    /// To be sent in this order.
    pub replies: Vec<Reply>,
    /// To be carried out in this order.
    pub commands: Vec<Command>,
    /// Whether the stream may end after the replies.
    pub end: End,
}

/// Whether the ext_proc stream may be closed. Closing it early would let the request pass undecided (I7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// More to come.
    #[default]
    Open,
    /// Decided and said in full.
    Done,
    /// A response is out that cannot be completed: end the stream with an error, so that Envoy cuts the connection.
    Abort,
}
