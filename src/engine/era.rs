//! What the eras say differently, and how one is said in the words of the other. Pure: bytes in, bytes out.
//!
//! `modern` knows the words of 2026-07-28 on the wire, `legacy` those of the revisions before; `bridge` puts one era's
//! messages into the other's. Nothing here knows an exchange: who waits for whom is `exchange::bridge`.

pub mod bridge;
pub mod legacy;
pub mod modern;
