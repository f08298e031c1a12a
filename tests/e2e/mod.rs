//! Tests of the whole: Envoy, processor, servers and clients as real processes on loopback.

pub(crate) mod clients;
pub(crate) mod conformance;
pub(crate) mod gateway;
pub(crate) mod process;
pub(crate) mod tools;
