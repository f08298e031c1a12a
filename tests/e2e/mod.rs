//! Tests of the whole: Envoy, processor, servers and clients as real processes on loopback.

pub(crate) mod tools;
