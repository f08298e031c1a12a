//! HTTP/1.1 towards upstreams. What an answer means is for `upstream` and `relay` to say: nothing here knows MCP but
//! `sse`, which makes servers of the old transport look like those of today.
//!
//! A [`Target`] is one upstream as the wire sees it, and it owns its connections: one pool for each tokio runtime that
//! calls it, because a connection dies with the runtime that opened it. A changed configuration is a new target; the old
//! pools go when the last call through them has ended. Event streams that last have connections of their own. Redirects
//! are not followed, compression is not asked for.

mod connect;
mod error;
mod lasted;
mod lasting;
mod response;
mod sse;
mod target;
mod voice;
mod wire;

pub use error::HttpError;
pub use lasted::Pasts;
pub use response::{Media, Response};
pub use target::{Target, TargetError, Targets, Underway};
pub use voice::Voices;
