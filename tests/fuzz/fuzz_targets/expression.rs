//! See the claim.
#![no_main]

#[path = "../claims/expression.rs"]
mod claim;

libfuzzer_sys::fuzz_target!(|input: (&str, &str, &str)| claim::check(input));
