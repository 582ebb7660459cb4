#![no_main]

#[path = "../checks/playlist.rs"]
mod playlist;

libfuzzer_sys::fuzz_target!(|data: &[u8]| playlist::check(data));
