//! One era's messages in the words of the other.
//!
//! `up`: the client is legacy, the upstream modern.

pub mod up;
