//! One era's messages in the words of the other.
//!
//! `up`: the client is legacy, the upstream modern. `down`: the client is modern, the upstream legacy.

pub mod down;
pub mod up;

#[cfg(test)]
mod tests;
