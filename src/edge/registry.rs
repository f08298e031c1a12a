//! The registry: what a controller assigns reaches the processors of each Envoy gateway over gRPC, and how it goes comes
//! back (`proto/registry.proto`).
//!
//! ```text
//! controller:  Registry::assign -> difference -> codec -> serve ~~ mutual TLS ~~> Follower -> Assigned -> app
//!              Told             <- session                 <~~~~~~~~~~~~~~~~~~~~  verdict, reports
//! ```
//! Who may follow which gateway is decided by the client's certificate alone. A processor keeps the last assignment that
//! it accepted, in memory and in a file, whatever becomes of the controller. Nothing here reads what an upstream is.

mod certificate;
mod codec;
mod difference;
mod files;
mod follower;
mod kept;
mod ledger;
mod link;
mod listen;
mod report;
mod serve;
mod session;

pub use certificate::{Identity, IdentityError};
pub use follower::{Assigned, Follower};
pub use ledger::{AssignError, Registry};
pub use serve::{ServeError, serve};

/// With UNAVAILABLE: connect again, the one that leads will answer.
const NOT_LEADER: &str = "not the leader";

/// Made of `proto/registry.proto`.
#[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated")]
mod proto {
    tonic::include_proto!("mcp_manifold.registry.v1");
}
