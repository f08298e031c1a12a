//! A modern client, a legacy upstream.
//!
//! - [`request`]: the request as the upstream gets it, and what it said of its client, which the handshake says there.
//! - [`answer`]: what the upstream says on the way to its answer, and the answer as the client gets it.
//! - [`input`]: requests of the upstream become input that the client is asked for (SEP-2322), and its answers responses.
//! - [`digest`]: which request a state belongs to.

pub mod answer;
pub mod digest;
pub mod input;
pub mod request;

pub use answer::{Said, Terms};
pub use input::{Asked, Inputs};
pub use request::Taken;
