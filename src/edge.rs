//! Waits. One foreign protocol per room; rooms do not know each other and meet only in `app`.

pub mod admin;
pub mod ask;
pub mod backoff;
pub mod config_file;
pub mod delegation;
pub mod envoy;
pub mod extproc;
pub mod fallback;
pub mod http;
pub mod identity;
pub mod kube;
pub mod registry;
pub mod relay;
pub mod secrets;
pub mod store;
pub mod telemetry;
pub mod throttle;
pub mod upstream;
