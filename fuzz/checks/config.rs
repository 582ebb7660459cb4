//! What holds for every configuration file. The fuzzer looks for text for which it does not;
//! `crates/perennial/tests/fuzz_corpus.rs` replays what is kept.

use perennial::config::Config;

pub(crate) fn check(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    match Config::parse("fuzz.toml", text, []) {
        Ok(loaded) => assert!(loaded.print().ends_with('\n')),
        Err(errors) => assert!(
            errors.to_string().contains("fuzz.toml"),
            "each error names its place"
        ),
    }
}
