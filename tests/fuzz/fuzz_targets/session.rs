//! See the claim.
#![no_main]

#[path = "../claims/session.rs"]
mod claim;

libfuzzer_sys::fuzz_target!(|input: (u128, u64, u32, u8, &[u8])| claim::check(input));
