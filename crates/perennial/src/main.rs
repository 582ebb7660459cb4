//! The `perennial` command.

use clap::Parser;
use perennial::cli::{Cli, Exit};

fn main() -> Exit {
    perennial::run(Cli::parse())
}
