//! Tests of parts in this process: one module per room.

mod admin;
mod claims;
mod cli;
mod config;
mod envoy;
mod extproc;
mod layering;
mod readme;
mod registry;
mod upstream;
