//! The words of the Model Context Protocol: versions, methods, headers, mirrored parameters, names, URIs, capabilities.

pub mod capabilities;
pub mod headers;
pub mod meta;
pub mod method;
pub mod names;
pub mod params;
pub mod trace;
pub mod uris;
pub mod version;

pub use method::Method;
pub use version::{Era, Version};
