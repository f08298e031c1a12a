//! Tests of the whole: Envoy, processor, servers and clients as real processes on loopback.

mod asking;
mod bad_input;
mod chaos;
pub(crate) mod clients;
pub(crate) mod conformance;
mod eras;
pub(crate) mod gateway;
pub(crate) mod guarded;
pub(crate) mod harness;
mod leniency;
mod merging;
mod observed;
pub(crate) mod process;
mod relays;
mod rewriting;
mod served;
mod sessions;
mod streams;
pub(crate) mod tools;
mod tours;
mod transparency;
mod up;
mod upstreams;
mod wire;
