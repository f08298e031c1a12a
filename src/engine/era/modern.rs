//! The modern era on the wire: what a request must say of its sender, in its body and in its headers.

pub mod headers;
pub mod input;
pub mod request;

pub use input::{InputRequest, InputRequired};
pub use request::{Introduction, Retry};
