//! Discovery, binder and relay against scripted upstreams on real sockets.

mod binder;
mod discovery;
mod puppet;
mod relay;
mod wire;
