//! Decides. Pure: no I/O, no clock, no randomness, no locks, no tasks; all of these come in as arguments.
//!
//! Arrows go down this list reversed: `exchange` may use everything above it, `jsonrpc` nothing.

pub mod jsonrpc;
pub mod sse;

pub mod mcp;

pub mod call;
pub mod stream;

pub mod config;

pub mod catalog;
pub mod expression;
pub mod policy;
pub mod route;
pub mod session;
pub mod status;

pub mod assignment;

pub mod era;

pub mod snapshot;

pub mod exchange;
