//! What is rendered, against real Envoy: it validates, starts, refuses in JSON-RPC, follows the clusters, comes back.

mod end;
mod harness;
mod life;
mod processor;
mod reference;
mod tls;
mod way_out;
mod wiring;
