//! What is rendered, against real Envoy: it validates, starts, refuses in JSON-RPC, follows the clusters, comes back.

mod harness;
mod life;
mod processor;
mod reference;
mod way_out;
mod wiring;
