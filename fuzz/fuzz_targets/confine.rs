#![no_main]

#[path = "../checks/confine.rs"]
mod confine;

libfuzzer_sys::fuzz_target!(|data: &[u8]| confine::check(data));
