//! How long sessions with an upstream lasted: who opens and closes them tells the [`Target`], which passes it on.

use super::Target;
use crate::engine::session::past::Past;
use std::fmt;
use std::sync::Arc;

/// Hears the configured name of an upstream, and of a session with it that is over.
pub type Pasts = Arc<dyn Fn(&str, Past) + Send + Sync>;

/// As it stands in a [`Target`].
#[derive(Clone, Default)]
pub(super) struct Told(Option<Pasts>);

impl fmt::Debug for Told {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Told")
    }
}

impl Target {
    /// The same, whose sessions that are over `pasts` hears of.
    #[must_use]
    pub fn told_to(mut self, pasts: Pasts) -> Self {
        self.told = Told(Some(pasts));
        self
    }

    /// A session is over; `None`: nothing is known of it.
    pub fn over(&self, past: Option<Past>) {
        if let (Some(pasts), Some(past)) = (&self.told.0, past) {
            pasts(self.name(), past);
        }
    }
}
