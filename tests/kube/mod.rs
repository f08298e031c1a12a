//! Tests in a cluster: real API server, Envoy Gateway, Envoy, controller and processors. `make test-kube` runs them.
//!
//! One cluster (see `cluster.sh`) serves all tests of a run; each test works in a Kubernetes namespace of its own.

mod alone;
mod alone_gateway;
mod alone_processor;
mod bypass;
mod conditions;
mod conformance;
mod controller;
mod discovery;
mod example;
mod guides;
mod harness;
mod helm;
mod https;
mod invalid;
mod life;
mod manifests;
mod neighbours;
mod of_file;
mod own_routes;
mod processor;
mod readme;
mod roads;
mod rolling;
mod scale;
mod smoke;
mod status;
