//! Guides of other gateways, executed from their own text against ours.
//!
//! A guide's commands are taken out of the document in its order; what cannot be as written there (names of a machine,
//! templates of a documentation site) is replaced by the words in its table of adaptations, and by nothing else.

mod agentgateway;
mod kuadrant;
mod script;
