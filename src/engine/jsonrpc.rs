//! JSON-RPC 2.0 as bytes: finds what routing needs, splices, knows the error codes. Knows nothing of MCP.

pub mod code;
pub mod envelope;
pub mod members;
pub mod splice;

pub use code::Code;
pub use envelope::{Envelope, EnvelopeError, Id, Object, Shape};
pub use members::Members;
pub use splice::Splice;
