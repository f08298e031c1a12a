//! Gateway sessions: the self-contained id, and what must be remembered of one.

pub mod cursor;
pub mod delegation;
pub mod id;
pub mod past;
pub mod state;
pub mod store;

pub use cursor::Cursor;
pub use delegation::Delegation;
pub use id::{Claims, EndpointHash, IdError, Keys, SessionKey, fingerprint};
pub use state::{RequestState, StateError};
pub use store::{Binding, Client, Level, Lookup, Recall, SessionStore, Subscription, Wanted};

/// Milliseconds since the Unix epoch. The engine never asks for the time; it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// This long after it.
    #[must_use]
    pub fn after(self, duration: std::time::Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)),
        )
    }
}
