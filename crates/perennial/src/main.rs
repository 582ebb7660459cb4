//! The `perennial` command.

use std::io::{self, Write};

use clap::Parser;
use perennial::cli::{Cli, ConfigVerb, Exit, Verb};
use perennial::config::{Config, environment};

fn main() -> Exit {
    let Verb::Config(ConfigVerb::Print(file)) = Cli::parse().verb() else {
        return Exit::Failed;
    };
    match Config::load(file.path(), environment()) {
        Ok(loaded) => match io::stdout().write_all(loaded.print().as_bytes()) {
            Ok(()) => Exit::Done,
            Err(_) => Exit::Failed,
        },
        Err(errors) => {
            let _ = writeln!(io::stderr(), "{errors}");
            Exit::Configuration
        }
    }
}
