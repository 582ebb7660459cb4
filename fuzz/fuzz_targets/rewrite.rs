#![no_main]

#[path = "../checks/rewrite.rs"]
mod rewrite;

libfuzzer_sys::fuzz_target!(|data: &[u8]| rewrite::check(data));
