//! `make bench`: what serving costs, beside yardsticks measured in the same run. Prints Markdown for
//! docs/BENCHMARKS.md; progress goes to stderr.
//!
//! The server under test has core 0 to itself; this process, its origins and wrk share core 1.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that prints its results"
)]

mod load;
mod memory;
mod pinned;
mod private;
mod startup;
mod upstream;

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, ensure};

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    // Cargo runs every bench when it runs the tests of all targets; there is nothing to test here.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    ensure!(
        Path::new("/proc/self/stat").exists(),
        "reads CPU times from /proc: runs on Linux only"
    );
    let began = Instant::now();
    pin_to(pinned::OTHERS_CORE)?;
    println!("{}\n", machine()?);
    for section in [
        load::run().await?,
        startup::run().await?,
        upstream::run().await?,
        private::run().await?,
        memory::run().await?,
    ] {
        println!("{section}");
    }
    eprintln!("done after {:.0?}", began.elapsed());
    Ok(())
}

/// This process and all that it starts, unless told otherwise.
fn pin_to(core: &str) -> anyhow::Result<()> {
    let id = std::process::id().to_string();
    let output = Command::new("taskset").args(["-apc", core, &id]).output();
    let output = output.context("starting taskset")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "taskset: {errors}");
    Ok(())
}

fn machine() -> anyhow::Result<String> {
    let cpus = std::fs::read_to_string("/proc/cpuinfo")?;
    let models: Vec<_> = cpus
        .lines()
        .filter_map(|line| line.strip_prefix("model name"))
        .map(|model| model.trim_start_matches([' ', '\t', ':']))
        .collect();
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let load = std::fs::read_to_string("/proc/loadavg")?;
    let load = load.split(' ').next().unwrap_or_default();
    let date = first_line("date", &["+%-d %B %Y"])?;
    let nginx = first_line("/usr/sbin/nginx", &["-v"])?;
    Ok(format!(
        "{date}; {} × {}, Linux {}; {}; load average {load} before the start",
        models.len(),
        models.first().unwrap_or(&"unknown CPU"),
        kernel.trim(),
        nginx.trim_start_matches("nginx version: ")
    ))
}

fn first_line(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program).args(arguments).output();
    let output = output.with_context(|| format!("starting {program}"))?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// The middle one.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
