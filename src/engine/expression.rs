//! CEL expressions of policies: compiled once, and what each of them reads known before anything is asked.
//!
//! The only room that knows the crate `cel`. Knows the names of the variables, not where their values come from: who
//! evaluates hands in [`Facts`]. An expression yields true or false, fails, or is about something that is not there: a
//! rule about a tool says nothing where there is no tool.

mod check;
mod compile;
mod evaluate;
mod guard;
mod kinds;
mod needs;
mod reads;
mod tree;

pub use compile::Fault;
pub use evaluate::{Facts, Inquiry, Memo, Outcome};
pub use guard::{Literals, Subject};
pub use reads::{Reads, Structure, Text, Variable};
pub use tree::{Tree, TreeError};

use cel::IdedExpr;
use std::sync::Arc;

/// One compiled expression. Equal to another one with the same text.
#[derive(Clone, Debug)]
pub struct Expression {
    text: Arc<str>,
    tree: Arc<IdedExpr>,
    reads: Reads,
    literals: Literals,
    /// What is left to evaluate once these literals are known to fit; `None`: nothing, it is true then.
    rest: Option<Arc<IdedExpr>>,
}

impl Expression {
    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Which variables its outcome may depend on.
    #[must_use]
    pub const fn reads(&self) -> &Reads {
        &self.reads
    }

    /// Outside of which literal values it is never true.
    #[must_use]
    pub const fn literals(&self) -> &Literals {
        &self.literals
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

#[cfg(test)]
mod tests;
