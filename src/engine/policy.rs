//! Who calls, and what they may: identity, rules, verdicts.

pub mod callers;
pub mod challenge;
pub mod identity;
pub mod rate;

pub use callers::{Callers, Claimed, Credentials, Unfit};
pub use challenge::Challenge;
pub use identity::{Claims, Identity};
