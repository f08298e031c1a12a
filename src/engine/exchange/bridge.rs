//! Calls between a client of one era and an upstream that speaks only the other.

mod up;

pub(super) use up::Up;

use super::calls::Calls;
use super::reject::Trouble;
use super::step::Step;
use super::{Exchange, Request};

impl Exchange {
    /// A modern client calls a legacy upstream. `calls` stands at the call to make. Not built yet: refused.
    pub(super) fn bridge_down(&mut self, request: Box<Request>, calls: Calls) -> Step {
        self.try_next(request, calls, Trouble::NotListed)
    }
}
