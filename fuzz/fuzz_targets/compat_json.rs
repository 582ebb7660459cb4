#![no_main]

#[path = "../checks/compat_json.rs"]
mod compat_json;

libfuzzer_sys::fuzz_target!(|data: &[u8]| compat_json::check(data));
