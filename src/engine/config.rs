//! The configuration: the file's shape, the validated truth, and what differs between two of them.

pub mod change;
pub mod file;
pub mod truth;

pub use truth::{
    Audit, Config, Credential, EnvoySettings, Limits, ListenTls, Lists, Secret, SessionSettings, Timeouts, Upstream,
    Via,
};
