//! HTTP/1.1 towards upstreams. Knows no MCP: what an answer means is for `upstream` and `relay` to say.
//!
//! A [`Target`] is one upstream as the wire sees it, and it owns its connections: one pool for each tokio runtime that
//! calls it, because a connection dies with the runtime that opened it. A changed configuration is a new target; the old
//! pools go when the last call through them has ended. Redirects are not followed, compression is not asked for.

mod connect;
mod error;
mod response;
mod target;
mod wire;

pub use error::HttpError;
pub use response::{Media, Response};
pub use target::{Target, TargetError, Targets};
