#![no_main]

#[path = "../checks/ts.rs"]
mod ts;

libfuzzer_sys::fuzz_target!(|data: &[u8]| ts::check(data));
