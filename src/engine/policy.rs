//! Who calls, and what they may: identity, rules, verdicts.

pub mod audience;
pub mod callers;
pub mod challenge;
mod completed;
pub mod delegate;
pub mod explain;
pub mod identity;
mod index;
pub mod place;
pub mod rate;
pub mod rules;
pub mod standing;
pub mod subject;

pub use audience::Audience;
pub use callers::{Callers, Claimed, Credentials, Unfit};
pub use challenge::Challenge;
pub use completed::Completed;
pub use explain::{Explained, Explanation, Question, Remark};
pub use identity::{Claims, Identity};
pub use rules::{Policy, Verdict};
pub use standing::{Standing, Standings};
pub use subject::{Asked, Caller, Item, Lookup, NoHeaders, Tool};

#[cfg(test)]
mod tests;
