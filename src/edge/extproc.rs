//! Speaks ext_proc with Envoy: one gRPC stream per exchange, driven by [`crate::engine::exchange::Exchange`].
//!
//! The only room that knows Envoy's protobuf. It decides nothing: what it cannot answer itself it asks through
//! [`Backroom`]. A stream ends cleanly only when the exchange says so (I7); everything else ends with an error status.

pub mod backroom;
pub mod budget;
mod codec;
mod decode;
mod driver;
mod encode;
pub mod gate;
pub mod health;
pub mod listen;
pub mod server;
pub mod service;
mod socket;
mod wire;

pub use backroom::{Asked, Backroom, CallStream, HubStream, Mail};
pub use budget::Budget;
pub use gate::{Admission, Gate};
pub use health::Health;
pub use listen::{Listen, ListenError, Listener};
pub use server::{Server, ServerError};
pub use service::Processor;
