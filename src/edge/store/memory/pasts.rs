//! Who hears of sessions that are over.

use crate::engine::session::past::Past;
use std::fmt;

/// Nobody, unless somebody asked for it.
#[derive(Default)]
pub(super) struct Pasts(Option<Box<dyn Fn(Past) + Send + Sync>>);

impl Pasts {
    pub(super) fn told_to(hears: impl Fn(Past) + Send + Sync + 'static) -> Self {
        Self(Some(Box::new(hears)))
    }

    pub(super) fn tell(&self, past: Past) {
        if let Some(hears) = &self.0 {
            hears(past);
        }
    }
}

impl fmt::Debug for Pasts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Pasts")
    }
}
