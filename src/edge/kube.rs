//! Kubernetes: which objects say what the gateway serves, what is generated for Envoy Gateway, and what is told back.
//!
//! ```text
//! watches (controller) -> index: apply, delete -> plan -> assignment   for the processors (edge/registry)
//!                                                     |-> objects      applied server-side (controller)
//!                         reports of processors ------`-> status       patched (controller)
//! ```
//! Without a controller: `of_file` makes the same out of one configuration file, to be applied by hand.
//! `index`, `plan`, `objects` and the status they lead to are pure: objects in, wishes out. Only `controller` talks to an
//! API server.

pub mod controller;
pub mod index;
pub mod manifests;
pub mod objects;
pub mod of_file;
pub mod plan;
pub mod resources;
