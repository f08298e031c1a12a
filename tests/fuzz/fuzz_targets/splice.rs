//! See the claim.
#![no_main]

#[path = "../claims/splice.rs"]
mod claim;

libfuzzer_sys::fuzz_target!(|input: (&str, &[u8])| claim::check(input));
