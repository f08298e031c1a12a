//! What the gateway says of itself: logs, traces, metrics.

pub mod log;
