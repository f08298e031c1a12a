//! Sessions that are over, for whoever counts them.

use super::{Binding, Timestamp};
use crate::engine::mcp::Version;
use std::time::Duration;

/// How a session began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begun {
    /// When.
    pub at: Timestamp,
    /// Agreed in its handshake.
    pub version: Version,
}

/// What is left of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Past {
    /// Agreed in its handshake.
    pub version: Version,
    /// From the handshake to its end.
    pub lasted: Duration,
    /// How it ended.
    pub ending: Ending,
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By whoever had opened it, or because nobody used it any more.
    Closed,
    /// Whoever held it knows it no longer.
    Lost,
}

impl Begun {
    /// Over at `until`.
    #[must_use]
    pub fn past(self, until: Timestamp, ending: Ending) -> Past {
        Past {
            version: self.version,
            lasted: Duration::from_millis(until.0.saturating_sub(self.at.0)),
            ending,
        }
    }
}

impl Binding {
    /// Over at `until`; `None`: it never was a session, or nobody remembers when it was opened.
    #[must_use]
    pub fn past(&self, until: Timestamp, ending: Ending) -> Option<Past> {
        let (Some(_), Some(at)) = (&self.id, self.opened) else {
            return None;
        };
        let version = self.version;
        Some(Begun { at, version }.past(until, ending))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_lasts_from_its_handshake_to_its_end() {
        let binding = Binding {
            id: Some("a".into()),
            opened: Some(Timestamp(1_000)),
            ..Binding::stateless(Version::V2025_06_18)
        };
        let past = binding.past(Timestamp(3_500), Ending::Lost).expect("it was one");
        assert_eq!(
            (past.lasted, past.version),
            (Duration::from_millis(2_500), Version::V2025_06_18)
        );
        let back = binding.past(Timestamp(1), Ending::Closed).expect("it was one");
        assert_eq!(back.lasted, Duration::ZERO, "the clock went back");
        let stateless = Binding { id: None, ..binding };
        assert_eq!(stateless.past(Timestamp(3_500), Ending::Closed), None);
    }
}
