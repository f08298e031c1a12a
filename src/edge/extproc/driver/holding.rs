//! What one exchange holds of the two body budgets: `limits.bodies` until its decision and for an answer that is collected,
//! `limits.replay` for what is kept after the decision.

use crate::edge::extproc::backroom::Backroom;
use std::sync::Arc;

pub(super) struct Holding<B: Backroom> {
    backroom: Arc<B>,
    bodies: usize,
    replay: usize,
}

impl<B: Backroom> Holding<B> {
    pub(super) const fn new(backroom: Arc<B>) -> Self {
        Self {
            backroom,
            bodies: 0,
            replay: 0,
        }
    }

    /// Takes room for a piece of a body. False: there is none.
    pub(super) fn take(&mut self, bytes: usize) -> bool {
        let room = bytes == 0 || self.backroom.bodies().reserve(bytes);
        if room {
            self.bodies += bytes;
        }
        room
    }

    /// Before the decision: gives back what the exchange no longer holds; takes room for what it has collected of an
    /// answer. False: there is none.
    pub(super) fn undecided(&mut self, held: usize) -> bool {
        // A call that is made again is under way again.
        self.keep_replay(0);
        self.keep_bodies(held);
        self.take(held - self.bodies)
    }

    /// After it: what is still held counts as kept for a replay. False: no room for that.
    pub(super) fn decided(&mut self, held: usize) -> bool {
        self.keep_bodies(0);
        if held > self.replay && self.backroom.replay().reserve(held - self.replay) {
            self.replay = held;
        }
        let room = held <= self.replay;
        self.keep_replay(if room { held } else { 0 });
        room
    }

    fn keep_bodies(&mut self, bytes: usize) {
        if self.bodies > bytes {
            self.backroom.bodies().release(self.bodies - bytes);
            self.bodies = bytes;
        }
    }

    fn keep_replay(&mut self, bytes: usize) {
        if self.replay > bytes {
            self.backroom.replay().release(self.replay - bytes);
            self.replay = bytes;
        }
    }
}

impl<B: Backroom> Drop for Holding<B> {
    fn drop(&mut self) {
        self.keep_bodies(0);
        self.keep_replay(0);
    }
}
