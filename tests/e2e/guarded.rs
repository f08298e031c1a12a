//! What stands around the MCP servers: who may call, from where, how often, and the attacks that must fail.

mod audit;
mod credentials;
mod front;
pub(crate) mod identity;
mod listing;
mod policy;
mod protection;
mod shared_limits;
mod throttle;
