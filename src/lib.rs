//! mcp-manifold: many MCP servers behind one endpoint, as an external processor of Envoy.
//!
//! Read in this order:
//!
//! 1. [`engine`] decides. It is pure: bytes and facts in, replies and commands out.
//!    Inside it: `jsonrpc`, `sse`, `mcp`, `call`, `stream`, `expression` (words), `config`, `catalog`, `route`, `session`,
//!    `policy`, `status` (state), `era` (one era in the words of the other), `snapshot` (everything one exchange may
//!    know), `exchange` (the state machine of one ext_proc stream).
//! 2. [`edge`] waits: one foreign protocol per room.
//! 3. [`app`] builds the parts, wires them, owns the tasks and the drain; [`cli`] is what people type.
//!
//! Invariants:
//!
//! - I1 the engine has no I/O, clock, randomness, locks, tasks.
//! - I2 one exchange sees one snapshot.
//! - I3 one writer per cell.
//! - I4 foreign types stop at the door of their room.
//! - I5 edge rooms meet only in `app` (and, for commands that are not the gateway itself, in `cli`).
//! - I6 a body is scanned once and copied at most once; no tree of values on the request path; bytes outside a splice
//!   are identical.
//! - I7 the ext_proc stream never ends cleanly before the decision.
//! - I8 what only the legacy era needs lives in its own place.
//! - I9 verdicts rest only on values the upstream will also see.
//! - I10 every task has a name, an owner, an ending.

pub mod engine;

pub mod edge;

pub mod app;
pub mod cli;
