//! The table of bad input (contract 4), line by line, through real Envoy: piece by piece and BUFFERED.

mod bodies;
mod callers;
mod envelope;
mod headers;
mod limits;
mod names;
