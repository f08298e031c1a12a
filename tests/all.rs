//! The one integration binary: `it` drives parts of the program in this process, `e2e` drives the whole of it with
//! real Envoy, servers and clients, `kube` drives it in a cluster (`make test-kube`). One binary links once.

#[path = "e2e/mod.rs"]
mod e2e;
#[path = "it/mod.rs"]
mod it;
#[path = "kube/mod.rs"]
mod kube;
