//! What is to be done with a message, and whether it may be: decided before anything is asked of anybody or sent.
//!
//! ```text
//! body -> sender (who sent it) -> plan -> route, task, tell (who is concerned) -> permit (rules) -> admit (limits)
//! ```

pub(super) mod admit;
pub(super) mod permit;
pub(super) mod petition;
pub(super) mod plan;
pub(super) mod route;
pub(super) mod sender;
pub(super) mod task;
pub(super) mod tell;
pub(super) mod transparent;
