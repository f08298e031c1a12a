//! One upstream call as messages: what an upstream says on its way to the client, and what must change of it.
//!
//! Ids of several upstreams collide: what a client sees of an upstream's request says whose it is, so that the response
//! finds its way back without anything remembered. So do ids of tasks. Reads leniently: what the gateway does not understand passes.

pub mod id;
pub mod inspect;
pub mod inspector;
pub mod message;
pub mod task;

pub use inspect::Outcome;
pub use inspector::Inspector;
pub use message::{Kind, Message};
