//! Who calls, and what they may: identity, rules, verdicts.

pub mod identity;

pub use identity::{Claims, Identity};
