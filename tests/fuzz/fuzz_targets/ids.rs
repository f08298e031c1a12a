//! See the claim.
#![no_main]

#[path = "../claims/ids.rs"]
mod claim;

libfuzzer_sys::fuzz_target!(|input: &[u8]| claim::check(input));
