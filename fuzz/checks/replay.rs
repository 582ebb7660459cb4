//! For the tests: what the fuzzer started from and what it found.

use std::fs;
use std::path::Path;

/// Checks each file of `fuzz/corpus/{target}`.
#[track_caller]
#[expect(
    clippy::print_stdout,
    reason = "says which file it was when a check fails"
)]
pub(crate) fn replay(target: &str, check: fn(&[u8])) {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("a crate lies in crates/");
    let folder = crates.join("../fuzz/corpus").join(target);
    let mut replayed = 0;
    for entry in fs::read_dir(&folder).expect("the corpus is committed") {
        let path = entry.expect("the corpus can be read").path();
        println!("{}", path.display());
        check(&fs::read(path).expect("the corpus can be read"));
        replayed += 1;
    }
    assert!(replayed > 0, "nothing in {}", folder.display());
}
