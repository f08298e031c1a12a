//! The one integration binary: `it` drives parts of the program in this process, `e2e` drives the whole of it with
//! real Envoy, servers and clients. One binary links once.

#[path = "e2e/mod.rs"]
mod e2e;
#[path = "it/mod.rs"]
mod it;
