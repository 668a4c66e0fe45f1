#![no_main]

#[path = "../checks/http1.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::request(input));
