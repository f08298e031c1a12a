//! Discovery, binder and relay against scripted upstreams on real sockets.

mod binder;
mod discovery;
mod old;
mod puppet;
mod relay;
mod sse;
mod sse_sessions;
mod wire;
