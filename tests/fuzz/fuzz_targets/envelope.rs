//! See the claim.
#![no_main]

#[path = "../claims/envelope.rs"]
mod claim;

libfuzzer_sys::fuzz_target!(|input: &[u8]| claim::check(input));
