//! What one client stream still has to hear: bounded, changed lists counted once.
//!
//! A client that does not read is cut rather than waited for: an upstream that talks a lot must not fill the memory, and
//! events that are left out would be lost in silence. Changed lists never overflow: a second change says nothing new.

use super::Kinds;
use bytes::Bytes;

/// Events that may wait.
pub const EVENTS: usize = 256;
/// Bytes of them.
pub const BYTES: usize = 1 << 20;

/// The outbox was full: this stream is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a client does not read its stream")]
pub struct Full;

/// See the module.
#[derive(Debug, Default)]
pub struct Outbox {
    events: Vec<Bytes>,
    bytes: usize,
    changed: Kinds,
}

impl Outbox {
    /// One more event, as it will stand on the wire. One that is larger than the bound passes alone.
    ///
    /// # Errors
    /// [`Full`] beyond [`EVENTS`] or [`BYTES`]: nothing is kept any more.
    pub fn push(&mut self, event: Bytes) -> Result<(), Full> {
        let fits = self.events.len() < EVENTS && self.bytes.saturating_add(event.len()) <= BYTES;
        if !fits && !self.events.is_empty() {
            *self = Self::default();
            return Err(Full);
        }
        self.bytes += event.len();
        self.events.push(event);
        Ok(())
    }

    /// These lists have changed.
    pub fn change(&mut self, kinds: Kinds) {
        self.changed = self.changed.or(kinds);
    }

    /// True if there is nothing to take.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.changed.is_empty()
    }

    /// Takes all: events in their order, and what has changed. What it occupied is free.
    pub fn take(&mut self) -> (Vec<Bytes>, Kinds) {
        let Self { events, changed, .. } = std::mem::take(self);
        (events, changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn event(len: usize) -> Bytes {
        Bytes::from(vec![b'x'; len])
    }

    #[test]
    fn more_events_than_the_bound_are_an_end() {
        let mut outbox = Outbox::default();
        for _ in 0..EVENTS {
            assert_eq!(outbox.push(event(1)), Ok(()));
        }
        assert_eq!(outbox.push(event(1)), Err(Full));
        assert!(outbox.is_empty(), "memory is given back at once");
    }

    #[test]
    fn a_large_event_passes_alone() {
        let mut outbox = Outbox::default();
        assert_eq!(outbox.push(event(BYTES * 5)), Ok(()));
        assert_eq!(outbox.push(event(1)), Err(Full));
    }

    #[test]
    fn a_list_that_changes_often_is_told_once() {
        let mut outbox = Outbox::default();
        for _ in 0..10_000 {
            outbox.change(Kinds {
                tools: true,
                ..Kinds::default()
            });
        }
        let (events, changed) = outbox.take();
        assert!(events.is_empty() && changed.tools && !changed.prompts);
        assert!(outbox.is_empty());
    }

    proptest! {
        #[test]
        fn what_is_taken_is_what_was_pushed_within_the_bounds(sizes in prop::collection::vec(0..BYTES / 2, 0..40), takes in prop::collection::vec(any::<bool>(), 40)) {
            let mut outbox = Outbox::default();
            let (mut pushed, mut taken) = (Vec::new(), Vec::new());
            for (size, take) in sizes.iter().zip(takes) {
                if outbox.push(event(*size)).is_err() {
                    prop_assert!(outbox.is_empty());
                    return Ok(());
                }
                pushed.push(*size);
                prop_assert!(outbox.bytes <= BYTES && outbox.events.len() <= EVENTS);
                if take {
                    taken.extend(outbox.take().0.iter().map(Bytes::len));
                }
            }
            taken.extend(outbox.take().0.iter().map(Bytes::len));
            prop_assert_eq!(taken, pushed);
        }
    }
}
