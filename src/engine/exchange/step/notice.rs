//! What is done in the background; nothing comes back.

use super::question::{Borrower, SessionRef};
use crate::engine::session::{Binding, Delegation, Level};
use crate::engine::stream::Kinds;
use bytes::Bytes;
use std::sync::Arc;

/// Something to be done in the background.
#[derive(Debug)]
pub enum Notice {
    /// End this upstream session (DELETE).
    Close {
        /// At whom.
        upstream: Arc<str>,
        /// Which.
        binding: Binding,
    },
    /// From now on this speaks for the session's client.
    Delegated {
        /// Whose.
        session: SessionRef,
        /// At whom.
        upstream: Arc<str>,
        /// What.
        delegation: Delegation,
    },
    /// What the session's client has shown now speaks for it, wherever the session has to do with that upstream already.
    Refreshed {
        /// Whose.
        session: SessionRef,
        /// At whom.
        upstream: Arc<str>,
        /// What.
        delegation: Delegation,
    },
    /// An upstream has refused the credential in this: it may have been revoked, and is not used again.
    Spent(Delegation),
    /// List this upstream anew: what is known of its tools does not hold any more.
    Relist {
        /// Which.
        upstream: Arc<str>,
    },
    /// An upstream says in a client's session that lists have changed: perhaps it says so nowhere else.
    Changed {
        /// Who.
        upstream: Arc<str>,
        /// Whose client; `None`: anonymous.
        principal: Option<Arc<str>>,
        /// Which.
        kinds: Kinds,
    },
    /// This borrowed session is free again.
    Return {
        /// By whom.
        borrower: Arc<Borrower>,
        /// Which.
        binding: Binding,
    },
    /// Send `logging/setLevel` in this upstream session.
    Level {
        /// To whom.
        upstream: Arc<str>,
        /// In which session.
        binding: Binding,
        /// Which.
        level: Level,
    },
    /// Send `notifications/cancelled` to a legacy upstream.
    Cancelled {
        /// To whom.
        upstream: Arc<str>,
        /// In which session.
        binding: Binding,
        /// Raw JSON id of the request.
        id: Box<str>,
    },
    /// Send a message of a client.
    Tell {
        /// To whom.
        upstream: Arc<str>,
        /// In which session.
        binding: Binding,
        /// As the upstream hears it.
        message: Bytes,
    },
}
