//! See the claim.
#![no_main]

#[path = "../claims/tasks.rs"]
mod claim;

libfuzzer_sys::fuzz_target!(|input: (u8, &[u8])| claim::check(input));
