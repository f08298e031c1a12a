//! Calls between a client of one era and an upstream that speaks only the other.

mod down;
mod up;

pub(super) use down::Down;
pub use down::Parked;
pub(super) use up::Up;
