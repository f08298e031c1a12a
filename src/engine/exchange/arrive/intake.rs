//! Collects a request body up to its limit: one chunk is kept as it came, several are joined.

use bytes::{Bytes, BytesMut};

/// A body on its way in.
#[derive(Debug, Default)]
pub(in crate::engine::exchange) enum Intake {
    /// Nothing yet.
    #[default]
    Empty,
    /// The common case: the body came in one piece.
    One(Bytes),
    /// Joined.
    Many(BytesMut),
}

impl Intake {
    pub(in crate::engine::exchange) fn len(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::One(bytes) => bytes.len(),
            Self::Many(bytes) => bytes.len(),
        }
    }

    /// Adds a chunk. False: it would exceed `limit`; nothing of it is kept.
    pub(in crate::engine::exchange) fn add(&mut self, chunk: Bytes, limit: usize) -> bool {
        if self.len().saturating_add(chunk.len()) > limit {
            return false;
        }
        if chunk.is_empty() {
            return true;
        }
        *self = match std::mem::take(self) {
            Self::Empty => Self::One(chunk),
            Self::One(first) => {
                let mut joined = BytesMut::with_capacity((first.len() + chunk.len()).next_power_of_two().min(limit));
                joined.extend_from_slice(&first);
                joined.extend_from_slice(&chunk);
                Self::Many(joined)
            }
            Self::Many(mut joined) => {
                joined.extend_from_slice(&chunk);
                Self::Many(joined)
            }
        };
        true
    }

    pub(in crate::engine::exchange) fn into_bytes(self) -> Bytes {
        match self {
            Self::Empty => Bytes::new(),
            Self::One(bytes) => bytes,
            Self::Many(bytes) => bytes.freeze(),
        }
    }
}
