//! The process itself: which file `perennial config print` reads, and how it ends.

use std::path::Path;
use std::process::{Command, Output};

fn run(directory: &Path, args: &[&str], variables: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_perennial"))
        .args(args)
        .current_dir(directory)
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .expect("the binary runs")
}

#[track_caller]
fn check(output: &Output, code: i32, says: &str) {
    let text = [&output.stdout[..], &output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert!(text.contains(says), "{text}");
}

#[test]
fn the_file_is_the_named_one_else_that_of_the_directory_else_none() {
    let dir = tempfile::tempdir().unwrap();
    let print = |args: &[&str], variables| {
        run(
            dir.path(),
            &[&["config", "print"], args].concat(),
            variables,
        )
    };
    check(&print(&[], &[]), 0, "idle_stop_s = 30");
    check(
        &print(&[], &[("PERENNIAL_LIVE__IDLE_STOP_S", "7")]),
        0,
        "# PERENNIAL_LIVE__IDLE_STOP_S",
    );
    std::fs::write(
        dir.path().join("perennial.toml"),
        "version = 1\nlive.idle_stop_s = 8\n",
    )
    .unwrap();
    check(&print(&[], &[]), 0, "# perennial.toml:2");
    std::fs::write(
        dir.path().join("other.toml"),
        "version = 1\nlive.idle_stop_s = 9\n",
    )
    .unwrap();
    check(&print(&["-c", "other.toml"], &[]), 0, "# other.toml:2");
}

#[test]
fn a_bad_configuration_ends_with_78_and_bad_usage_with_2() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join("perennial.toml"),
        "version = 1\n[live]\nidle_stop = 8\n",
    )
    .unwrap();
    let message = "perennial.toml:3:1: unknown key \"idle_stop\" in [live]\n  hint: did you mean \"idle_stop_s\"?";
    check(&run(dir.path(), &["config", "print"], &[]), 78, message);
    check(
        &run(dir.path(), &["config", "print", "-c", "none.toml"], &[]),
        78,
        "none.toml: cannot be read",
    );
    check(&run(dir.path(), &["config", "prnt"], &[]), 2, "print");
}
