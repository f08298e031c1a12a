//! Protobuf by hand, for the few messages of ext_proc that the hot path needs.
//!
//! Generated types cost an allocation for each header name and value, in both directions, and a copy of each body:
//! a quarter of the processor's time for a call. Here messages are read in place and written from what we hold. The
//! tests compare every message with the generated types (`envoy-types`), so that field numbers cannot drift.

mod read;
mod write;

pub(crate) use read::{Fields, Malformed, Value};
pub(crate) use write::{Double, Nested, Number, Out, Part, Pieces, Text, each};

/// How a field stands on the wire: the low three bits of its tag.
mod kind {
    pub(super) const VARINT: u64 = 0;
    pub(super) const FIXED64: u64 = 1;
    pub(super) const LENGTH: u64 = 2;
    pub(super) const FIXED32: u64 = 5;
}
